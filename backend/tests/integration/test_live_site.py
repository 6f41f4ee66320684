"""A published site on a loopback socket: what is asked of it, what is made of it, and what it cannot do to us."""

from __future__ import annotations

import gzip
import hashlib
import socketserver
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self

import pytest

from chatbot_api import __version__
from chatbot_api.errors import SourceError
from chatbot_api.models.domain import Page
from qdrant_indexer.sources import Skipped, live
from qdrant_indexer.sources import html as html_reader
from qdrant_indexer.sources.live import Kept, Limits, PageCache, fetch_live
from qdrant_indexer.sources.sitemap import MAX_ADDRESSES, latest_tags, read_sitemap

BASE: Final = "/book/"


# The site ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    body: bytes = b""
    status: int = 200
    type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    has_etag: bool = True


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    status: int
    sent: int
    """Bytes of the body."""


Script = Callable[["Handler"], None]
"""Writes an answer by itself."""


class Site(socketserver.ThreadingTCPServer):
    """Serves what a test puts into `replies`, with ETags, and remembers who asked."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.replies: dict[str, Reply | deque[Reply] | Script] = {}
        """By path; of several each is given once, the last from then on."""
        self.requests: list[Request] = []
        self.connections = 0
        self.over = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def go_down(self) -> None:
        """Nobody listens any more."""
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that leaves in the middle of an answer is what several tests are about."""

    @property
    def asked(self) -> list[str]:
        return [request.path for request in self.requests]

    def put_sitemap(self, *addresses: str, at: str = f"{BASE}sitemap.xml") -> None:
        self.replies[at] = Reply(sitemap(*(self.absolute(address) for address in addresses)), type="application/xml")

    def put_index(self, at: str, *addresses: str) -> None:
        listed = "".join(f"<sitemap><loc>{self.absolute(address)}</loc></sitemap>" for address in addresses)
        self.replies[at] = Reply(f"<sitemapindex>{listed}</sitemapindex>".encode(), type="application/xml")

    def put_pages(self, *names: str) -> None:
        """Pages that say their names, and the sitemap that lists them."""
        for name in names:
            self.replies[f"{BASE}{name}"] = html(name)
        self.put_sitemap(*(f"{BASE}{name}" for name in names))

    def put_robots(self, *lines: str) -> None:
        self.replies["/robots.txt"] = Reply("\n".join(lines).encode(), type="text/plain")

    def absolute(self, address: str) -> str:
        return self.url + address if address.startswith("/") else address


class Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        reply = self.server.replies.get(self.path, Reply(b"not here", 404))
        if isinstance(reply, deque):
            reply = reply.popleft() if len(reply) > 1 else reply[0]
        if callable(reply):
            self.note(200, 0)
            reply(self)
            return
        etag = f'"{hashlib.sha256(reply.body).hexdigest()}"' if reply.has_etag and reply.status == 200 else ""
        if etag and self.headers["If-None-Match"] == etag:
            reply = Reply(b"", 304, reply.type, reply.headers)
        self.note(reply.status, len(reply.body))
        headers = {"Content-Type": reply.type, "Content-Length": str(len(reply.body)), "ETag": etag, **reply.headers}
        self.begin(reply.status, {name: value for name, value in headers.items() if value})
        self.wfile.write(reply.body)

    def note(self, status: int, sent: int) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Request(self.path, headers, status, sent))

    def begin(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "text/html", "Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def html(
    title: str = "Oven",
    content: str = "<p>Heat it.</p>",
    *,
    version: str = "current",
    locale: str = "en",
    head: str = "",
    category: str = "",
    **reply: Any,
) -> Reply:
    metas = {"locale": locale, "version": version, "tag": f"docs-default-{version}"}
    head += "".join(f"<meta name=docusaurus_{name} content={value}>" for name, value in metas.items())
    above = f"<nav class=theme-doc-breadcrumbs><ul><li>{category}</ul></nav>" if category else ""
    markup = (
        f"<!doctype html><html lang={locale} class=docs-wrapper><head><title>{title} | Bakery</title>{head}</head>"
        f"<body><main><article>{above}<div class='theme-doc-markdown markdown'><h1>{title}</h1>{content}</div>"
        "</article></main></body></html>"
    )
    return Reply(markup.encode(), **reply)


def sitemap(*addresses: str) -> bytes:
    return f"<urlset>{''.join(f'<url><loc>{address}</loc></url>' for address in addresses)}</urlset>".encode()


def moved(to: str, status: int = 301) -> Reply:
    return Reply(b"moved", status, headers={"Location": to})


def failing(status: int = 500, **headers: str) -> Reply:
    return Reply(b"oh", status, headers={name.replace("_", "-"): value for name, value in headers.items()})


# Reading it -------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture
def other() -> Iterator[Site]:
    """Another origin, which nobody may ask for anything."""
    with Site() as other:
        other.put_pages("stolen")
        yield other
        assert other.connections == 0


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PageCache]:
    with PageCache(tmp_path / "pages.sqlite") as cache:
        yield cache


class Reading:
    """One run over a site: its pages by path, the others by the name they were skipped under, and its pauses."""

    def __init__(self, site: Site, cache: PageCache, base: str = BASE, **limits: Any) -> None:
        self.naps: list[float] = []
        quick: dict[str, Any] = {"pause": 0.0, "connect": 10.0, "read": 10.0, **limits}
        results = list(fetch_live(site.url + base, cache, limits=Limits(**quick), sleep=self.naps.append).pages())
        self.in_order = [result for result in results if isinstance(result, Page)]
        self.pages = {page.path: page for page in self.in_order}
        self.skipped = {result.source: result for result in results if isinstance(result, Skipped)}

    def why(self, source: str) -> tuple[str, str]:
        return self.skipped[source].kind, self.skipped[source].reason


# Pages ------------------------------------------------------------------------------------------------


def test_a_page_is_told_with_all_that_its_site_says_of_it(site: Site, cache: PageCache) -> None:
    site.replies["/book/oven"] = html("Oven", "<p>Heat it.</p><h2 id=care>Care</h2><p>Wipe it.</p>", category="Tools")
    site.put_sitemap("/book/oven")

    page = Reading(site, cache).pages["/book/oven"]

    assert (page.title, page.source, page.breadcrumbs) == ("Oven", "/book/oven", ("Tools",))
    assert (page.version, page.locale, page.tag, page.latest) == ("current", "en", "docs-default-current", True)
    assert [(section.anchor, section.blocks[0].text) for section in page.sections] == [
        (None, "Heat it."),
        ("care", "Wipe it."),
    ]


def test_positions_follow_the_sitemap_within_a_version_and_a_locale(site: Site, cache: PageCache) -> None:
    site.put_pages("b", "old/b", "a", "fr/b")
    site.replies["/book/old/b"] = html("b", version="old")
    site.replies["/book/fr/b"] = html("b", locale="fr")

    pages = Reading(site, cache).in_order

    assert [(page.path, page.position) for page in pages] == [
        ("/book/b", 0),
        ("/book/old/b", 0),
        ("/book/a", 1),
        ("/book/fr/b", 0),
    ]


def test_the_latest_version_is_the_one_that_stands_above_the_others(site: Site, cache: PageCache) -> None:
    site.put_pages("next/oven", "1.0/oven", "oven")
    site.replies["/book/1.0/oven"] = html(version="1.0")
    site.replies["/book/oven"] = html(version="2.0")

    pages = Reading(site, cache).in_order

    assert {page.version: page.latest for page in pages} == {"current": False, "1.0": False, "2.0": True}


def test_a_canonical_address_decides_on_the_slash_at_the_end_and_on_nothing_else(
    site: Site, other: Site, cache: PageCache
) -> None:
    site.put_pages("a", "b", "c")
    site.replies["/book/a"] = html(head=f"<link rel=canonical href={site.url}/book/a/>")
    site.replies["/book/b"] = html(head=f"<link rel=canonical href={site.url}/book/elsewhere>")
    site.replies["/book/c"] = html(head=f"<link rel=canonical href={other.url}/book/c/>")

    assert list(Reading(site, cache).pages) == ["/book/a/", "/book/b", "/book/c"]


def test_paths_stay_encoded_as_they_are_served(site: Site, cache: PageCache) -> None:
    site.replies["/book/spare%20parts"] = html()
    site.replies["/book/%C3%A9t%C3%A9"] = html()
    site.put_sitemap("/book/spare%20parts", "/book/été#top")

    assert list(Reading(site, cache).pages) == ["/book/spare%20parts", "/book/%C3%A9t%C3%A9"]


def test_other_languages_are_found_through_the_first_page(site: Site, other: Site, cache: PageCache) -> None:
    site.put_pages("oven")
    links = (f"{site.url}/book/", f"{site.url}/book/fr/", f"{site.url}/book/de", f"{other.url}/book/it/", "/es/")
    site.replies["/book/"] = html(head="".join(f"<link rel=alternate hreflang=x href={link}>" for link in links))
    site.replies["/book/fr/oven"] = html("Four", locale="fr")
    site.put_sitemap("/book/fr/oven", at="/book/fr/sitemap.xml")

    reading = Reading(site, cache)

    assert [page.locale for page in reading.in_order] == ["en", "fr"]
    assert reading.why(f"{site.url}/book/de/sitemap.xml") == ("excluded", "it answers 404")
    assert reading.why(f"{other.url}/book/it/sitemap.xml")[0] == "excluded"
    assert reading.why(f"{site.url}/es/sitemap.xml")[0] == "excluded"
    assert "/es/sitemap.xml" not in site.asked


@pytest.mark.parametrize(("first", "locale"), [(failing(404), "fr"), (html(locale="de"), "de")])
def test_a_site_knows_its_address_and_its_first_locale(site: Site, cache: PageCache, first: Reply, locale: str) -> None:
    site.replies["/book/"] = first
    site.replies["/book/four"] = html(locale="fr")
    site.put_sitemap("/book/four")

    found = fetch_live(f"{site.url}/book?x#y", cache, limits=Limits(pause=0))

    assert (found.site_url, found.default_locale, found.revision()) == (site.url, locale, "")


def test_a_fingerprint_changes_with_the_pages_and_with_nothing_else(site: Site, cache: PageCache) -> None:
    def fingerprint() -> str:
        return fetch_live(site.url + BASE, cache, limits=Limits(pause=0)).fingerprint()

    site.put_pages("oven", "salt")
    first = fingerprint()
    site.replies["/book/oven"] = html("oven", head="<meta name=nonce content=1>")
    same = fingerprint()
    site.replies["/book/oven"] = html("oven", "<p>Cool it.</p>")
    changed = fingerprint()
    del site.replies["/book/salt"]

    assert first == same != changed != fingerprint()


# Manners ----------------------------------------------------------------------------------------------


def test_we_say_who_we_are_and_ask_on_one_connection(site: Site, cache: PageCache) -> None:
    site.put_pages("a", "b", "gone")
    del site.replies["/book/gone"]

    Reading(site, cache)
    again = len(site.requests)
    Reading(site, cache)

    assert {request.headers["user-agent"] for request in site.requests} == {f"askbook/{__version__}"}
    assert site.asked[:again] == [
        "/robots.txt",
        "/book/",
        "/book/sitemap.xml",
        "/book/a",
        "/book/b",
        "/book/gone",
    ]
    assert site.connections == 2  # one a run, whatever the answers were


@pytest.mark.parametrize(
    ("lines", "pause"),
    [((), 0.5), (("User-agent: *", "Crawl-delay: 2"), 2.0), (("User-agent: askbook", "Crawl-delay: 900"), 3.0)],
)
def test_we_pause_between_requests_as_robots_txt_asks_up_to_a_bound(
    site: Site, cache: PageCache, lines: tuple[str, ...], pause: float
) -> None:
    site.put_pages("a", "b")
    site.put_robots(*lines)

    naps = Reading(site, cache, pause=0.5, longest_pause=3.0).naps

    # The first pause comes before robots.txt was read.
    assert naps == [pause] * (len(site.requests) - 1)


def test_what_robots_txt_disallows_is_never_asked_for(site: Site, cache: PageCache) -> None:
    site.put_pages("a", "drafts/b")
    site.put_robots("User-agent: askbook", "Disallow: /book/drafts/")

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/a"]
    assert reading.why("/book/drafts/b") == ("excluded", "robots.txt asks askbook to stay away from it")
    assert "/book/drafts/b" not in site.asked


def test_what_robots_txt_disallows_is_not_reached_through_a_redirect_either(site: Site, cache: PageCache) -> None:
    site.put_pages("a", "drafts/b")
    site.put_sitemap("/book/c")
    site.replies["/book/c"] = moved("/book/drafts/b")
    site.put_robots("User-agent: *", "Disallow: /book/drafts/")

    assert Reading(site, cache).why("/book/c")[0] == "excluded"
    assert "/book/drafts/b" not in site.asked


def test_a_site_that_wants_no_robots_is_not_read(site: Site, cache: PageCache) -> None:
    site.put_pages("a")
    site.put_robots("User-agent: *", "Disallow: /")

    with pytest.raises(SourceError, match=r"robots\.txt asks askbook to stay away"):
        Reading(site, cache)

    assert site.asked == ["/robots.txt"]


@pytest.mark.parametrize("status", [403, 404])
def test_a_site_without_robots_txt_may_be_read(site: Site, cache: PageCache, status: int) -> None:
    site.put_pages("a")
    site.replies["/robots.txt"] = failing(status)

    assert list(Reading(site, cache).pages) == ["/book/a"]


@pytest.mark.parametrize(
    "reply",
    [
        failing(500),
        Reply(b"#" * 600_000),
        Reply("User-agent: *\nCrawl-delay: ²".encode()),
        Reply(b"User-agent: *\nDisallow: //[x"),
    ],
)
def test_a_robots_txt_that_cannot_be_read_ends_the_run(site: Site, cache: PageCache, reply: Reply) -> None:
    site.put_pages("a")
    site.replies["/robots.txt"] = reply

    with pytest.raises(SourceError, match=r"/robots\.txt says what may be read, but .*\.$"):
        Reading(site, cache)

    assert set(site.asked) == {"/robots.txt"}


# Sitemaps ---------------------------------------------------------------------------------------------


def test_robots_txt_names_the_sitemaps(site: Site, other: Site, cache: PageCache) -> None:
    site.put_pages("unlisted")
    site.replies["/book/a"] = html()
    site.put_sitemap("/book/a?x#y", at="/maps?all")
    site.put_robots(f"Sitemap: {site.url}/maps?all", f"Sitemap: {other.url}/book/sitemap.xml")

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/a"]
    assert reading.why(f"{other.url}/book/sitemap.xml") == (
        "excluded",
        f"it is a sitemap of another site than {site.url}",
    )


def test_where_the_named_sitemaps_list_nothing_of_the_book_its_own_is_read(site: Site, cache: PageCache) -> None:
    site.put_pages("a")
    site.put_sitemap("/elsewhere", at="/sitemap.xml")
    site.put_robots(f"Sitemap: {site.url}/sitemap.xml")

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/a"]
    assert reading.why(f"{site.url}/elsewhere") == ("excluded", f"it lies outside of {site.url}/book/")


def test_a_site_without_a_sitemap_says_what_to_do(site: Site, cache: PageCache) -> None:
    with pytest.raises(SourceError, match=r"has no sitemap: give the address at which the site begins"):
        Reading(site, cache)


def test_a_sitemap_that_is_a_page_is_none(site: Site, cache: PageCache) -> None:
    site.replies["/book/sitemap.xml"] = html("A host that shows one page for every address")

    with pytest.raises(SourceError, match="it is no sitemap"):
        Reading(site, cache)


def test_a_site_that_lives_elsewhere_is_told_by_its_address(site: Site, other: Site, cache: PageCache) -> None:
    site.replies["/robots.txt"] = moved(f"{other.url}/robots.txt")

    with pytest.raises(SourceError, match=f"it sends its readers to another site, {other.url}"):
        Reading(site, cache)


def test_pages_of_other_hosts_and_of_other_parts_of_the_site_are_not_asked_for(
    site: Site, other: Site, cache: PageCache
) -> None:
    site.replies["/book/a"] = html()
    outside = ["/bookshop", "/secret", "/book/%2e%2e/secret", "/book/..%2fsecret", "/book/../secret"]
    foreign = [f"{other.url}/book/stolen", "http://xn--a/book/a", "http://[", "mailto:baker@example.com"]
    site.put_sitemap("/book/a", *outside, *foreign)

    reading = Reading(site, cache)

    assert reading.why(f"{site.url}/bookshop and 4 more") == ("excluded", f"it lies outside of {site.url}/book/")
    assert reading.why(f"{other.url}/book/stolen and 3 more") == ("excluded", f"it is no address of {site.url}")
    assert set(site.asked) == {"/robots.txt", "/book/", "/book/sitemap.xml", "/book/a"}


def test_indexes_of_sitemaps_are_followed_three_deep(site: Site, cache: PageCache) -> None:
    for name in ("three", "four", "later"):
        site.replies[f"/book/{name}"] = html()
    site.put_index("/book/sitemap.xml", "/book/2.xml", "/book/later.xml")
    site.put_index("/book/2.xml", "/book/3.xml")
    site.put_index("/book/3.xml", "/book/4.xml", "/book/three.xml")
    site.put_index("/book/4.xml", "/book/four.xml")
    for name in ("three", "four", "later"):
        site.put_sitemap(f"/book/{name}", at=f"/book/{name}.xml")

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/three", "/book/later"]
    assert reading.why(f"{site.url}/book/4.xml") == ("bad", "it lies below 3 other indexes of sitemaps")


def test_indexes_that_name_each_other_are_read_once(site: Site, cache: PageCache) -> None:
    site.put_index("/book/sitemap.xml", "/book/sitemap.xml", "/book/2.xml", "/book/pages.xml")
    site.put_index("/book/2.xml", "/book/sitemap.xml", "/book/2.xml")
    site.replies["/book/a"] = html()
    site.put_sitemap("/book/a", "/book/a", at="/book/pages.xml")

    reading = Reading(site, cache)

    assert (list(reading.pages), reading.skipped) == (["/book/a"], {})
    assert len(site.asked) == len(set(site.asked))


def test_more_sitemaps_than_allowed_are_told(site: Site, cache: PageCache) -> None:
    site.put_index("/book/sitemap.xml", *(f"/book/{number}.xml" for number in range(5)))
    for number in range(5):
        site.put_sitemap(f"/book/{number}", at=f"/book/{number}.xml")
        site.replies[f"/book/{number}"] = html()

    reading = Reading(site, cache, sitemaps=3)

    assert list(reading.pages) == ["/book/0", "/book/1"]
    assert reading.why(f"{site.url}/book/2.xml") == ("bad", "it comes after 3 other sitemaps")


def test_more_pages_than_allowed_are_told(site: Site, cache: PageCache) -> None:
    site.put_pages("a", "b", "c", "d")

    reading = Reading(site, cache, addresses=2)

    assert list(reading.pages) == ["/book/a", "/book/b"]
    assert reading.why(f"{site.url}/book/c and 1 more") == ("bad", "it comes after 2 other pages")


def test_a_sitemap_that_is_down_ends_the_run(site: Site, cache: PageCache) -> None:
    site.put_pages("a")
    site.put_index("/book/sitemap.xml", "/book/a.xml", "/book/b.xml")
    site.put_sitemap("/book/a", at="/book/a.xml")
    site.replies["/book/b.xml"] = failing()

    with pytest.raises(SourceError, match=r"/book/b\.xml says which pages there are, but it answers 500"):
        Reading(site, cache)


def test_a_first_page_that_is_down_ends_the_run(site: Site, cache: PageCache) -> None:
    site.put_pages("a")
    site.replies["/book/"] = failing()

    with pytest.raises(SourceError, match="names the site's languages, but it answers 500"):
        Reading(site, cache)


def test_a_sitemap_that_is_too_large_is_left_out(site: Site, cache: PageCache) -> None:
    site.put_pages("a")
    site.put_index("/book/sitemap.xml", "/book/large.xml", "/book/small.xml")
    site.put_sitemap(*["/book/a"] * 100, at="/book/large.xml")
    site.put_sitemap("/book/a", at="/book/small.xml")

    reading = Reading(site, cache, sitemap_bytes=1_000)

    assert list(reading.pages) == ["/book/a"]
    assert reading.why(f"{site.url}/book/large.xml") == ("bad", "it is larger than 0.001 MB")


def test_a_billion_laughs_stay_untold(site: Site, cache: PageCache) -> None:
    laughs = "".join(f'<!ENTITY lol{n + 1} "{f"&lol{n};" * 10}">' for n in range(9))
    bomb = f'<!DOCTYPE lolz [<!ENTITY lol0 "lol">{laughs}<!ENTITY x SYSTEM "{site.url}/x">]>'
    site.put_pages("a")
    addresses = sitemap(f"{site.url}/book/a", f"{site.url}/book/&lol9;/", f"{site.url}/book/&x;/").decode()
    site.replies["/book/sitemap.xml"] = Reply(f"<?xml version='1.0'?>{bomb}{addresses}".encode())

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/a"]
    assert set(reading.skipped) == {"/book/&lol9;/", "/book/&x;/"}
    assert "/x" not in site.asked


# Answers that are no pages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (failing(404), "bad", "it answers 404"),
        (failing(410, X_Robots_Tag="noindex"), "bad", "it answers 410"),
        (failing(401), "bad", "it answers 401"),
        (failing(301), "bad", "it answers 301"),
        (Reply(b"", 304), "bad", "it answers 304"),
        (html(head="<meta name=robots content='noindex, nofollow'>"), "excluded", "robots noindex"),
        (html(headers={"X-Robots-Tag": "nofollow, NoIndex"}), "excluded", "X-Robots-Tag"),
        (Reply(b"%PDF", type="application/pdf"), "excluded", "it is no HTML, but application/pdf"),
        (Reply(b"<p>", type=""), "excluded", "it is no HTML, but of an untold type"),
        (html("Fr\u00fchst\u00fcck", "\u00fc" * 9), "", ""),
        (Reply("<main>Frühstück</main>".encode("latin-1")), "bad", "it is not UTF-8 text"),
        (Reply("<main>Früh</main>".encode("utf-16")), "bad", "it is not UTF-8 text"),
        (html(headers={"Content-Encoding": "gzip, gzip"}), "bad", "packed as gzip, gzip, which nobody asked for"),
        (html(headers={"Content-Encoding": "gzip"}), "bad", "it cannot be unpacked"),
    ],
)
def test_an_answer_that_is_no_page_is_told_with_its_reason(
    site: Site, cache: PageCache, reply: Reply, kind: str, reason: str
) -> None:
    site.put_pages("a", "b")
    site.replies["/book/a"] = reply

    reading = Reading(site, cache)

    assert [skip.kind for skip in reading.skipped.values()] == [kind] * bool(kind)
    assert all(reason in skip.reason for skip in reading.skipped.values())
    assert "/book/b" in reading.pages


def test_a_page_that_makes_us_fail_costs_no_other(
    site: Site, cache: PageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_html(markup: str) -> Any:
        if "<h1>a</h1>" in markup:
            raise RecursionError
        return html_reader.read_html(markup)

    monkeypatch.setattr(live, "read_html", read_html)
    site.put_pages("a", "b")

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/b"]
    assert reading.why("/book/a") == ("bad", "Askbook failed to read it: RecursionError")


def test_packed_pages_are_unpacked(site: Site, cache: PageCache) -> None:
    site.put_pages("a")
    packed = gzip.compress(html("Packed", "<p>" + "Heat it. " * 50_000).body)
    site.replies["/book/a"] = Reply(packed, headers={"Content-Encoding": "gzip"})

    page = Reading(site, cache).pages["/book/a"]

    assert (page.title, len(page.sections[0].blocks[0].text)) == ("Packed", 9 * 50_000 - 1)
    assert site.requests[0].headers["accept-encoding"] == "gzip"


def test_a_gzip_bomb_is_stopped_before_it_is_large(
    site: Site, cache: PageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put_pages("a", "b")
    bomb = gzip.compress(b"\0" * 50_000_000)
    site.replies["/book/a"] = Reply(bomb, headers={"Content-Encoding": "gzip"})
    unpacked = counted(monkeypatch)

    reading = Reading(site, cache, page_bytes=100_000)

    assert reading.why("/book/a") == ("bad", "it is larger than 0.1 MB")
    assert list(reading.pages) == ["/book/b"]
    assert sum(unpacked) < 300_000


def test_an_endless_page_is_left_when_it_is_too_large(site: Site, cache: PageCache) -> None:
    left = threading.Event()

    def endless(handler: Handler) -> None:
        handler.begin()
        try:
            while True:
                handler.wfile.write(b"<p>More." * 1_000)
        except OSError:
            left.set()

    site.put_pages("a", "b")
    site.replies["/book/a"] = endless

    reading = Reading(site, cache, page_bytes=100_000)

    assert reading.why("/book/a") == ("bad", "it is larger than 0.1 MB")
    assert list(reading.pages) == ["/book/b"]
    assert left.wait(10)


def test_a_page_that_stops_in_the_middle_is_left(site: Site, cache: PageCache) -> None:
    def slow(handler: Handler) -> None:
        handler.begin()
        handler.wfile.write(b"<p>Wait")
        site.over.wait(30)

    site.put_pages("a", "b")
    site.replies["/book/a"] = slow

    with deadline(5):
        reading = Reading(site, cache, read=0.1, attempts=2)

    assert reading.why("/book/a") == ("bad", "it cannot be reached (timed out)")
    assert list(reading.pages) == ["/book/b"]
    assert site.asked.count("/book/a") == 2


def test_a_page_that_goes_on_and_on_saying_nothing_is_left(site: Site, cache: PageCache) -> None:
    def drip(handler: Handler) -> None:
        handler.begin(headers={"Content-Type": "text/html", "Content-Encoding": "gzip", "Connection": "close"})
        handler.wfile.write(gzip.compress(b"")[:10])
        while True:
            handler.wfile.write(b"\0\0\0\xff\xff" * 1_000)  # of deflate, blocks that hold nothing

    site.put_pages("a", "b")
    site.replies["/book/a"] = drip

    reading = Reading(site, cache, whole_answer=0.1, attempts=1)

    assert reading.why("/book/a") == ("bad", "it takes too long")
    assert list(reading.pages) == ["/book/b"]


# Redirects --------------------------------------------------------------------------------------------


def test_redirects_within_the_book_are_followed(site: Site, cache: PageCache) -> None:
    site.put_sitemap("/book/0")
    for number in range(5):
        site.replies[f"/book/{number}"] = moved(f"/book/{number + 1}", 302)
    site.replies["/book/5"] = html()

    page = Reading(site, cache).pages["/book/5"]

    assert page.source == "/book/5"


@pytest.mark.parametrize("target", ["/book/{}x", "/book/"])
def test_redirects_without_an_end_are_left(site: Site, cache: PageCache, target: str) -> None:
    site.put_sitemap("/book/")
    for number in range(9):
        site.replies["/book/" + "x" * number] = moved(target.format("x" * number))

    reading = Reading(site, cache)

    assert reading.why("/book/") == ("bad", "it sends its readers on more than 5 times")
    assert "/book/xxxxxx" not in site.asked


def test_a_redirect_to_another_site_is_not_followed(site: Site, other: Site, cache: PageCache) -> None:
    site.put_pages("a", "b")
    site.replies["/book/a"] = moved(f"{other.url}/book/stolen")

    reading = Reading(site, cache)

    assert reading.why("/book/a") == ("bad", f"it sends its readers to another site, {other.url}")
    assert list(reading.pages) == ["/book/b"]


def test_a_redirect_out_of_the_book_is_not_followed(site: Site, cache: PageCache) -> None:
    site.put_pages("a")
    site.replies["/book/a"] = moved("/secret")

    assert Reading(site, cache).why("/book/a")[1] == f"it sends its readers to /secret, outside of {site.url}/book/"
    assert "/secret" not in site.asked


def test_a_page_under_two_addresses_is_read_once(site: Site, cache: PageCache) -> None:
    site.put_pages("a", "b")
    site.replies["/book/b"] = moved("/book/a#top")

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/a"]
    assert reading.why("/book/b") == ("excluded", "it is the same page as /book/a")
    assert site.asked.count("/book/a") == 1


# A site in trouble ------------------------------------------------------------------------------------


def test_a_failure_that_passes_is_survived(site: Site, cache: PageCache) -> None:
    site.put_pages("a")
    site.replies["/book/a"] = deque([failing(502), failing(500), html()])

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/a"]
    assert len(reading.naps) == 2
    assert all(1 <= nap <= 4 for nap in reading.naps)


def test_a_failure_that_stays_is_told_and_the_next_page_read(site: Site, cache: PageCache) -> None:
    site.put_pages("a", "b", "c", "d", "e", "f")
    for name in "abdeg":
        site.replies[f"/book/{name}"] = failing()

    reading = Reading(site, cache, failures_in_a_row=3)

    assert list(reading.pages) == ["/book/c", "/book/f"]
    assert reading.why("/book/a") == ("bad", "it answers 500")
    assert site.asked.count("/book/a") == 3


def test_a_site_that_goes_down_midway_is_no_site_without_pages(site: Site, cache: PageCache) -> None:
    def last_words(handler: Handler) -> None:
        site.go_down()
        handler.close_connection = True

    site.put_pages(*"abcdef")
    site.replies["/book/c"] = last_words
    pages: list[Page | Skipped] = []

    with pytest.raises(SourceError, match=rf"^{site.url} failed for 3 addresses in a row .*run this again later\.$"):
        pages += fetch_live(site.url + BASE, cache, limits=Limits(pause=0), sleep=lambda _: None).pages()

    assert pages == []
    assert cache.find(f"{site.url}/book/a")


def test_a_site_that_is_not_there_says_so(cache: PageCache) -> None:
    with Site() as site:
        site.go_down()

        with pytest.raises(SourceError, match="it cannot be reached"):
            Reading(site, cache)


@pytest.mark.parametrize("status", [429, 503])
def test_we_come_back_when_we_are_asked_to(site: Site, cache: PageCache, status: int) -> None:
    site.put_pages("a")
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    site.replies["/book/a"] = deque([failing(status, Retry_After="30"), failing(status, Retry_After=soon), html()])

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/a"]
    assert reading.naps[0] == 30
    assert 40 < reading.naps[1] <= 50


@pytest.mark.parametrize(
    "words",
    ["soon", "-1", "²", "Mon, 99 Foo", "Mon, 01 Jan 2001 00:00:00 +9" + "9" * 99, "Mon, 01 Jan 2001 00:00:00 GMT"],
)
def test_a_retry_after_that_says_nothing_is_as_none(site: Site, cache: PageCache, words: str) -> None:
    site.put_pages("a")
    site.replies["/book/a"] = deque([failing(503, Retry_After=words.encode().decode("latin-1")), html()])

    (nap,) = Reading(site, cache).naps

    assert 1 <= nap <= 2


@pytest.mark.parametrize("after", ["3600", "9" * 5_000])
def test_a_site_that_asks_for_a_long_pause_is_left_alone(site: Site, cache: PageCache, after: str) -> None:
    site.put_pages("a", "b")
    site.replies["/book/a"] = failing(429, Retry_After=after)

    with pytest.raises(SourceError, match="asks for a pause of"):
        Reading(site, cache)

    assert site.asked[-1] == "/book/a"


def test_a_run_that_takes_too_long_ends_and_the_next_goes_on(
    site: Site, cache: PageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put_pages("a", "b")
    clock = [0.0]

    def slow(handler: Handler) -> None:
        clock[0] += 100
        handler.begin(headers={"Content-Type": "text/html", "Content-Length": "0"})

    site.replies["/book/b"] = slow
    site.put_sitemap("/book/a", "/book/b", "/book/c")

    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    with pytest.raises(SourceError, match="not read to its end in 50 seconds"):
        Reading(site, cache, whole_run=50.0)

    assert site.asked[-1] == "/book/b"
    assert cache.find(f"{site.url}/book/a")


@pytest.mark.parametrize("address", ["", "book", "ftp://a.example/", "http://", "https:///book", "//a/b", "\udcff"])
def test_an_address_that_is_none_says_what_one_looks_like(cache: PageCache, address: str) -> None:
    with pytest.raises(SourceError, match="is no address of a site: give one such as"):
        fetch_live(address, cache)


def test_a_password_in_an_address_is_refused_and_not_repeated(cache: PageCache) -> None:
    with pytest.raises(SourceError) as failure:
        fetch_live("https://baker:secret@example.com/", cache)

    assert "secret" not in str(failure.value)


# A second run -----------------------------------------------------------------------------------------


def test_a_second_run_of_an_unchanged_site_costs_no_bodies(site: Site, tmp_path: Path) -> None:
    site.put_robots("User-agent: *", "Disallow:")
    site.put_pages("", "a", "b")
    site.replies["/book/b"] = html("b", headers={"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})
    with PageCache(tmp_path / "pages.sqlite") as cache:
        first = Reading(site, cache)
    asked = len(site.requests)

    with PageCache(tmp_path / "pages.sqlite") as cache:
        second = Reading(site, cache)

    assert second.in_order == first.in_order
    again = site.requests[asked:]
    assert [request.path for request in again] == site.asked[:asked]
    assert {(request.status, request.sent) for request in again} == {(304, 0)}
    assert again[-1].headers["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"


def test_a_changed_page_is_read_anew(site: Site, cache: PageCache) -> None:
    site.put_pages("a", "b")
    Reading(site, cache)
    site.replies["/book/a"] = html("New")

    assert [page.title for page in Reading(site, cache).in_order] == ["New", "b"]


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


@pytest.mark.parametrize("reply", [failing(404), failing(500), Reply(b"%PDF", type="application/pdf"), hang_up])
def test_a_page_of_the_last_run_is_not_used_where_the_site_does_not_confirm_it(
    site: Site, cache: PageCache, reply: Reply | Script
) -> None:
    site.put_pages("a", "b")
    Reading(site, cache)
    site.replies["/book/a"] = reply

    assert list(Reading(site, cache).pages) == ["/book/b"]


def test_a_page_that_gives_no_way_to_ask_for_changes_is_sent_again(site: Site, cache: PageCache) -> None:
    site.put_pages("a")
    site.replies["/book/a"] = html(has_etag=False)
    Reading(site, cache)
    Reading(site, cache)

    assert not {"if-none-match", "if-modified-since"} & site.requests[-1].headers.keys()
    assert site.requests[-1].status == 200


def test_a_page_that_was_cut_is_not_kept(site: Site, cache: PageCache) -> None:
    def cut(handler: Handler) -> None:
        handler.begin(headers={"Content-Type": "text/html", "Content-Length": "999", "ETag": '"1"'})
        handler.wfile.write(b"<main>Half")
        handler.close_connection = True

    def cut_packed(handler: Handler) -> None:
        handler.begin(headers={"Content-Type": "text/html", "Content-Encoding": "gzip", "Connection": "close"})
        handler.wfile.write(gzip.compress(html().body)[:-20])

    site.put_pages("a", "b", "c")
    site.replies["/book/a"], site.replies["/book/b"] = cut, cut_packed

    reading = Reading(site, cache)

    assert list(reading.pages) == ["/book/c"]
    assert reading.why("/book/b") == ("bad", "it breaks off")
    assert cache.find(f"{site.url}/book/a") is cache.find(f"{site.url}/book/b") is None


def test_what_a_site_does_not_list_any_more_is_forgotten(site: Site, cache: PageCache) -> None:
    cache.put("http://elsewhere.example/", Kept(b"1"))
    site.put_pages("a", "b")
    Reading(site, cache)
    site.put_sitemap("/book/b")
    Reading(site, cache)

    assert cache.find(f"{site.url}/book/a") is None
    assert cache.find(f"{site.url}/book/b")
    assert cache.find("http://elsewhere.example/") == Kept(b"1")


def test_progress_is_told_while_the_site_is_fetched(site: Site, cache: PageCache) -> None:
    site.put_pages("a", "b")
    told: list[tuple[int, int, int]] = []

    def note(done: int, total: int) -> None:
        told.append((done, total, len(site.requests)))

    fetch_live(site.url + BASE, cache, limits=Limits(pause=0), on_progress=note)

    assert told == [(0, 2, 3), (1, 2, 4), (2, 2, 5)]


# Sitemaps as text -------------------------------------------------------------------------------------


def test_a_sitemap_lists_addresses_in_their_order() -> None:
    text = "<?xml version='1.0'?><urlset xmlns='x'><url><loc> https://a/?b&amp;c </loc><image:loc>i</image:loc></url>"

    read = read_sitemap(f"{text}<url><loc>\n<![CDATA[https://a/?d&amp;e]]></loc></url><url><loc/></url></urlset>")

    assert (read.addresses, read.is_index, read.trouble) == (("https://a/?b&c", "https://a/?d&amp;e"), False, "")


def test_a_sitemap_that_breaks_off_says_so() -> None:
    read = read_sitemap("<sitemapindex><sitemap><loc>https://a/b</loc></sitemap><sitemap><loc>https")

    assert (read.addresses, read.is_index, read.trouble) == (("https://a/b",), True, "it breaks off before its end")


def test_a_sitemap_of_too_many_addresses_says_how_many_were_left_out() -> None:
    read = read_sitemap(f"<urlset>{'<loc>https://a/</loc>' * (MAX_ADDRESSES + 7)}</urlset>")

    assert len(read.addresses) == MAX_ADDRESSES
    assert read.trouble.startswith("7 of its addresses were left out")


@pytest.mark.parametrize("filling", ["<loc>", "<", "<loc> ", " ", "<loc><![CDATA[", "]]>", "<!--", "<a>", "&lol;"])
def test_a_sitemap_takes_time_by_its_length_alone(filling: str) -> None:
    text = f"<urlset><loc>{filling * (2_000_000 // len(filling))}"

    with deadline(10):
        read = read_sitemap(text)

    assert read.addresses == ()


def test_versions_with_paths_of_their_own_are_told_by_where_they_stand() -> None:
    def placed(version: str, path: str, locale: str = "en") -> Page:
        return Page(path, "", "", (), version=version, locale=locale, tag=f"docs-api-{version}")

    pages = [
        placed("current", "/api/canary/a"),
        placed("current", "/api/canary/b/c"),
        placed("3", "/api/a"),
        placed("3", "/api/b/c"),
        placed("2", "/api/2/a"),
        placed("2", "/a", "fr"),
        Page("/blog/next/a", "", "", (), tag="default"),
    ]

    assert latest_tags(pages) == {"docs-api-3", "default"}


def test_a_version_that_its_addresses_name_is_not_the_latest_however_high_it_stands() -> None:
    pages = [
        Page("/docs/next/a", "", "", (), tag="docs-default-current"),
        Page("/docs/guides/oven/a", "", "", (), version="2.0", tag="docs-default-2.0"),
    ]

    assert latest_tags(pages) == {"docs-default-2.0"}


# Help -------------------------------------------------------------------------------------------------


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all pieces that are unpacked."""
    sizes: list[int] = []
    original = live._unpacked

    def unpacked(*of: Any) -> Iterator[bytes]:
        for piece in original(*of):
            sizes.append(len(piece))
            yield piece

    monkeypatch.setattr(live, "_unpacked", unpacked)
    return sizes


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds
