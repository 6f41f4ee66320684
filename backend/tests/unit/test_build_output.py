"""A built site and the pages that become of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatbot_api.errors import SourceError
from chatbot_api.models.domain import Block, Page, Section
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.build_output import BuildSite, is_build, read_build, read_site
from qdrant_indexer.sources.html import HtmlDocument, read_html
from qdrant_indexer.sources.merge import merge_sections

Json = dict[str, object]
SITE: Json = {"url": "https://bakery.example", "locale": "en", "defaultLocale": "en", "locales": ["en", "fr"]}


def html(title: str, content: str = "<p>text", *, version: str = "", locale: str = "en", head: str = "") -> str:
    metas = f"<meta name=docusaurus_locale content={locale}>"
    if version:
        metas += (
            f"<meta name=docusaurus_version content={version}><meta name=docusaurus_tag content=docs-default-{version}>"
        )
    return (
        f"<!doctype html><html lang={locale}><head>{metas}{head}</head><body><main><article>"
        f"<div class=theme-doc-markdown><header><h1>{title}</h1></header>{content}</div></article></main>"
    )


HOME = "<meta name=docusaurus_locale content=en><main>Written in React"


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def listed(name: str, **fields: object) -> Json:
    plain: Json = {"kind": "doc", "route": f"/docs/{name}", "file": f"docs/{name}/index.html", "title": None}
    plain |= {"source": f"docs/{name}.md", "pluginId": "default", "version": "current", "position": 0}
    return plain | fields


def manifest(*entries: Json, site: Json | None = None, **fields: object) -> str:
    return json.dumps(
        {"askbook": 1, "revision": "", "site": SITE | (site or {}), "docs": [], "pages": entries} | fields
    )


def sitemap(*addresses: str) -> str:
    urls = "".join(f"<url><loc>{address}</loc><priority>0.5</priority></url>" for address in addresses)
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset xmlns:image="http://x">{urls}</urlset>'


def pages(folder: Path, source_dir: Path | None = None) -> list[Page]:
    return [entry for entry in read_build(folder, source_dir=source_dir) if isinstance(entry, Page)]


def skipped(folder: Path) -> list[tuple[str, str, str]]:
    entries = [entry for entry in read_build(folder) if isinstance(entry, Skipped)]
    return [(entry.source, entry.reason, entry.kind) for entry in entries]


# Which folder ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["askbook-manifest.json", "sitemap.xml"])
def test_a_build_is_known_by_its_manifest_or_its_sitemap(tmp_path: Path, name: str) -> None:
    write(tmp_path, {f"build/{name}": manifest()})

    assert is_build(tmp_path / "build")
    assert not is_build(tmp_path)


def test_what_is_no_build_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="build your site"):
        read_build(tmp_path)

    write(tmp_path, {"build/sitemap.xml": sitemap()})
    with pytest.raises(SourceError, match=f"give {tmp_path}/build"):
        read_site(tmp_path)


def test_a_manifest_tells_of_the_site(tmp_path: Path) -> None:
    versions = [{"name": "2.0", "isLast": True}, {"name": "1.0", "isLast": False}]
    docs = [{"pluginId": "default", "versions": versions}]
    write(
        tmp_path, {"askbook-manifest.json": manifest(site={"url": "https://a.example/"}, docs=docs, revision="c0ffee")}
    )

    assert read_site(tmp_path) == BuildSite("https://a.example", "c0ffee", ("en", "fr"), "en", {"default": "2.0"})


def test_without_a_manifest_the_sitemap_and_the_first_page_tell_of_the_site(tmp_path: Path) -> None:
    write(tmp_path, {"sitemap.xml": sitemap("https://a.example:8000/base/docs", "https://b.example/")})
    assert read_site(tmp_path) == BuildSite("https://a.example:8000")

    write(tmp_path, {"index.html": html("Accueil", locale="fr"), "sitemap.xml": sitemap()})
    assert read_site(tmp_path) == BuildSite("", default_locale="fr")


# By manifest -------------------------------------------------------------------------------------------


def test_a_page_has_what_its_manifest_says_and_its_html_holds(tmp_path: Path) -> None:
    entry = listed("oven", title="The oven", version="2.0", breadcrumbs=["Tools"], position=7, tags=["a"])
    write(tmp_path, {"askbook-manifest.json": manifest(entry, generator="x"), "docs/oven/index.html": html("Oven")})

    assert pages(tmp_path) == [
        Page(
            path="/docs/oven",
            title="The oven",
            source="oven.md",
            sections=(Section((), None, (Block("paragraph", "text"),)),),
            version="2.0",
            locale="en",
            tag="docs-default-2.0",
            latest=True,
            breadcrumbs=("Tools",),
            position=0,
        )
    ]


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, "oven.md"),
        ({"source": "versioned_docs/version-2.0/oven.md"}, "versioned_docs/version-2.0/oven.md"),
        ({"source": "i18n/fr/x/current/oven.md"}, "i18n/fr/x/current/oven.md"),
        ({"source": "docs/oven.md", "pluginId": "club"}, "docs/oven.md"),
        ({"source": "docs/oven.md", "kind": "page"}, "docs/oven.md"),
        ({"source": None}, "fr/docs/oven/index.html"),
        ({"source": ""}, "fr/docs/oven/index.html"),
    ],
)
def test_a_page_is_named_by_its_source_as_the_markdown_reader_names_it(
    tmp_path: Path, fields: Json, source: str
) -> None:
    write(
        tmp_path,
        {
            "askbook-manifest.json": manifest(),
            "fr/askbook-manifest.json": manifest(listed("oven", **fields), site={"locale": "fr"}),
            "fr/docs/oven/index.html": html("Four"),
        },
    )

    assert [(page.source, page.locale) for page in pages(tmp_path)] == [(source, "fr")]


@pytest.mark.parametrize(
    ("given_title", "shown", "title"),
    [
        ("Ovens", "All about ovens", "Ovens"),
        ("The *oven*", "The oven", "The oven"),
        (None, "The oven", "The oven"),
        ("", "", "/docs/oven"),
    ],
)
def test_the_title_is_the_listed_one_in_the_words_that_are_shown(
    tmp_path: Path, given_title: str | None, shown: str, title: str
) -> None:
    entry = listed("oven", title=given_title)
    write(tmp_path, {"askbook-manifest.json": manifest(entry), "docs/oven/index.html": html(shown)})

    assert [page.title for page in pages(tmp_path)] == [title]


def test_pages_come_in_the_reading_order_of_each_version_and_locale(tmp_path: Path) -> None:
    names = ("a", "c", "old", "club", "post")
    entries = [
        listed("c", position=2),
        listed("a", position=0),
        listed("hidden", position=1, unlisted=True),
        listed("old", version="1.0", position=0),
        listed("club", pluginId="club"),
        listed("post", kind="blog", version=None),
    ]
    french = [entry | {"route": f"/fr{entry['route']}"} for entry in entries]
    write(
        tmp_path,
        {
            "askbook-manifest.json": manifest(*entries),
            "fr/askbook-manifest.json": manifest(*french, site={"locale": "fr"}),
            **{f"{folder}docs/{name}/index.html": html(name) for folder in ("", "fr/") for name in names},
        },
    )

    for locale in ("en", "fr"):
        found = [page for page in pages(tmp_path) if page.locale == locale]
        assert [(page.title, page.version, page.position) for page in found] == [
            ("a", "current", 0),
            ("c", "current", 1),
            ("old", "1.0", 0),
            ("club", "current", 0),
            ("post", "current", 0),
        ]


def test_a_page_knows_its_docs_instance_and_whether_its_version_is_the_latest(tmp_path: Path) -> None:
    docs = [
        {"pluginId": "default", "versions": [{"name": "current"}, {"name": "1.0", "isLast": True}]},
        {"pluginId": "club", "versions": [{"name": "current", "isLast": True}]},
    ]
    entries = [
        listed("next"),
        listed("old", version="1.0"),
        listed("club", pluginId="club"),
        listed("post", kind="blog", version=None),
    ]
    write(tmp_path, {"askbook-manifest.json": manifest(*entries, docs=docs)})
    write(tmp_path, {f"docs/{name}/index.html": html(name) for name in ("next", "old", "club", "post")})

    assert [(page.tag, page.version, page.latest) for page in pages(tmp_path)] == [
        ("docs-default-current", "current", False),
        ("docs-default-1.0", "1.0", True),
        ("docs-club-current", "current", True),
        ("default", "current", True),
    ]


def test_only_what_is_listed_and_meant_for_readers_is_read(tmp_path: Path) -> None:
    entries = [listed("in"), listed("secret", unlisted=True), listed("quiet", noIndex=True)]
    names = ("in", "secret", "quiet", "not-listed")
    write(tmp_path, {f"docs/{name}/index.html": html(name) for name in names})
    write(tmp_path, {"askbook-manifest.json": manifest(*entries), "sitemap.xml": sitemap("https://x/docs/not-listed")})

    assert [page.title for page in pages(tmp_path)] == ["in"]
    assert skipped(tmp_path) == [
        ("secret.md", "it is marked as unlisted", "excluded"),
        ("quiet.md", "it asks not to be indexed", "excluded"),
    ]


def test_a_site_that_keeps_search_engines_away_is_read(tmp_path: Path) -> None:
    robots = "<meta name=robots content=noindex>"
    write(tmp_path, {"docs/oven/index.html": html("Oven", head=robots)})

    write(tmp_path, {"askbook-manifest.json": manifest(listed("oven"))})
    assert pages(tmp_path) == []

    write(tmp_path, {"askbook-manifest.json": manifest(listed("oven"), site={"noIndex": True})})
    assert [page.title for page in pages(tmp_path)] == ["Oven"]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (listed("none"), "it is not in the build: docs/none/index.html"),
        (listed("x", file="../out.html"), "outside the folder"),
        (listed("x", file="/etc/hostname"), "outside the folder"),
        (listed("x", file="link.html"), "outside the folder"),
        (listed("x", file="loop.html"), "cannot be read"),
        (listed("x", file="a\0b"), "cannot be read"),
        (listed("x", file="n" * 300), "cannot be read"),
        (listed("x", file="docs"), "not a file"),
        (listed("x", file="latin.html"), "not UTF-8"),
        (listed("x", file="large.html"), "larger than 20 MB"),
        (listed("x", file="links.html"), "no document"),
        (listed("x", route="/docs/good/"), "already that of good.md"),
    ],
)
def test_a_bad_page_says_why_and_costs_no_other(tmp_path: Path, entry: Json, reason: str) -> None:
    build = tmp_path / "build"
    write(tmp_path, {"out.html": html("Secret")})
    write(build, {"askbook-manifest.json": manifest(listed("good"), entry), "docs/good/index.html": html("Good")})
    write(build, {"latin.html": b"<main>\xff", "links.html": HOME})
    (build / "link.html").symlink_to(tmp_path / "out.html")
    (build / "loop.html").symlink_to(build / "loop.html")
    with (build / "large.html").open("wb") as file:
        file.truncate(20_000_001)

    assert [page.title for page in pages(build)] == ["Good"]
    [(_, told, kind)] = skipped(build)
    assert reason in told
    assert kind == "bad"


def test_a_page_written_in_react_is_left_out_in_silence(tmp_path: Path) -> None:
    entry = listed("home", kind="page", source="src/pages/home.tsx")
    write(tmp_path, {"askbook-manifest.json": manifest(entry), "docs/home/index.html": HOME})

    assert [(source, kind) for source, _, kind in skipped(tmp_path)] == [("src/pages/home.tsx", "excluded")]


def test_a_fault_of_ours_in_one_page_is_told_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"askbook-manifest.json": manifest(listed("a"), listed("b"))})
    write(tmp_path, {f"docs/{name}/index.html": html(name) for name in "ab"})

    def faulty(markup: str, *, heed_noindex: bool) -> object:
        if "<h1>a" in markup:
            raise ZeroDivisionError
        return read_html(markup, heed_noindex=heed_noindex)

    monkeypatch.setattr("qdrant_indexer.sources.build_output.read_html", faulty)

    assert [page.title for page in pages(tmp_path)] == ["b"]
    assert "Askbook failed to read it: ZeroDivisionError" in skipped(tmp_path)[0][1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (manifest().replace('"askbook": 1', '"askbook": 2'), "is of format 2 and this Askbook reads format 1"),
        (manifest().replace('"askbook": 1', '"askbook": "1"'), "askbook: Input should be 1"),
        (manifest(listed("a", route="docs/a")), "pages.0.route"),
        (manifest(site={"locale": None}), "site.locale"),
        ("[]", "is no manifest"),
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("\xff", "cannot be read as JSON"),
    ],
)
def test_a_manifest_we_cannot_read_is_told_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    write(tmp_path, {"askbook-manifest.json": text.encode("latin-1")})

    with pytest.raises(SourceError) as caught:
        read_build(tmp_path)

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_manifest_lies_in_the_build_and_is_of_reasonable_size(tmp_path: Path) -> None:
    build = tmp_path / "build"
    write(tmp_path, {"out/askbook-manifest.json": manifest(), "build/askbook-manifest.json": manifest()})
    (build / "fr").symlink_to(tmp_path / "out")
    with pytest.raises(SourceError, match="link that leaves the folder"):
        read_build(build)

    with (build / "askbook-manifest.json").open("wb") as file:
        file.truncate(50_000_001)
    with pytest.raises(SourceError, match="larger than 50 MB"):
        read_build(build)


# By sitemaps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["/", "/base/", "/a/b/"])
@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("docs/oven", "docs/oven/index.html"),
        ("docs/oven/", "docs/oven/index.html"),
        ("docs/oven", "docs/oven.html"),
        ("docs/oven.html", "docs/oven.html"),
        ("docs/With%20Space/%C3%A9t%C3%A9", "docs/With Space/été/index.html"),
        ("docs/My%20Page", "docs/My%20Page/index.html"),
    ],
)
def test_an_address_leads_to_the_file_a_host_would_serve(tmp_path: Path, base: str, path: str, file: str) -> None:
    home = f"https://x.example{base}"
    write(tmp_path, {"sitemap.xml": sitemap(home, home + path, home + "none"), file: html("Oven"), "index.html": HOME})

    assert [(page.path, page.source, page.title) for page in pages(tmp_path)] == [(base + path, file, "Oven")]


def test_an_address_above_the_base_url_is_no_page_of_the_site(tmp_path: Path) -> None:
    addresses = ("https://x.example/a", "https://x.example/a/b/", "https://x.example/a/b/docs/oven")
    write(tmp_path, {"sitemap.xml": sitemap(*addresses), "index.html": html("Home"), "docs/oven.html": html("Oven")})

    assert [(page.path, page.title) for page in pages(tmp_path)] == [("/a/b/", "Home"), ("/a/b/docs/oven", "Oven")]
    assert [source for source, _, _ in skipped(tmp_path)] == ["https://x.example/a"]


def test_of_a_file_and_a_folder_the_slash_at_the_end_decides(tmp_path: Path) -> None:
    addresses = ("https://x.example/oven", "https://x.example/mixer/")
    write(tmp_path, {"sitemap.xml": sitemap(*addresses), "oven.html": html("Oven"), "mixer/index.html": html("Mixer")})
    write(tmp_path, {"oven/index.html": html("Redirect"), "mixer.html": html("Redirect")})

    assert [page.title for page in pages(tmp_path)] == ["Oven", "Mixer"]


def test_version_locale_and_breadcrumbs_are_the_pages_own_and_order_is_the_sitemaps(tmp_path: Path) -> None:
    crumbs = "<nav class=theme-doc-breadcrumbs><ul><li>Tools<li class=breadcrumbs__item--active>A</ul></nav>"
    names = ("next/b", "old", "post", "next/a")
    write(
        tmp_path,
        {
            "sitemap.xml": sitemap(*(f"https://x.example/{name}" for name in names)),
            "next/a/index.html": html("A", crumbs, version="current"),
            "next/b/index.html": html("B", version="current"),
            "old/index.html": html("Old", version="1.0"),
            "post/index.html": html("Post"),
        },
    )

    found = pages(tmp_path)

    assert [(page.title, page.tag, page.version, page.latest, page.position) for page in found] == [
        ("B", "docs-default-current", "current", False, 0),
        ("Old", "docs-default-1.0", "1.0", True, 0),
        ("Post", "default", "current", True, 0),
        ("A", "docs-default-current", "current", False, 1),
    ]
    assert [page.breadcrumbs for page in found] == [(), (), (), ("Tools",)]


def test_files_that_no_sitemap_names_are_never_opened(tmp_path: Path) -> None:
    stub = "<meta http-equiv=refresh content='0; url=/docs/oven'>"
    write(
        tmp_path,
        {
            "sitemap.xml": sitemap("https://x.example/docs/oven", "https://x.example/tags"),
            "docs/oven/index.html": html("Oven"),
            "docs/oven.html/index.html": stub,
            "tags/index.html": "<meta name=docusaurus_locale content=en><main><article>Tag",
            "docs/secret/index.html": html("Secret"),
            "404.html": html("Not found"),
        },
    )

    assert [page.title for page in pages(tmp_path)] == ["Oven"]
    assert [(source, kind) for source, _, kind in skipped(tmp_path)] == [("tags/index.html", "excluded")]


def test_the_sitemaps_of_other_locales_are_found_though_none_is_linked(tmp_path: Path) -> None:
    links = "".join(
        f"<link rel=alternate hreflang=x href=https://x.example/base{path}>" for path in ("/", "/fr/", "/more/de/")
    )
    write(tmp_path, {"index.html": f"<head>{links}</head>"})
    for folder, locale in (("", "en"), ("fr/", "fr"), ("more/de/", "de"), ("unlinked/", "it")):
        write(tmp_path, {f"{folder}sitemap.xml": sitemap(f"https://x.example/base/{folder}docs/oven")})
        write(tmp_path, {f"{folder}docs/oven/index.html": html(locale, locale=locale)})

    assert {(page.path, page.locale, page.position) for page in pages(tmp_path)} == {
        ("/base/docs/oven", "en", 0),
        ("/base/fr/docs/oven", "fr", 0),
        ("/base/more/de/docs/oven", "de", 0),
        ("/base/unlinked/docs/oven", "it", 0),
    }
    assert skipped(tmp_path) == []


def test_a_page_that_two_sitemaps_name_is_read_once(tmp_path: Path) -> None:
    address = "https://x.example/fr/oven"
    write(tmp_path, {"sitemap.xml": sitemap(address, address + "/"), "fr/sitemap.xml": sitemap(address)})
    write(tmp_path, {"fr/oven/index.html": html("Four")})

    assert [page.source for page in pages(tmp_path)] == ["fr/oven/index.html"]
    assert skipped(tmp_path) == []


def test_an_index_of_sitemaps_is_followed_once_round(tmp_path: Path) -> None:
    def index(*names: str) -> str:
        return sitemap(*(f"https://x.example/base/{name}" for name in names)).replace("urlset", "sitemapindex")

    write(
        tmp_path,
        {
            "sitemap.xml": index("maps/more.xml", "maps/pages.xml", "sitemap.xml", "none.xml"),
            "maps/more.xml": index("sitemap.xml", "maps/more.xml", "../maps/pages.xml"),
            "maps/pages.xml": sitemap("https://x.example/base/maps/oven"),
            "maps/oven/index.html": html("Oven"),
        },
    )

    assert [page.title for page in pages(tmp_path)] == ["Oven"]
    assert skipped(tmp_path) == []


@pytest.mark.parametrize(
    "address",
    [
        "https://x.example/docs/none",
        "https://x.example/../out",
        "https://x.example/%2e%2e/out",
        "https://x.example/docs%2f..%2f..%2fout",
        "https://x.example/a%00b",
        "https://[x.example/",
        "https://x.example/" + "n" * 300,
    ],
)
def test_an_address_without_a_file_is_told_and_costs_no_other(tmp_path: Path, address: str) -> None:
    build = tmp_path / "build"
    write(tmp_path, {"out/index.html": html("Secret"), "out.html": html("Secret")})
    write(build, {"sitemap.xml": sitemap("https://x.example/docs/oven", address)})
    write(build, {"docs/oven/index.html": html("Oven"), "index.html": html("Home")})

    assert [page.title for page in pages(build)] == ["Oven"]
    [(source, reason, kind)] = skipped(build)
    assert address.startswith(source)
    assert (reason, kind) == ("sitemap.xml names it, and the build has no such page", "bad")


def test_links_are_not_followed_out_of_the_build(tmp_path: Path) -> None:
    build = tmp_path / "build"
    write(tmp_path, {"out/sitemap.xml": sitemap("https://x.example/out/oven"), "out/oven/index.html": html("Secret")})
    write(build, {"sitemap.xml": sitemap("https://x.example/docs/oven", "https://x.example/fr/oven")})
    write(build, {"docs/oven/index.html": html("Oven")})
    (build / "fr").symlink_to(tmp_path / "out")

    assert [page.title for page in pages(build)] == ["Oven"]
    assert skipped(build) == [
        ("fr/oven/index.html", "it lies outside the folder", "bad"),
        ("fr/sitemap.xml", "it lies outside the folder", "bad"),
    ]


def test_a_sitemap_too_large_or_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qdrant_indexer.sources.sitemap.MAX_ADDRESSES", 1)
    write(tmp_path, {"sitemap.xml": sitemap(*("https://x.example/oven",) * 3), "oven/index.html": html("Oven")})
    write(tmp_path, {"fr/sitemap.xml": ""})
    with (tmp_path / "fr/sitemap.xml").open("wb") as file:
        file.truncate(50_000_001)
    write(tmp_path, {"it/sitemap.xml": "<html>"})

    assert [page.title for page in pages(tmp_path)] == ["Oven"]
    assert skipped(tmp_path) == [
        ("sitemap.xml", "2 of its addresses were left out: a sitemap lists 1 at most", "bad"),
        ("fr/sitemap.xml", "it is larger than 50 MB", "bad"),
        ("it/sitemap.xml", "it is no sitemap", "bad"),
    ]


def test_entities_of_a_sitemap_are_not_expanded_and_nothing_is_fetched(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/hostname">]>'
    addresses = sitemap("https://x.example/&b;", "https://x.example/&c;", "https://x.example/salt&amp;pepper")
    write(tmp_path, {"sitemap.xml": bomb + addresses, "salt&pepper/index.html": html("Salt")})

    assert [page.path for page in pages(tmp_path)] == ["/salt&pepper"]
    assert [source for source, _, _ in skipped(tmp_path)] == ["https://x.example/&b;", "https://x.example/&c;"]


def test_sites_of_other_makers_are_read_by_their_sitemap(tmp_path: Path) -> None:
    markup = "<html lang=de><nav>Menu</nav><main><h1>Ofen</h1><h2 id=an>An</h2><p>Knopf."
    write(tmp_path, {"sitemap.xml": sitemap("https://x.example/ofen.html"), "ofen.html": markup})

    assert pages(tmp_path) == [
        Page(
            path="/ofen.html",
            title="Ofen",
            source="ofen.html",
            sections=(Section(("An",), "an", (Block("paragraph", "Knopf."),)),),
            locale="de",
            tag="default",
        )
    ]


# With the sources --------------------------------------------------------------------------------------


def code(text: str, language: str = "", *within: str) -> Block:
    return Block("code", text, language, "", within)


def prose(text: str, *within: str) -> Block:
    return Block("paragraph", text, within=within)


def merged(shown: Sequence[Section], written: Sequence[Section], *unrendered: str) -> list[Section]:
    return list(merge_sections(HtmlDocument("", tuple(shown), unrendered=frozenset(unrendered)), written))


def test_a_diagram_goes_to_its_place_under_its_heading() -> None:
    shown = [Section((), None, (prose("opening"),)), Section(("A",), "a", (prose("before"), prose("after")))]
    diagram = code("A --> B\n", "mermaid")
    written = [shown[0], Section(("A",), "a", (prose("before"), diagram, prose("after")))]

    assert merged(shown, written) == written
    assert merged(written, written) == written


def test_a_page_of_nothing_but_a_diagram_is_not_empty() -> None:
    written = [Section((), None, (code("A --> B\n", "mermaid"),))]

    assert merged([], written) == written
    assert merged([], []) == []


def test_what_stands_in_a_panel_that_was_not_rendered_is_added_with_its_headings() -> None:
    shown = [Section(("A",), "a", (prose("gas", "Gas"), prose("after"))), Section(("B",), "b", ())]
    written = [
        Section(("A",), "a", (prose("gas", "Gas"), prose("logs", "Wood"), code("rake\n", "sh", "Wood"))),
        Section(("A", "Embers"), "a", (prose("below", "Wood"), prose("after"))),
        Section(("A", "Lost"), "lost", (prose("lower", "Wood"),)),
        Section(("B",), "b", (prose("changed since"),)),
    ]

    assert merged(shown, written, "Wood") == [
        Section(
            ("A",),
            "a",
            (prose("gas", "Gas"), prose("logs", "Wood"), code("rake\n", "sh", "Wood"), prose("after")),
        ),
        Section(("A", "Embers"), "a", (prose("below", "Wood"),)),
        Section(("A", "Lost"), None, (prose("lower", "Wood"),)),
        Section(("B",), "b", ()),
    ]


def test_code_that_only_a_browser_shows_is_added_and_no_other_code_twice() -> None:
    shown = [
        Section(("A",), "a", (code("one\n", "sh"), code("npm i x@2.0\n", "sh"), code("two\n"))),
        Section(("B",), "b", (code("moved\n"),)),
    ]
    written = [
        Section(
            ("A",),
            "a",
            (
                code("# highlight-next-line\none\n", "sh"),
                code("npm i x@VERSION\n", "sh"),
                code("two\n", "text"),
                code("moved\n"),
                code("let snack\n", "jsx"),
            ),
        ),
        Section(("B",), "b", ()),
    ]

    assert merged(shown, written) == [
        Section(
            ("A",),
            "a",
            (code("one\n", "sh"), code("npm i x@2.0\n", "sh"), code("two\n", "text"), code("let snack\n", "jsx")),
        ),
        shown[1],
    ]


def test_code_that_a_plugin_changed_stands_for_one_written_block_of_its_language() -> None:
    shown = [Section((), None, (code("mark\n", "sh"), code("npm i x@2.0\n", "sh"), code("plain 2.0\n")))]
    more = code("only in a browser\n", "sh")
    written = [
        Section(
            (),
            None,
            (
                code("# highlight-start\nmark\n# highlight-end\n", "sh"),
                code("npm i x@VERSION\n", "sh"),
                code("plain VERSION\n", "text"),
                more,
            ),
        )
    ]

    [section] = merged(shown, written)
    assert section.blocks == (shown[0].blocks[0], more, *shown[0].blocks[1:])


def test_the_same_code_in_a_panel_that_was_not_rendered_is_added() -> None:
    written = [Section((), None, (code("make\n", "sh", "Gas"), code("make\n", "sh", "Wood")))]

    assert merged([Section((), None, written[0].blocks[:1])], written, "Wood") == written


def test_live_code_gets_its_title_and_language_back() -> None:
    shown = [Section((), None, (code("let a\n", "tsx"),))]
    written = [Section((), None, (Block("code", "let a\n", "jsx", "clock.jsx"),))]

    assert merged(shown, written) == written


def test_headings_in_other_words_are_the_same_by_their_anchor_and_depth() -> None:
    diagram = code("A --> B\n", "mermaid")
    shown = [Section(("Go 🚀",), "go-rocket", ()), Section(("Twice",), None, ()), Section(("Twice",), None, ())]
    written = [
        Section(("Go :rocket:",), "go-rocket", (diagram,)),
        Section(("Twice",), None, ()),
        Section(("Twice",), None, (diagram,)),
        Section(("Other",), None, (diagram,)),
    ]

    assert [section.blocks for section in merged(shown, written)] == [(diagram,), (), (diagram,)]


def test_sources_are_merged_where_the_manifest_names_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build, site = tmp_path / "build", tmp_path / "site"
    names = ("oven", "partial", "none", "broken", "outside", "react")
    outside = listed("outside", source="../outside.md")
    entries = [listed(name) for name in names[:4]] + [outside, listed("react", source="src/pages/react.tsx")]
    write(build, {"askbook-manifest.json": manifest(*entries)})
    write(build, {f"docs/{name}/index.html": html(name) for name in names})
    diagram = "text\n\n```mermaid\nA --> B\n```\n"
    write(tmp_path, {"outside.md": diagram})
    write(
        site,
        {
            "docusaurus.config.ts": "",
            "docs/oven.md": f"---\ntitle: x\n---\n{diagram}",
            "docs/partial.md": "import Part from './_part.md'\n\ntext\n\n<Part />\n",
            "docs/_part.md": diagram,
            "docs/broken.md": "---\na: b: c\n---\n" + diagram,
            "src/pages/react.tsx": diagram,
        },
    )

    found = {page.title: len(page.sections[0].blocks) for page in pages(build, source_dir=site)}

    assert found == {"oven": 2, "partial": 2, "none": 1, "broken": 1, "outside": 1, "react": 1}
    assert [record.getMessage().split()[3] for record in caplog.records] == ["source=docs/broken.md"]
    assert {len(page.sections[0].blocks) for page in pages(build)} == {1}


def test_a_folder_of_sources_that_is_none_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, {"askbook-manifest.json": manifest()})

    with pytest.raises(SourceError, match="does not exist"):
        read_build(tmp_path, source_dir=tmp_path / "none")


# Any bytes ---------------------------------------------------------------------------------------------

# fmt: off
SNIPPETS = (
    b"<loc>https://x.example/docs/oven</loc>", b"<loc>", b"</loc>", b"<sitemapindex>", b"/docs/oven", b"https://",
    b"<link hreflang=fr href=//x/fr/>", b"<main>", b"<h1>", b"{", b"}", b'{"askbook": 1}', b'"pages": [', b"\xff",
    manifest(listed("oven")).encode(), b"&amp;", b"..", b"%2f", b"\0",
)
# fmt: on
ANYTHING = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(SNIPPETS), max_size=6).map(b"".join))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING, ANYTHING, ANYTHING, st.booleans())
def test_any_bytes_give_pages_or_say_why_not(
    tmp_path: Path, markup: bytes, addresses: bytes, listing: bytes, has_manifest: bool
) -> None:
    write(tmp_path, {"index.html": markup, "docs/oven/index.html": markup, "sitemap.xml": addresses})
    (tmp_path / "askbook-manifest.json").unlink(missing_ok=True)
    if has_manifest:
        write(tmp_path, {"askbook-manifest.json": listing})
    logging.disable()
    try:
        found = list(read_build(tmp_path, source_dir=None))
        read_site(tmp_path)
    except SourceError as exc:
        assert "\n" not in str(exc)  # noqa: PT017 - most bytes raise nothing
    else:
        assert all(isinstance(entry, Page | Skipped) for entry in found)
        assert not any("failed" in entry.reason for entry in found if isinstance(entry, Skipped))
    finally:
        logging.disable(logging.NOTSET)
