"""Links that land on the words they stand for. Pure."""

from __future__ import annotations

from urllib.parse import quote as percent_encode

from chatbot_api.answering.text import plain
from chatbot_api.models.domain import PageSummary, Passage

_WHOLE_UP_TO = 120
_END_WORDS = 5


def page_url(page: PageSummary | Passage, site_url: str) -> str:
    """The page as the site serves it; a path where the site's address is not known."""
    path = page.page if isinstance(page, Passage) else page.path
    return site_url + percent_encode(path, safe="/:@!$&'()*+,;=-._~")


def passage_url(passage: Passage, quote: str, site_url: str) -> str:
    """The page, at the passage's heading, with the quoted words as a text fragment (WICG Scroll to Text Fragment)."""
    words = text_fragment(quote)
    anchor = percent_encode(passage.anchor, safe="!$&'()*+,;=:@/?-._~") if passage.anchor else ""
    fragment = anchor + (f":~:text={words}" if words else "")
    return page_url(passage, site_url) + (f"#{fragment}" if fragment else "")


def text_fragment(quote: str) -> str:
    """The words whole where they are few, else their first and last ones. Only the first line of several: a text
    fragment cannot reach across lines of code, items or cells."""
    lines = [
        line for line in quote.splitlines() if line.strip() and not line.startswith(("```", "$$", "| ---", "|---"))
    ]
    if not lines:
        return ""
    line = lines[0].strip()
    if line.startswith("|"):
        line = next((cell for cell in line.split("|") if cell.strip()), "")
    shown = plain(line.removeprefix("- "))
    if len(shown) <= _WHOLE_UP_TO:
        return _encode(shown)
    words = shown.split(" ")
    if len(words) <= 2 * _END_WORDS:
        return _encode(shown[:_WHOLE_UP_TO].rsplit(" ", 1)[0])
    return f"{_encode(' '.join(words[:_END_WORDS]))},{_encode(' '.join(words[-_END_WORDS:]))}"


def _encode(words: str) -> str:
    """`-`, `,` and `&` have meanings of their own in a text fragment."""
    return percent_encode(words, safe="").replace("-", "%2D")
