"""A published site as `Page`s, through its sitemaps.

First all of it is fetched, then it is read. So a site that goes down midway gives no page instead of half of them, and
the addresses can tell which version is the latest. One request follows the other, on one connection.
"""

from __future__ import annotations

import hashlib
import logging
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote
from urllib.robotparser import RobotFileParser

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from chatbot_api import __version__
from chatbot_api.errors import SourceError
from chatbot_api.models.domain import Page
from qdrant_indexer.kept import KeptFile
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.html import HtmlDocument, NoDocument, find_alternates, read_head, read_html
from qdrant_indexer.sources.sitemap import MAX_ADDRESSES, MAX_SITEMAP_BYTES, SITEMAP, Sitemap, latest_tags, read_sitemap
from qdrant_indexer.sources.slugs import served_path

logger = logging.getLogger(__name__)

AGENT: Final = "askbook"
"""What a robots.txt calls us."""
USER_AGENT: Final = f"{AGENT}/{__version__}"
Sleep = Callable[[float], None]
OnProgress = Callable[[int, int], None]
"""Gets how many of how many addresses were visited."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken of a site, and with how much patience. Times are seconds, sizes bytes after decompression."""

    pause: float = 0.2
    """Between two requests, where robots.txt names no Crawl-delay."""
    longest_pause: float = 10.0
    connect: float = 10.0
    read: float = 20.0
    """For the next bytes of an answer."""
    whole_answer: float = 120.0
    whole_run: float = 4 * 3600.0
    attempts: int = 3
    longest_wait: float = 60.0
    """A site that asks for more patience with Retry-After ends the run."""
    failures_in_a_row: int = 3
    redirects: int = 5
    page_bytes: int = 20_000_000
    sitemap_bytes: int = MAX_SITEMAP_BYTES
    addresses: int = MAX_ADDRESSES
    sitemaps: int = 1_000
    nested_indexes: int = 3


USUAL: Final = Limits()


def new_client(limits: Limits) -> httpx.Client:
    return httpx.Client(
        headers={
            "User-Agent": USER_AGENT,
            "Accept": "text/html, application/xml, */*;q=0.5",
            "Accept-Encoding": "gzip",
        },
        timeout=httpx.Timeout(limits.read, connect=limits.connect),
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
    )


def fetch_live(
    address: str,
    cache: PageCache,
    *,
    limits: Limits = USUAL,
    client: Callable[[Limits], httpx.Client] = new_client,
    sleep: Sleep = time.sleep,
    on_progress: OnProgress = lambda *_: None,
) -> LiveSite:
    """Brings the site into the cache. Raises `SourceError`, whose text says what to do; what was fetched until then
    need not be sent again."""
    place = _place(address)
    with client(limits) as opened:
        visitor = _Visitor(place, opened, cache, limits, sleep)
        fetching = _Fetching(place, visitor, limits)
        found = tuple(fetching.run(on_progress))
    cache.keep_only(visitor.asked, below=str(place.base))
    first = next((page.locale for page in found if isinstance(page, _Found)), "en")
    return LiveSite(place.origin, fetching.locale or first, found, cache)


@dataclass(frozen=True, slots=True)
class _Found:
    """A page of the site whose text lies in the cache."""

    url: str
    path: str
    tag: str
    version: str
    locale: str
    digest: str
    """Of what was read from it."""


@dataclass(frozen=True, slots=True)
class LiveSite:
    """A site as it was when it was fetched."""

    site_url: str
    """Scheme and host, without a trailing slash."""
    default_locale: str
    """That of the site's first page."""
    _found: tuple[_Found | Skipped, ...]
    _cache: PageCache = field(repr=False)

    def revision(self) -> str:
        return ""

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{__version__} {self!r}".encode("utf-8", "surrogatepass")).hexdigest()

    def pages(self) -> Iterator[Page | Skipped]:
        """Holds one page at a time; the cache must still be open."""
        latest = latest_tags(found for found in self._found if isinstance(found, _Found))
        positions: Counter[tuple[str, str]] = Counter()
        for found in self._found:
            if isinstance(found, Skipped):
                yield found
                continue
            kept = self._cache.find(found.url)
            document = _document(kept.body) if kept else None
            if not isinstance(document, HtmlDocument):
                raise SourceError(f"{found.url} is not in the cache of pages any more: run this again.")
            yield Page(
                path=found.path,
                title=document.title or found.path,
                source=found.path,
                sections=document.sections,
                version=found.version,
                locale=found.locale,
                tag=found.tag,
                latest=found.tag in latest,
                breadcrumbs=document.breadcrumbs,
                position=positions[found.tag, found.locale],
            )
            positions[found.tag, found.locale] += 1


# What was fetched before -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, and the words that ask whether it is still the same."""

    body: bytes
    etag: str = ""
    modified: str = ""

    @property
    def conditions(self) -> dict[str, str]:
        values = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in values.items() if value}


class PageCache(KeptFile):
    """Answers of sites, by address, in a file of its own. Each `put` is on disk as a whole when it returns."""

    def __init__(self, file: Path) -> None:
        columns = "url TEXT PRIMARY KEY, etag TEXT NOT NULL, modified TEXT NOT NULL, packed BLOB NOT NULL"
        super().__init__(file, f"answers ({columns})")

    def find(self, url: str) -> Kept | None:
        with self._our_errors():
            row = self._db.execute("SELECT packed, etag, modified FROM answers WHERE url = ?", (url,)).fetchone()
        return Kept(zlib.decompress(row[0]), row[1], row[2]) if row else None

    def put(self, url: str, kept: Kept) -> None:
        row = (url, kept.etag, kept.modified, zlib.compress(kept.body))
        with self._our_errors():
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", row)

    def keep_only(self, urls: Iterable[str], *, below: str) -> None:
        """Forgets the others that begin with `below`."""
        with self._our_errors(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("CREATE TEMP TABLE wanted (url TEXT PRIMARY KEY)")
            self._db.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((url,) for url in urls))
            gone = "substr(url, 1, ?) = ? AND url NOT IN (SELECT url FROM wanted)"
            self._db.execute(f"DELETE FROM answers WHERE {gone}", (len(below), below))  # noqa: S608 - fixed words
            self._db.execute("DROP TABLE wanted")


# Where we may go ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    base: httpx.URL
    """Ends in a slash."""

    @property
    def origin(self) -> str:
        return str(self.base.join("/")).rstrip("/")

    def owns(self, url: httpx.URL) -> bool:
        return _origin(url) == _origin(self.base)

    def holds(self, url: httpx.URL) -> bool:
        path, base = _path(url), _path(self.base)
        is_plain = {".", ".."}.isdisjoint(unquote(path).replace("\\", "/").split("/"))
        return self.owns(url) and is_plain and f"{path}/".startswith(base)


def _place(address: str) -> _Place:
    try:
        url = httpx.URL(address.strip())
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise SourceError(f"{address} is no address of a site: give one such as https://docs.example.com/.")
    if url.userinfo:
        raise SourceError("The address of a site must not hold a name and a password: give it without them.")
    return _Place(_at(url, f"{_path(url).rstrip('/')}/"))


def _parse(address: str, base: httpx.URL) -> httpx.URL | None:
    try:
        return base.join(address).copy_with(fragment=None, userinfo=b"")
    except (httpx.InvalidURL, ValueError):
        return None


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port


def _path(url: httpx.URL) -> str:
    """As it is sent: encoded, without the query."""
    return url.raw_path.partition(b"?")[0].decode("ascii")


def _at(url: httpx.URL, path: str) -> httpx.URL:
    """Another path of the same site, or its own without query and hash."""
    return url.copy_with(raw_path=path.encode(), fragment=None)


# One request after the other ---------------------------------------------------------------------------

_PIECE = 1 << 16
_TYPES = ("text/html", "application/xhtml+xml")
_MISSING = range(400, 500)
_Kind = Literal["bad", "excluded"]


class _Nothing(Exception):
    """An address that gives nothing to read; the text says why."""

    def __init__(self, reason: str, kind: _Kind = "bad", status: int = 0) -> None:
        super().__init__(reason)
        self.kind: _Kind = kind
        self.status = status


class _Failed(_Nothing):
    """The site could not answer, and may later."""


class _TryAgain(Exception):
    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True, slots=True)
class _Answer:
    url: httpx.URL
    """Where redirects led to."""
    body: bytes


class _Visitor:
    """Asks for one thing at a time, with all manners, and keeps what it gets in the cache."""

    def __init__(self, place: _Place, client: httpx.Client, cache: PageCache, limits: Limits, sleep: Sleep) -> None:
        self.asked: set[str] = set()
        self._robots = RobotFileParser()
        self._robots.allow_all = True  # type: ignore[attr-defined]  # typeshed leaves it out
        self._pause = limits.pause
        self._place = place
        self._client = client
        self._cache = cache
        self._limits = limits
        self._sleep = sleep
        self._end = time.monotonic() + limits.whole_run
        self._fresh: set[str] = set()
        """Pages that the site gave or confirmed in this run."""
        self._failures = 0
        self._retrying = Retrying(
            retry=retry_if_exception_type(_TryAgain),
            stop=stop_after_attempt(limits.attempts),
            wait=_wait,
            sleep=sleep,
            reraise=True,
        )

    def heed(self, robots: RobotFileParser, delay: float | None) -> None:
        self._robots = robots
        if delay is not None:
            self._pause = min(delay, self._limits.longest_pause)

    def get_page(self, url: httpx.URL) -> _Answer:
        return self._get(url, self._limits.page_bytes, is_page=True)

    def get_list(self, url: httpx.URL, at_most: int) -> _Answer:
        return self._get(url, at_most, is_page=False)

    def _get(self, url: httpx.URL, at_most: int, *, is_page: bool) -> _Answer:
        """Follows redirects within the site. Raises `_Nothing`."""
        for _ in range(self._limits.redirects + 1):
            self._check(url, is_page=is_page)
            answer = self._ask_patiently(url, at_most, is_page=is_page)
            if isinstance(answer, bytes):
                return _Answer(url, answer)
            url = answer
        raise _Nothing(f"it sends its readers on more than {self._limits.redirects} times")

    def _check(self, url: httpx.URL, *, is_page: bool) -> None:
        if not self._place.owns(url):
            raise _Nothing(f"it sends its readers to another site, {url.scheme}://{url.netloc.decode('ascii')}")
        if is_page and not self._place.holds(url):
            raise _Nothing(f"it sends its readers to {_path(url)}, outside of {self._place.base}", "excluded")
        if not self._robots.can_fetch(AGENT, str(url)):
            raise _Nothing(f"robots.txt asks {AGENT} to stay away from it", "excluded")

    def _ask_patiently(self, url: httpx.URL, at_most: int, *, is_page: bool) -> bytes | httpx.URL:
        try:
            answer = self._retrying(self._ask, url, at_most, is_page=is_page)
        except _TryAgain as exc:
            self._failures += 1
            if self._failures >= self._limits.failures_in_a_row:
                raise SourceError(
                    f"{self._place.origin} failed for {self._failures} addresses in a row ({url}: {exc}): "
                    "the index stays as it is, run this again later."
                ) from exc
            raise _Failed(str(exc)) from exc
        except _Nothing:
            self._failures = 0
            raise
        self._failures = 0
        return answer

    def _ask(self, url: httpx.URL, at_most: int, *, is_page: bool) -> bytes | httpx.URL:
        """What is there, or where it went. Raises `_Nothing` or `_TryAgain`."""
        key = str(url)
        kept = self._cache.find(key)
        if kept and key in self._fresh:
            return kept.body
        self._wait_for_our_turn()
        self.asked.add(key)
        try:
            with self._client.stream("GET", url, headers=kept.conditions if kept else {}) as response:
                answer = self._read(response, kept, at_most, is_page=is_page)
        except httpx.HTTPError as exc:
            raise _TryAgain(f"it cannot be reached ({exc or type(exc).__name__})") from exc
        if is_page and isinstance(answer, bytes):
            self._fresh.add(key)
        return answer

    def _wait_for_our_turn(self) -> None:
        if time.monotonic() > self._end:
            raise SourceError(
                f"{self._place.origin} was not read to its end in {self._limits.whole_run:,.0f} seconds: "
                "run this again, it goes on from here."
            )
        if self.asked and self._pause:
            self._sleep(self._pause)

    def _read(self, response: httpx.Response, kept: Kept | None, at_most: int, *, is_page: bool) -> bytes | httpx.URL:
        status = response.status_code
        if status != httpx.codes.OK:
            _drain(response)
        if response.next_request:
            return response.next_request.url.copy_with(fragment=None)
        if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
            self._come_back_later(response)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise _TryAgain(f"it answers {status}")
        is_same = status == httpx.codes.NOT_MODIFIED and kept is not None
        if status != httpx.codes.OK and not is_same:
            raise _Nothing(f"it answers {status}", status=status)
        if is_page and _is_noindex(response.headers):
            raise _Nothing("it asks not to be indexed (X-Robots-Tag)", "excluded")
        if is_same and kept:
            return kept.body
        type_ = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if is_page and type_ not in _TYPES:
            raise _Nothing(f"it is no HTML, but {type_ or 'of an untold type'}", "excluded")
        body = _body(response, at_most, time.monotonic() + self._limits.whole_answer)
        etag, modified = response.headers.get("etag", ""), response.headers.get("last-modified", "")
        self._cache.put(str(response.url), Kept(body, etag, modified))
        return body

    def _come_back_later(self, response: httpx.Response) -> None:
        after = _retry_after(response.headers.get("retry-after", ""))
        if after > self._limits.longest_wait:
            raise SourceError(
                f"{self._place.origin} asks for a pause of {after:,.0f} seconds: run this again after that."
            )
        raise _TryAgain(f"it answers {response.status_code}", after)


_backoff = wait_exponential_jitter(initial=1, max=10)


def _wait(state: RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome else None
    return max(_backoff(state), failure.after if isinstance(failure, _TryAgain) else 0.0)


def _retry_after(text: str) -> float:
    """In seconds; 0 where it says nothing that we understand."""
    if text.isascii() and text.isdigit():
        return float(text)
    with suppress(ValueError, OverflowError):
        when = parsedate_to_datetime(text)
        return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
    return 0.0


def _is_noindex(headers: Mapping[str, str]) -> bool:
    words = {word.strip() for word in headers.get("x-robots-tag", "").lower().split(",")}
    return not words.isdisjoint({"noindex", "none"})


def _drain(response: httpx.Response) -> None:
    """Takes what little there is, so that the connection can be used again."""
    for _ in zip(response.iter_raw(), range(2), strict=False):
        pass


def _body(response: httpx.Response, at_most: int, end: float) -> bytes:
    body = bytearray()
    for piece in _unpacked(response, end):
        body += piece
        if len(body) > at_most:
            raise _Nothing(f"it is larger than {at_most / 1_000_000:g} MB")
    return bytes(body)


def _unpacked(response: httpx.Response, end: float) -> Iterator[bytes]:
    """In pieces of bounded size, whatever they were packed into."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise _Nothing(f"it comes packed as {encoding}, which nobody asked for")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if encoding == "gzip" else None
    for raw in response.iter_raw():
        if time.monotonic() > end:
            raise _TryAgain("it takes too long")
        if not unpacker:
            yield raw
            continue
        piece = raw
        try:
            while part := unpacker.decompress(piece, _PIECE):
                yield part
                piece = unpacker.unconsumed_tail
        except zlib.error as exc:
            raise _Nothing("it cannot be unpacked") from exc
    if unpacker and not unpacker.eof:
        raise _TryAgain("it breaks off")


# The whole site ----------------------------------------------------------------------------------------

_ROBOTS_BYTES = 500_000
_LONGEST_NAME = 200


class _Fetching:
    """From robots.txt through the sitemaps to the pages."""

    def __init__(self, place: _Place, visitor: _Visitor, limits: Limits) -> None:
        self.locale = ""
        """Of the site's first page."""
        self._place = place
        self._visitor = visitor
        self._limits = limits
        self._sitemaps: set[httpx.URL] = set()
        self._is_mapped = False
        """Whether any of them could be read."""
        self._pages: dict[httpx.URL, None] = {}
        self._taken: set[str] = set()

    def run(self, on_progress: OnProgress) -> Iterator[_Found | Skipped]:
        skipped = list(self._map(self._read_robots()))
        languages = self._find_languages()
        if not self._pages:
            skipped += self._map([_sitemap_of(self._place.base)], is_guess=True)
        skipped += self._map(languages, is_guess=True)
        if not self._is_mapped:
            why = "".join(f"\n  {skip.source}: {skip.reason}" for skip in skipped[:5])
            raise SourceError(f"{self._place.base} has no sitemap: give the address at which the site begins.{why}")
        yield from skipped
        for done, url in enumerate(self._pages):
            on_progress(done, len(self._pages))
            yield self._fetch(url)
        on_progress(len(self._pages), len(self._pages))

    def _read_robots(self) -> list[httpx.URL]:
        """The sitemaps that robots.txt names; the visitor heeds the rest of it."""
        url = self._place.base.join("/robots.txt")
        robots = RobotFileParser()
        try:
            answer = self._visitor.get_list(url, _ROBOTS_BYTES)
            robots.parse(answer.body.decode("utf-8-sig", "replace").splitlines())
        except _Nothing as exc:
            if exc.status in _MISSING:
                return []
            raise SourceError(f"{url} says what may be read, but {exc}: see to that and run this again.") from exc
        except ValueError as exc:
            raise SourceError(f"{url} says what may be read, but cannot be understood ({exc}): mend it.") from exc
        delay = robots.crawl_delay(AGENT)
        self._visitor.heed(robots, None if delay is None else float(delay))
        return [named for address in robots.site_maps() or () if (named := _parse(address, url))]

    def _find_languages(self) -> list[httpx.URL]:
        """The sitemaps of the site's other languages, which only its first page leads to."""
        try:
            root = self._visitor.get_page(self._place.base)
        except _Failed as exc:
            raise SourceError(
                f"{self._place.base} names the site's languages, but {exc}: run this again later."
            ) from exc
        except _Nothing:
            return []
        markup = root.body.decode("utf-8", "replace")
        self.locale = read_head(markup).locale
        return [_sitemap_of(url) for link in find_alternates(markup) if (url := _parse(link, root.url))]

    def _map(self, starts: Iterable[httpx.URL], *, is_guess: bool = False) -> Iterator[Skipped]:
        """Notes the pages that these sitemaps list. One that is not there is no fault where it was only a guess."""
        waiting = deque((url, 0) for url in starts)
        while waiting:
            url, depth = waiting.popleft()
            if url in self._sitemaps:
                continue
            if len(self._sitemaps) == self._limits.sitemaps:
                yield Skipped(_name(url), f"it comes after {self._limits.sitemaps:,} other sitemaps", "bad")
                return
            self._sitemaps.add(url)
            sitemap = self._read_sitemap(url, is_guess=is_guess and depth == 0)
            if isinstance(sitemap, Skipped):
                yield sitemap
                continue
            if sitemap.trouble:
                yield Skipped(_name(url), sitemap.trouble, "bad")
            if not sitemap.is_index:
                yield from self._note(sitemap.addresses)
            elif depth < self._limits.nested_indexes:
                children = [child for address in sitemap.addresses if (child := _parse(address, url))]
                waiting.extendleft((child, depth + 1) for child in reversed(children))
            else:
                yield Skipped(_name(url), f"it lies below {depth} other indexes of sitemaps", "bad")

    def _read_sitemap(self, url: httpx.URL, *, is_guess: bool) -> Sitemap | Skipped:
        if not self._place.owns(url):
            return Skipped(_name(url), f"it is a sitemap of another site than {self._place.origin}", "excluded")
        if is_guess and not self._place.holds(url):
            return Skipped(_name(url), f"it is a sitemap of pages outside of {self._place.base}", "excluded")
        try:
            answer = self._visitor.get_list(url, self._limits.sitemap_bytes)
        except _Failed as exc:
            raise SourceError(f"{url} says which pages there are, but {exc}: run this again later.") from exc
        except _Nothing as exc:
            return Skipped(_name(url), str(exc), "excluded" if is_guess and exc.status in _MISSING else exc.kind)
        sitemap = read_sitemap(answer.body.decode("utf-8-sig", "replace"))
        self._is_mapped |= bool(sitemap.addresses) or not sitemap.trouble
        return sitemap

    def _note(self, addresses: Iterable[str]) -> Iterator[Skipped]:
        strays: dict[tuple[str, _Kind], list[str]] = {}
        for address in addresses:
            url = _parse(address, self._place.base)
            url = url and _at(url, _path(url))
            if not url or not self._place.owns(url):
                why: tuple[str, _Kind] = f"it is no address of {self._place.origin}", "excluded"
            elif not self._place.holds(url):
                why = f"it lies outside of {self._place.base}", "excluded"
            elif len(self._pages) == self._limits.addresses and url not in self._pages:
                why = f"it comes after {self._limits.addresses:,} other pages", "bad"
            else:
                self._pages[url] = None
                continue
            strays.setdefault(why, []).append(address)
        for (reason, kind), left_out in strays.items():
            others = f" and {len(left_out) - 1:,} more" if left_out[1:] else ""
            yield Skipped(left_out[0][:_LONGEST_NAME] + others, reason, kind)

    def _fetch(self, url: httpx.URL) -> _Found | Skipped:
        source = _path(url)
        try:
            answer = self._visitor.get_page(url)
        except _Nothing as exc:
            return Skipped(source, str(exc), exc.kind)
        document = _document(answer.body)
        if isinstance(document, NoDocument):
            return Skipped(source, document.reason, document.kind)
        path = _served(answer.url, document.canonical)
        if path.rstrip("/") in self._taken:
            return Skipped(source, f"it is the same page as {path}", "excluded")
        self._taken.add(path.rstrip("/"))
        content = repr((document.title, document.sections, document.breadcrumbs))
        return _Found(
            url=str(answer.url),
            path=path,
            tag=document.docusaurus_tag or "default",
            version=document.version or "current",
            locale=document.locale or "en",
            digest=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest(),
        )


def _sitemap_of(url: httpx.URL) -> httpx.URL:
    return _at(url, f"{_path(url).rstrip('/')}/{SITEMAP}")


def _name(url: httpx.URL) -> str:
    return str(url)[:_LONGEST_NAME]


def _document(body: bytes) -> HtmlDocument | NoDocument:
    try:
        return read_html(body.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return NoDocument("it is not UTF-8 text", "bad")
    except Exception as exc:
        # A fault of ours: this page's, and no other's.
        logger.exception("page failed")
        return NoDocument(f"Askbook failed to read it: {type(exc).__name__}", "bad")


def _served(url: httpx.URL, canonical: str) -> str:
    """The page names itself where hosts serve one page with a slash at its end and without."""
    named = _parse(canonical, url) if canonical else None
    is_same = (
        named is not None and _origin(named) == _origin(url) and _path(named).rstrip("/") == _path(url).rstrip("/")
    )
    return served_path(_path(named if named and is_same else url), "/", None)
