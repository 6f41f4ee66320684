"""A page's source and the sections that become of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chatbot_api.models.domain import Block, Section
from qdrant_indexer.sources.mdx import BadPartial, Outline, Source, read_outline


def read(text: str, *, mdx: bool = True, partials: dict[str, str] | None = None) -> Outline:
    def load(_: Path, name: str) -> Source:
        if partials is None or name not in partials:
            raise BadPartial(name)
        return Source(partials[name], Path(name))

    return read_outline(Source(text, Path("page.mdx"), mdx), load)


def blocks(text: str, *, mdx: bool = True) -> list[Block]:
    return [block for section in read(text, mdx=mdx).sections for block in section.blocks]


def texts(text: str, *, mdx: bool = True) -> list[str]:
    return [block.text for block in blocks(text, mdx=mdx)]


def anchors(text: str, *, mdx: bool = True) -> list[str | None]:
    return [section.anchor for section in read(text, mdx=mdx).sections if section.headings]


# Headings ----------------------------------------------------------------------------------------------


def test_sections_are_split_at_headings_and_name_their_path() -> None:
    outline = read("# Title\n\nopening\n\n## A\n\na\n\n#### B\n\nb\n\n### C\n\n## D\n\nd\n")

    assert outline == Outline(
        "Title",
        (
            Section((), None, (Block("paragraph", "opening"),)),
            Section(("A",), "a", (Block("paragraph", "a"),)),
            Section(("A", "B"), "b", (Block("paragraph", "b"),)),
            Section(("A", "C"), "c", ()),
            Section(("D",), "d", (Block("paragraph", "d"),)),
        ),
    )


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("## Hello, *World*!", "hello-world"),
        ("## Own id {#own-id}", "own-id"),
        ("## Own id{#A b}", "A b"),
        ("## **Bold {#own}**", "own"),
        ("## Own id {/* #own */}", "own"),
        ("## Own id {/* #first second */}", "first"),
        ("## Own id {/*#tight*/}", "tight"),
        ("## A comment {/* note */}", "a-comment--note-"),
        ("## Own id <!-- #own -->", "own-id-"),
        ("## foo:bar baz", "foo-baz"),
        ("## npm:install[label]", "npmlabel"),
        ("## a:b{c=d} e", "a-e"),
        ("## 10:30 and std::vector", "1030-and-stdvector"),
        ("## :rocket: done", "rocket-done"),
        ("## expr {1 + 1} end", "expr-1--1-end"),
        ("## With `code` and [link](to)", "with-code-and-link"),
        ("## ![the alt](x.png) text", "the-alt-text"),
        ("## Some <b>JSX</b>", "some-jsx"),
        ("## A note[^1]\n\n[^1]: text", "a-note"),
        ("## a \\* b &amp; c", "a--b--c"),
        ("Set *ext*\nin two\n---", "set-extin-two"),
        ("## See https://x.y/_a_b", "see-httpsxy_a_b"),
        ("> ## Quoted", "quoted"),
        ("- item\n\n  ## Listed", "listed"),
        ("1. > - ## Deep", "deep"),
        (":::note\n## Noted\n:::", "noted"),
        ("<details>\n<summary>s</summary>\n\n## Folded\n\n</details>", "folded"),
        ("<div>\n\n## Divided\n\n</div>", "divided"),
        ("text\n## Interrupting", "interrupting"),
        ("<h2 id='raw'>Raw</h2>", "raw"),
        ("<h2>Raw</h2>", None),
        ("##", None),
    ],
)
def test_a_heading_gets_the_id_that_docusaurus_gives_it(heading: str, anchor: str | None) -> None:
    assert [section.anchor for section in read(heading).sections if section.headings or heading == "##"][:1] == [anchor]


def test_a_comment_in_plain_markdown_leaves_its_space_in_the_id() -> None:
    assert anchors("## x <!-- #id --> y", mdx=False) == ["x--y"]


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        ("## `code` *and* [link](to) {#id}", "code and link"),
        ("## foo:bar baz", "foo:bar baz"),
        ("## npm:install[label]", "npmlabel"),
        ("## expr {1 + 1} end", "expr end"),
        ("## {'text'} {/* #x */}", "text"),
        ("## ![alt](x.png) text", "text"),
        ("## ![only alt](x.png)", "only alt"),
    ],
)
def test_a_heading_is_told_in_words(heading: str, text: str) -> None:
    assert read(heading).sections[0].headings == (text,)


def test_automatic_ids_are_numbered_and_given_ones_are_not_counted() -> None:
    assert anchors("## A\n\n## A\n\n## A {#b}\n\n## A\n") == ["a", "a-1", "b", "a-2"]


def test_the_title_takes_a_slug_and_gives_no_anchor() -> None:
    outline = read("# Foo\n\n## Foo\n")

    assert (outline.title, outline.sections[0].anchor) == ("Foo", "foo-1")


def test_an_h1_after_another_heading_is_a_heading_without_an_anchor() -> None:
    outline = read("## A\n\n# Big *one*\n\n## B\n")

    assert outline.title is None
    assert [(section.headings, section.anchor) for section in outline.sections] == [
        (("A",), "a"),
        (("Big one",), None),
        (("Big one", "B"), "b"),
    ]


def test_an_id_that_occurs_twice_is_replaced_by_the_nearest_heading_above() -> None:
    outline = read("## A\n\n### B {#twice}\n\n#### C\n\n##### D {#twice}\n\n## E {#twice}\n\n### F\n")

    assert [(section.headings[-1], section.anchor) for section in outline.sections] == [
        ("A", "a"),
        ("B", "a"),
        ("C", "c"),
        ("D", "c"),
        ("E", None),
        ("F", "f"),
    ]


def test_an_element_with_the_same_id_makes_a_headings_id_ambiguous() -> None:
    assert anchors('## A\n\n<a id="b" />\n\n### B\n') == ["a", "a"]


def test_a_heading_in_a_hidden_tab_is_cited_by_the_heading_above_the_tabs() -> None:
    outline = read(
        "## Install\n\n<Tabs>\n<TabItem value='npm'>\n\n### Seen\n\na\n\n</TabItem>\n"
        "<TabItem value='yarn' label='Yarn'>\n\n### Hidden\n\nb\n\n#### Deeper\n\nc\n\n</TabItem>\n"
        "</Tabs>\n\n## After\n"
    )

    assert [(section.headings, section.anchor) for section in outline.sections] == [
        (("Install",), "install"),
        (("Install", "Seen"), "seen"),
        (("Install", "Hidden"), "install"),
        (("Install", "Hidden", "Deeper"), "install"),
        (("After",), "after"),
    ]


@pytest.mark.parametrize(
    ("tabs", "attributes", "visible"),
    [
        ("<Tabs>", "", "a"),
        ("<Tabs>", "default", "b"),
        ("<Tabs defaultValue='b'>", "", "b"),
        ("<Tabs defaultValue={'b'}>", "", "b"),
        ("<Tabs defaultValue={null}>", "", None),
        ("<ConfigTabs>", "", "a"),
    ],
)
def test_the_visible_tab_is_the_chosen_one_or_the_first(tabs: str, attributes: str, visible: str | None) -> None:
    first = "<TabItem value='a'>\n\n## A\n\n</TabItem>"
    second = f"<TabItem value='b' {attributes}>\n\n## B\n\n</TabItem>"

    found = anchors(f"{tabs}\n{first}\n{second}\n</{tabs[1:].split()[0].rstrip('>')}>\n")

    assert [anchor for anchor in found if anchor] == ([visible] if visible else [])


# Blocks ------------------------------------------------------------------------------------------------


def test_links_emphasis_and_images_become_words_and_code_keeps_its_backticks() -> None:
    source = (
        "A [link *to*][ref], ![an *alt*](i.png), **bold**, ~~gone~~, `co<de>`, `` a`b ``.\n"
        "Next  line\\\nbroken <kbd>K</kbd>\n\n[ref]: /x"
    )

    assert texts(source) == [
        "A link to, an alt, bold, gone, `co<de>`, ``a`b``. Next line\nbroken K",
    ]


def test_code_is_verbatim_with_its_language_and_title() -> None:
    source = '```tsx title="src/a.tsx" {1,3} showLineNumbers\n// highlight-next-line\n  <b>{x}</b> &amp;\n\n:::\n```\n'

    assert blocks(source) == [Block("code", "// highlight-next-line\n  <b>{x}</b> &amp;\n\n:::\n", "tsx", "src/a.tsx")]


def test_the_language_ends_at_a_brace_and_mermaid_is_a_language() -> None:
    assert [(block.language, block.caption) for block in blocks("```js{1}\n```\n~~~mermaid\n~~~\n~~~\n~~~\n")] == [
        ("js", ""),
        ("mermaid", ""),
        ("", ""),
    ]


def test_indented_text_is_code_in_markdown_and_a_paragraph_in_mdx() -> None:
    assert [block.kind for block in blocks("    text\n", mdx=False)] == ["code"]
    assert [block.kind for block in blocks("    text\n")] == ["paragraph"]


def test_an_indented_fence_ends_a_paragraph_in_mdx() -> None:
    source = "<TabItem value='a'>\n    Text\n    ```sh\n    make\n    ```\n</TabItem>\n"

    assert [(block.kind, block.text) for block in blocks(source)] == [("paragraph", "Text"), ("code", "make\n")]


def test_a_list_is_one_block_with_an_item_a_line() -> None:
    source = "- one\n  *more*\n\n  second paragraph\n- two\n\n  3. three\n  4. four\n     - deep\n- [x] done\n"

    assert blocks(source) == [
        Block("list", "- one more\n  second paragraph\n- two\n  3. three\n  4. four\n    - deep\n- [x] done")
    ]


def test_code_in_a_list_stands_between_the_items_around_it() -> None:
    source = "1. Run\n   ```sh\n   make\n   ```\n   and look.\n2. Ask\n"

    assert blocks(source) == [
        Block("list", "1. Run"),
        Block("code", "make\n", "sh"),
        Block("paragraph", "and look."),
        Block("list", "2. Ask"),
    ]


def test_an_admonition_in_a_list_interrupts_it_with_its_label() -> None:
    source = "- a\n\n  :::tip\n  - inner\n  :::\n\n- b\n"

    assert blocks(source) == [
        Block("list", "- a"),
        Block("list", "- inner", within=("Tip",)),
        Block("list", "- b"),
    ]


def test_html_lists_and_tables_are_lists_and_tables() -> None:
    source = (
        "<ul>\n  <li>One <code>x</code></li>\n  <li>Two</li>\n</ul>\n\n"
        "<table>\n<tr><th>A</th><th>B</th></tr>\n<tr>\n<td>\n\n*a* | `b`\n\n</td>\n<td>c<br/>d</td>\n</tr>\n</table>\n"
    )

    assert blocks(source) == [
        Block("list", "- One `x`\n- Two"),
        Block("table", "| A | B |\n| --- | --- |\n| a \\| `b` | c d |"),
    ]


def test_a_table_is_a_pipe_table_of_words() -> None:
    source = "| A | B |\n|:--|--:|\n| [x](y) | `a \\| b` |\n| c |\n"

    assert blocks(source) == [Block("table", "| A | B |\n| --- | --- |\n| x | `a \\| b` |\n| c |  |")]


@pytest.mark.parametrize(
    "source",
    [
        "$$\n\\frac{a}{b}\n$$\n",
        "$$\\frac{a}{b}$$\n",
        "text\n$$ meta\n\\frac{a}{b}\n$$\n",
        "- x\n\n  $$\n  \\frac{a}{b}\n  $$\n",
    ],
)
def test_display_maths_is_its_tex(source: str) -> None:
    assert [block.text for block in blocks(source) if block.kind == "maths"] == ["\\frac{a}{b}"]


def test_inline_maths_stays_as_written_and_prices_are_not_maths() -> None:
    assert texts("Let $a_{i}*b*c_{i}$ be; costs $5 to $10, {x}or $6.") == [
        "Let $a_{i}*b*c_{i}$ be; costs $5 to $10, or $6."
    ]


def test_footnotes_are_paragraphs_where_they_are_defined_and_marks_are_left_out() -> None:
    assert texts("A claim[^1] and [^none].\n\n[^1]: The *proof*.\n\n    More.\n") == [
        "A claim and [^none].",
        "The proof.",
        "More.",
    ]


def test_addresses_keep_their_underscores_and_braces() -> None:
    assert texts("See https://x.y/{id}/_a_b_c. [http://x.y](z) **http://q.w**") == [
        "See https://x.y/{id}/_a_b_c. http://x.y http://q.w"
    ]


# Labels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opening", "within"),
    [
        (":::note", ("Note",)),
        (":::tip[Mind the *gap*]", ("Tip: Mind the gap",)),
        (":::warning Mind the `gap`", ("Warning: Mind the gap",)),
        (":::info   ", ("Info",)),
        (':::danger{title="Mind"}', ("Danger: Mind",)),
        (":::caution[A [b](c)]{.x}", ("Caution: A b",)),
        (":::important", ("Important",)),
        (":::custom", ()),
        (":::custom[Label]", ("Label",)),
    ],
)
def test_what_stands_in_a_directive_carries_its_label(opening: str, within: tuple[str, ...]) -> None:
    assert blocks(f"before\n{opening}\n\ntext\n\n:::\nafter\n") == [
        Block("paragraph", "before"),
        Block("paragraph", "text", within=within),
        Block("paragraph", "after"),
    ]


def test_more_colons_nest_directives() -> None:
    source = "::::note\n:::tip[In]\ndeep\n:::\nout\n::::\n"

    assert blocks(source) == [
        Block("paragraph", "deep", within=("Note", "Tip: In")),
        Block("paragraph", "out", within=("Note",)),
    ]


@pytest.mark.parametrize("line", ["::: note", ":::custom Some title", "a :::note"])
def test_what_is_no_directive_is_text(line: str) -> None:
    assert texts(f"{line}\nx\n")[0].startswith(line)


def test_a_directive_that_is_not_closed_reaches_to_the_end_of_what_it_stands_in() -> None:
    assert blocks("- a\n  :::note\n  b\n\nc\n") == [
        Block("list", "- a"),
        Block("paragraph", "b", within=("Note",)),
        Block("paragraph", "c"),
    ]


def test_a_title_with_nothing_under_it_is_not_lost() -> None:
    assert blocks(":::tip[All there is]\n:::\n\n:::note\n:::\n") == [Block("paragraph", "All there is")]


def test_tabs_and_details_label_what_stands_in_them() -> None:
    source = (
        "<Tabs values={[{label: 'With npm', value: 'npm'},\n  {value: \"y\", label: \"Yarn\"}]}>\n"
        "  <TabItem value='npm'>\n\n  ```sh\n  npm i\n  ```\n\n  </TabItem>\n<TabItem value='y'>y</TabItem>\n"
        "<TabItem value='p' label='pnpm'>\np\n</TabItem>\n<TabItem value='bun'>\nb\n</TabItem>\n</Tabs>\n\n"
        "<details>\n  <summary>*More* `x`</summary>\n\n  :::note\n  folded\n  :::\n\n</details>\n"
    )

    assert [(block.text, block.within) for block in blocks(source)] == [
        ("npm i\n", ("With npm",)),
        ("y", ("Yarn",)),
        ("p", ("pnpm",)),
        ("b", ("bun",)),
        ("folded", ("More x", "Note")),
    ]


def test_docusaurus_own_components_mean_what_their_markdown_means() -> None:
    source = (
        "<Admonition type='tip' title='T'>a</Admonition>\n\n<Details><summary>S</summary>b</Details>\n\n"
        "<CodeBlock language='js' title='a.js'>{`let a\n  = 1`}</CodeBlock>\n"
    )

    assert blocks(source) == [
        Block("paragraph", "a", within=("Tip: T",)),
        Block("paragraph", "b", within=("S",)),
        Block("code", "let a\n  = 1\n", "js", "a.js"),
    ]


# MDX ---------------------------------------------------------------------------------------------------


def test_components_keep_their_text_and_lose_their_attributes() -> None:
    source = (
        '<Card\n  title="lost"\n  icon={<Icon name="}" />}\n\n  render={() => { return \'}\' }}\n>\n  kept *words*\n'
        "</Card>\n\nInline <Badge text='lost'>kept</Badge> and <Lost {...props} />.\n"
    )

    assert texts(source) == ["kept words", "Inline kept and ."]


def test_expressions_are_left_out_unless_they_are_plain_text() -> None:
    assert texts("a{' '}b {props.x} {\"it's\"} {`t`} {`t${x}`} {42} {/* c */}{don't}c") == ["a b it's t 42 c"]


def test_comments_leave_nothing() -> None:
    assert texts("a <!-- b --> c {/* d */}\n\n<!-- e\n\nf -->\n\n{/*\n\ng */}\n\nh\n") == ["a c", "h"]


def test_imports_and_exports_are_left_out_across_blank_lines() -> None:
    source = (
        "import A from 'a'\nimport {b} from \"b\"\n\nexport const c = {\n  d: '}',\n\n  e: `\n\n`\n}\n\ntext\n\n"
        "import your own pages first.\n"
    )

    assert texts(source) == ["text", "import your own pages first."]


def test_a_mapped_expression_over_lines_is_left_out_whole() -> None:
    source = "<ul>\n  {items.map((item) => (\n    <li>{item.replace(/\\d/, '')}</li>\n\n  ))}\n</ul>\n\nafter\n"

    assert texts(source) == ["after"]


def test_fences_named_mdx_code_block_are_unwrapped() -> None:
    source = "````mdx-code-block\n<Tabs>\n<TabItem value='a'>\n\n```js\nx\n```\n\n</TabItem>\n</Tabs>\n````\n"

    assert blocks(source) == [Block("code", "x\n", "js", within=("a",))]


def test_html_in_plain_markdown_is_read_as_html() -> None:
    source = "<div>\n**raw** &amp; <b>bold</b>\n<pre>\na\n  b\n</pre>\n<p>one<p>two\n</div>\n\nx <i>y</i> {not js}\n"

    assert [(block.kind, block.text) for block in blocks(source, mdx=False)] == [
        ("paragraph", "**raw** & bold"),
        ("code", "a\n  b\n"),
        ("paragraph", "one"),
        ("paragraph", "two"),
        ("paragraph", "x y {not js}"),
    ]


# Partials ----------------------------------------------------------------------------------------------

IMPORT = "import Part from './_part.mdx'\n\n"


def test_a_partial_stands_where_it_is_shown_with_ids_of_its_own() -> None:
    outline = read(
        f"{IMPORT}## Same\n\n:::note\n<Part />\n:::\n\n## Own\n",
        partials={"./_part.mdx": "### Same\n\npart\n\n### Own\n"},
    )

    assert [(section.headings, section.anchor) for section in outline.sections] == [
        (("Same",), None),
        (("Same", "Same"), None),
        (("Same", "Own"), None),
        (("Own",), None),
    ]
    assert outline.sections[1].blocks == (Block("paragraph", "part", within=("Note",)),)


def test_a_partials_h1_is_not_the_pages_title() -> None:
    assert read(f"{IMPORT}<Part />\n\n# Late\n", partials={"./_part.mdx": "# Part\n"}).title == "Late"


@pytest.mark.parametrize(
    "statement",
    ["import Part from './\\_part.mdx'", 'import Part, {toc} from "./_part.mdx";', "import Part from '@site/x.md'"],
)
def test_an_import_may_be_written_in_several_ways(statement: str) -> None:
    outline = read(f"{statement}\n\ninline <Part/>\n", partials={"./_part.mdx": "part", "@site/x.md": "part"})

    assert [block.text for block in outline.sections[0].blocks] == ["inline", "part"]


def test_an_import_that_is_not_shown_is_not_opened() -> None:
    assert read(f"{IMPORT}text\n", partials={}).sections


def test_components_from_elsewhere_are_not_partials() -> None:
    assert texts("import A from './a.jsx'\nimport B from 'package/b.mdx'\n\n<A />\n<B />\n\ntext\n") == ["text"]


def test_a_partial_that_imports_itself_is_refused() -> None:
    with pytest.raises(BadPartial, match="imports itself"):
        read(f"{IMPORT}<Part />\n", partials={"./_part.mdx": f"{IMPORT}<Part />\n"})


def test_partials_that_multiply_are_refused() -> None:
    partials = {f"./{n}.mdx": f"import P from './{n + 1}.mdx'\n\n" + "<P />\n" * 20 if n < 9 else "" for n in range(10)}

    with pytest.raises(BadPartial, match="too large"):
        read("import P from './0.mdx'\n\n<P />\n", partials=partials)


# Any text ----------------------------------------------------------------------------------------------

# fmt: off
PIECES = (
    "text", "# H", "## H", "### H {#id}", "- item", "  - sub", "1. one", "> quote", "```js", "~~~", "    deep", "---",
    "<div>", "</div>", "<Tabs>", "</Tabs>", "<TabItem value='a'>", "</TabItem>", "<details>", "<summary>", "</summary>",
    "</details>", "<table>", "<tr>", "<td>", "</td>", "</table>", "<ul>", "<li>", "</li>", "</ul>", "<pre>", "</pre>",
    "<code>", "</code>", "<h2>", "</h2>", "<p>", "<script>", "<A/>", "<", ">", "{", "}", "{x}", "{`", "`}", "`", "*",
    "**", "[^1]", "[^1]: note", "[a](b)", "![", "]", ":::note", ":::", "::::tip[x]", "::leaf[y]", "a:b", "$$", "$x$",
    "| a | b |", "|---|---|", "| c |", "<!--", "-->", "import A from './a.mdx'", "export const a = {", "\\", "&amp;",
    "https://a.b", "\t", "",
)
# fmt: on


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.sampled_from(["\n", " ", "\n\n"]), st.booleans())
def test_pieces_of_markup_in_any_order_are_read(pieces: list[str], glue: str, mdx: bool) -> None:
    outline = read(glue.join(pieces), mdx=mdx, partials={"./a.mdx": "- part\n<div>\n## H"})

    for section in outline.sections:
        for block in section.blocks:
            assert block.text or block.kind == "code"


@given(st.text(), st.booleans())
def test_any_text_is_read(text: str, mdx: bool) -> None:
    read(text, mdx=mdx)


LINES = st.lists(st.text(st.characters(exclude_characters="\n\r\0", codec="utf-8"), max_size=30), max_size=8)


@given(LINES, st.sampled_from(["", "- ", "> ", "1. > "]), st.integers(0, 3), st.booleans())
def test_fences_hold_what_commonmark_says_they_hold(lines: list[str], marker: str, indent: int, mdx: bool) -> None:
    fence = "~" * (max((len(line) for line in lines), default=0) + 3)
    follow = "".join(character if character == ">" else " " for character in marker) + " " * indent
    source = "\n".join([marker + " " * indent + fence + "js", *(follow + line for line in lines), follow + fence])

    expected = [token.content for token in MarkdownIt("commonmark").parse(source) if token.type == "fence"]

    assert [block.text for block in blocks(source, mdx=mdx) if block.kind == "code"] == expected


@pytest.mark.parametrize(
    "text", ["{" * 100_000, "{`\n" * 30_000, "<!-- " * 50_000, "<a b={" * 30_000, "export {(\n\n" * 5_000]
)
@pytest.mark.parametrize("mdx", [True, False])
def test_a_page_full_of_things_without_an_end_is_read_before_long(text: str, mdx: bool) -> None:
    read(text, mdx=mdx)
