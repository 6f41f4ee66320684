"""A folder of Markdown and the pages that become of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from chatbot_api.models.domain import Block, Page, Section
from qdrant_indexer.sources import Skipped
from qdrant_indexer.sources.layout import MarkdownFormat, SiteLayout
from qdrant_indexer.sources.markdown import read_markdown
from qdrant_indexer.sources.mdx import Loader, Outline, Source, read_outline


@pytest.fixture
def layout(tmp_path: Path) -> SiteLayout:
    (tmp_path / "docs").mkdir()
    return SiteLayout(tmp_path / "docs", site_dir=tmp_path)


def write(layout: SiteLayout, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        file = layout.docs_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def pages(layout: SiteLayout, files: Mapping[str, str | bytes] | None = None) -> list[Page]:
    write(layout, files or {})
    return [entry for entry in read_markdown(layout) if isinstance(entry, Page)]


def skipped(layout: SiteLayout, files: Mapping[str, str | bytes] | None = None) -> list[Skipped]:
    write(layout, files or {})
    return [entry for entry in read_markdown(layout) if isinstance(entry, Skipped)]


def front(**values: object) -> str:
    return "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items()) + "---\n\n"


def test_a_document_becomes_a_page_with_its_address_and_sections(layout: SiteLayout) -> None:
    source = front(title="Publish", sidebar_position=2) + "# Another title\n\ntext\n\n## Part\n\nmore\n"

    assert pages(layout, {"01-topics/publish.mdx": source}) == [
        Page(
            path="/docs/topics/publish",
            title="Publish",
            source="01-topics/publish.mdx",
            sections=(
                Section((), None, (Block("paragraph", "text"),)),
                Section(("Part",), "part", (Block("paragraph", "more"),)),
            ),
            breadcrumbs=("topics",),
        )
    ]


def test_the_layout_decides_address_version_and_locale(layout: SiteLayout) -> None:
    layout = replace(layout, base_url="/base/", route_base_path="/", trailing_slash=True, locale="fr", version="2.0")

    [page] = pages(layout, {"a b.md": "text"})

    assert (page.path, page.locale, page.version) == ("/base/a%20b/", "fr", "2.0")


# Which files -------------------------------------------------------------------------------------------


def test_partials_test_folders_and_hidden_files_are_no_pages(layout: SiteLayout) -> None:
    files = [
        "_a.md",
        "_b/c.md",
        "d/_e.mdx",
        "__tests__/f.md",
        ".h.md",
        ".i/j.md",
        "node_modules/k.md",
        "l.txt",
    ]

    assert [page.source for page in pages(layout, {**dict.fromkeys(files, "x"), "d/m.md": "x"})] == ["d/m.md"]
    assert skipped(layout) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"a\0b", "null bytes"),
        (b"x" * 5_000_001, "larger than 5 MB"),
        (b"---\ntitle: a: b\n---\n", "not YAML"),
        (b"---\ntitle: a\n", "never closed"),
        (b"---\nid: a/b\n---\n", "slash"),
        (b"---\nslug: /a?b\n---\n", "not a path"),
        (b"import P from './_none.mdx'\n\n<P />\n", "_none.mdx"),
        (b"import P from './_loop.mdx'\n\n<P />\n", "imports itself"),
        (b"import P from '../../out.mdx'\n\n<P />\n", "outside the folder"),
        (b"import P from './_bad.mdx'\n\n<P />\n", "not UTF-8"),
    ],
)
def test_a_bad_page_says_why_and_costs_no_other(layout: SiteLayout, content: bytes, reason: str) -> None:
    write(layout, {"_loop.mdx": "import P from './_loop.mdx'\n\n<P />\n", "_bad.mdx": b"\xff"})
    (layout.docs_dir.parent.parent / "out.mdx").write_text("secret")
    write(layout, {"bad.mdx": content, "good.mdx": "good"})

    page, bad = sorted(read_markdown(layout), key=lambda entry: isinstance(entry, Skipped))

    assert isinstance(page, Page)
    assert (page.source, page.position) == ("good.mdx", 0)
    assert isinstance(bad, Skipped)
    assert (bad.source, bad.kind) == ("bad.mdx", "bad")
    assert reason in bad.reason


def test_drafts_and_unlisted_pages_are_excluded(layout: SiteLayout) -> None:
    files = {"draft.md": front(draft=True), "unlisted.md": front(unlisted=True), "not.md": front(draft=False)}

    assert [(entry.source, entry.kind) for entry in skipped(layout, files)] == [
        ("draft.md", "excluded"),
        ("unlisted.md", "excluded"),
    ]
    assert [page.source for page in pages(layout)] == ["not.md"]


def test_the_second_page_of_an_address_is_bad(layout: SiteLayout) -> None:
    files = {"a.md": "first", "b.md": front(slug="/a/") + "second", "c.md": "third"}

    assert [page.source for page in pages(layout, files)] == ["a.md", "c.md"]
    assert skipped(layout) == [Skipped("b.md", "its address /docs/a/ is already that of a.md", "bad")]


def test_links_are_followed_within_the_folder_and_not_out_of_it(layout: SiteLayout, tmp_path: Path) -> None:
    write(layout, {"_real.md": "real", "_shared/in.md": "in", "a/b.md": "b"})
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.md").write_text("secret")
    for name, target in {
        "good.md": layout.docs_dir / "_real.md",
        "folder": layout.docs_dir / "_shared",
        "out.md": tmp_path / "secret" / "s.md",
        "out": tmp_path / "secret",
        "broken.md": layout.docs_dir / "none.md",
        "itself.md": layout.docs_dir / "itself.md",
        "a/up": layout.docs_dir,
    }.items():
        (layout.docs_dir / name).symlink_to(target)

    assert [page.source for page in pages(layout)] == ["a/b.md", "folder/in.md", "good.md"]
    assert {entry.source: entry.reason for entry in skipped(layout)} == {
        "a/up": "it is a link to a folder it stands in",
        "broken.md": "it is a link to nothing",
        "itself.md": "it is a link to nothing",
        "out": "it is a link that leaves the documents' folder",
        "out.md": "it is a link that leaves the documents' folder",
    }


def test_a_name_that_is_not_unicode_is_bad(layout: SiteLayout) -> None:
    try:
        Path(os.fsdecode(os.fsencode(layout.docs_dir) + b"/\xff.md")).write_text("x")
    except OSError:
        pytest.skip("this file system has only Unicode names")

    assert [entry.reason for entry in skipped(layout)] == ["its name is not Unicode"]


def test_a_fault_of_ours_in_one_page_is_told_and_costs_no_other(
    layout: SiteLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(layout, {"a.md": "a", "b.md": "b"})

    def faulty(source: Source, load: Loader) -> Outline:
        if source.text == "a":
            raise ZeroDivisionError
        return read_outline(source, load)

    monkeypatch.setattr("qdrant_indexer.sources.markdown.read_outline", faulty)

    assert [page.source for page in pages(layout)] == ["b.md"]
    assert [entry.reason for entry in skipped(layout)] == ["Askbook failed to read it: ZeroDivisionError"]


def test_a_byte_order_mark_and_windows_line_endings_leave_no_trace(layout: SiteLayout) -> None:
    content = "\ufeff---\r\ntitle: T\r\n---\r\n\r\n```\r\na\r\n```\r\n"

    [page] = pages(layout, {"a.md": content})

    assert (page.title, page.sections[0].blocks[0].text) == ("T", "a\n")


# Titles and formats ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "title"),
    [
        (front(title="From *front* matter") + "# Heading\n", "From *front* matter"),
        ("import A from './a'\n\n# The `config.js` file {#id}\n", "The config.js file"),
        ("Under\nlined\n===\n", "Under lined"),
        ("some text\n\n# Late\n", "Late"),
        ("## Only a section\n\n# Too late\n", "page"),
        (front(id="own", sidebar_label="Not this"), "own"),
        (front(title=2024), "2024"),
        (front(title=None) + "# Heading\n", "Heading"),
    ],
)
def test_the_title_is_the_front_matters_the_first_h1_or_the_id(layout: SiteLayout, content: str, title: str) -> None:
    assert [page.title for page in pages(layout, {"02-page.md": content})] == [title]


@pytest.mark.parametrize(
    ("markdown_format", "own", "kinds"),
    [
        ("mdx", "", ["paragraph", "paragraph"]),
        ("md", "", ["code", "code"]),
        ("detect", "", ["code", "paragraph"]),
        ("mdx", "mdx: {format: detect}\n", ["code", "paragraph"]),
        ("md", "mdx: {format: mdx}\n", ["paragraph", "paragraph"]),
        ("md", "mdx: {format: odd}\n", ["code", "code"]),
    ],
)
def test_the_format_comes_from_the_page_or_from_the_layout(
    layout: SiteLayout, markdown_format: MarkdownFormat, own: str, kinds: list[str]
) -> None:
    content = f"---\n{own}---\n\n    indented\n"
    layout = replace(layout, markdown_format=markdown_format)

    found = pages(layout, {"a.md": content, "b.mdx": content})

    assert [page.sections[0].blocks[0].kind for page in found] == kinds


def test_partials_are_found_beside_the_page_and_from_the_site(layout: SiteLayout) -> None:
    write(layout, {"a/_x.mdx": front(title="no") + "beside", "_y.md": "from docs", "../src/_z.mdx": "from site"})
    imports = "import X from './_x.mdx'\nimport Y from '@site/docs/_y.md'\nimport Z from '@site/src/_z.mdx'\n\n"

    [page] = pages(layout, {"a/page.mdx": imports + "<X />\n<Y />\n<Z />\n"})

    assert [block.text for block in page.sections[0].blocks] == ["beside", "from docs", "from site"]


# Order and categories ----------------------------------------------------------------------------------


def test_pages_come_in_the_order_of_the_sidebar(layout: SiteLayout) -> None:
    files = {
        "z-first.md": front(sidebar_position=0.5),
        "02-second.md": "",
        "guides/_category_.json": '{"position": 3}',
        "guides/b.md": "",
        "guides/a.md": "",
        "guides/z.md": front(sidebar_position=1),
        "guides/readme.md": front(sidebar_position=9),
        "04-fourth/x.md": "",
        "by-its-index/index.md": front(sidebar_position=5),
        "B-plain.md": "",
        "a-plain.md": "",
        "c-folder/x.md": "",
        "d-plain.md": front(sidebar_position="no number"),
    }

    found = pages(layout, files)

    assert [page.position for page in found] == list(range(len(files) - 1))
    assert [page.source for page in found] == [
        "z-first.md",
        "02-second.md",
        "guides/readme.md",
        "guides/z.md",
        "guides/a.md",
        "guides/b.md",
        "04-fourth/x.md",
        "by-its-index/index.md",
        "B-plain.md",
        "a-plain.md",
        "c-folder/x.md",
        "d-plain.md",
    ]


def test_the_books_own_index_comes_first_unless_it_has_a_position(layout: SiteLayout) -> None:
    write(layout, {"a.md": front(sidebar_position=1), "index.md": ""})
    assert [page.source for page in pages(layout)] == ["index.md", "a.md"]

    write(layout, {"index.md": front(sidebar_position=2)})
    assert [page.source for page in pages(layout)] == ["a.md", "index.md"]


@pytest.mark.parametrize(
    ("files", "label"),
    [
        ({}, "guides"),
        ({"_category_.json": '{\n\t"label": "How to"\n}'}, "How to"),
        ({"_category_.yml": "label: How to\nposition: 1\n"}, "How to"),
        ({"_category_.yaml": "label: How to\n"}, "How to"),
        ({"index.md": front(title="Front", sidebar_label="Side")}, "Side"),
        ({"index.md": front(title="Front")}, "Front"),
        ({"index.md": "# Head\n"}, "Head"),
        ({"index.md": "no title"}, "index"),
        ({"index.md": front(title="Front"), "_category_.json": '{"label": "Own"}'}, "Own"),
        ({"index.md": front(title="Front"), "_category_.json": '{"link": null}'}, "guides"),
        ({"z.md": front(title="Zed"), "_category_.json": '{"link": {"type": "doc", "id": "guides/z"}}'}, "Zed"),
        ({"index.md": front(title="Front", draft=True)}, "guides"),
    ],
)
def test_a_category_is_named_by_its_file_its_index_or_its_folder(
    layout: SiteLayout, files: dict[str, str], label: str
) -> None:
    files = {f"01-guides/{name}": content for name, content in files.items()}

    found = {page.source: page.breadcrumbs for page in pages(layout, {**files, "01-guides/deep/page.md": ""})}

    assert found["01-guides/deep/page.md"] == (label, "deep")


def test_a_folders_index_stands_below_the_categories_above_it(layout: SiteLayout) -> None:
    files = {"a/b/index.md": front(title="B"), "a/b/c.md": "", "a/_category_.json": '{"label": "A"}'}

    assert [(page.source, page.breadcrumbs) for page in pages(layout, files)] == [
        ("a/b/index.md", ("A",)),
        ("a/b/c.md", ("A", "B")),
    ]


@pytest.mark.parametrize("content", ["{", "[]", "[" * 5000, "\0"])
def test_a_broken_category_file_is_told_and_costs_only_the_label(layout: SiteLayout, content: str) -> None:
    files = {"a/_category_.json": content, "a/b.md": "b"}

    assert [page.breadcrumbs for page in pages(layout, files)] == [("a",)]
    assert [(entry.source, entry.kind) for entry in skipped(layout)] == [("a", "bad")]


def test_number_prefixes_stay_where_the_site_or_the_page_says_so(layout: SiteLayout) -> None:
    own = pages(layout, {"01-a/02-b.md": front(parse_number_prefixes=False), "01-a/03-c.md": ""})
    site = pages(replace(layout, number_prefix_parser=False))

    assert [page.path for page in own] == ["/docs/a/c", "/docs/01-a/02-b"]
    assert [(page.path, page.breadcrumbs) for page in site] == [
        ("/docs/01-a/02-b", ("01-a",)),
        ("/docs/01-a/03-c", ("01-a",)),
    ]
