"""A page's HTML and the sections that become of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatbot_api.models.domain import Block, Section
from qdrant_indexer.sources.html import HtmlDocument, NoDocument, find_alternates, read_html
from qdrant_indexer.sources.mdx import Source, read_outline

# Docusaurus' minifier leaves out quotes and the end tags of p, li, td and others; so do these fixtures.
META = "<meta name=docusaurus_locale content=en>"
DOC = "docs-wrapper plugin-docs docs-version-current docs-doc-page docs-doc-id-oven"


def page(content: str, *, head: str = META, classes: str = DOC, before: str = "") -> str:
    return (
        f'<!doctype html><html lang=en dir=ltr class="{classes}"><head><meta charset=UTF-8>{head}</head><body>'
        "<div id=__docusaurus><nav class=navbar><b class=navbar__title>Bakery</b></nav><main><article>"
        f"{before}<div class='theme-doc-markdown markdown'>{content}</div></article>"
        "<nav class=pagination-nav>Next page</nav></main><footer>All bread reserved</footer></div>"
    )


def read(content: str, **around: str) -> HtmlDocument:
    document = read_html(page(content, **around))
    assert isinstance(document, HtmlDocument), document
    return document


def blocks(content: str) -> list[Block]:
    return [block for section in read(content).sections for block in section.blocks]


def texts(content: str) -> list[str]:
    return [block.text for block in blocks(content)]


def heading(level: int, text: str, id_: str, mark: str = "\u200b") -> str:
    """As Docusaurus writes it: the link of a heading to itself holds a zero-width space, in old releases a `#`."""
    return f"<h{level} class=anchor id={id_}>{text}<a href=#{id_} class=hash-link translate=no>{mark}</a></h{level}>\n"


def fence(lines: str, *, classes: str = "language-sh", title: str = "") -> str:
    caption = f"<div class=codeBlockTitle_OeMC>{title}</div>" if title else ""
    code = "".join(f"<div class=token-line style=color:#fff>{line}<br/></div>" for line in lines.split("\n"))
    return (
        f'<div class="{classes} codeBlockContainer_Ckt0 theme-code-block">{caption}<div class=codeBlockContent_QJqH>'
        f'<pre tabindex=0 class="prism-code language-sh"><code class=codeBlockLines_e6Vv>{code}</code></pre>'
        "<div class=buttonGroup_M5ko><button>Copy</button></div></div></div>"
    )


def admonition(kind: str, title: str, content: str) -> str:
    icon = "<span class=admonitionIcon_Rf37><svg viewBox='0 0 14 16'><path d='M6'/></svg></span>"
    body = f"<div class=admonitionContent_BuS1>{content}</div>" if content else ""
    return (
        f'<div class="theme-admonition theme-admonition-{kind} alert"><div class=admonitionHeading_Gvgb>{icon}{title}'
        f"</div>{body}</div>"
    )


def tabs(labels: str, *panels: str, chosen: int = 0) -> str:
    bar = "".join(
        f"<li role=tab aria-selected={str(place == chosen).lower()}>{label}"
        for place, label in enumerate(labels.split(","))
    )
    return (
        f'<div class="theme-tabs-container tabs-container"><ul role=tablist class=tabs>{bar}</ul>'
        f"<div class=margin-top--md>{''.join(panels)}</div></div>"
    )


def panel(content: str, *, hidden: bool = False) -> str:
    return f"<div role=tabpanel class=tabItem_Ymn6{' hidden' * hidden}>{content}</div>"


# The page ----------------------------------------------------------------------------------------------


def test_a_page_is_read_with_what_its_head_and_breadcrumbs_say() -> None:
    head = (
        META + "<meta name=docusaurus_version content=2.0><meta name=docusaurus_tag content=docs-default-2.0>"
        "<link rel=canonical href=https://bakery.example/docs/oven />"
    )
    crumbs = (
        "<nav class=theme-doc-breadcrumbs aria-label=Breadcrumbs><ul><li class=breadcrumbs__item><a href=/><svg/></a>"
        "<li class=breadcrumbs__item><span>Tools &amp; co</span>"
        '<li class="breadcrumbs__item breadcrumbs__item--active"><span>Oven</span></ul></nav>'
        '<span class="theme-doc-version-badge badge">Version: 2.0</span>'
        "<div class='tocCollapsible_ETCw theme-doc-toc-mobile'><button>On this page</button></div>"
    )

    assert read("<header><h1>The <code>oven</code></h1></header><p>Hot.", head=head, before=crumbs) == HtmlDocument(
        title="The oven",
        sections=(Section((), None, (Block("paragraph", "Hot."),)),),
        kind="doc",
        canonical="https://bakery.example/docs/oven",
        locale="en",
        version="2.0",
        docusaurus_tag="docs-default-2.0",
        breadcrumbs=("Tools & co",),
    )


@pytest.mark.parametrize(
    ("markup", "reason", "kind"),
    [
        ("<meta http-equiv=Refresh content='0; url=/docs/oven'>", "another page", "excluded"),
        (page("<p>x", head=META + "<meta name=robots content='noindex, nofollow'>"), "noindex", "excluded"),
        (page("<p>x", head=META + "<meta name=ROBOTS content=NONE>"), "noindex", "excluded"),
        (page("<p>x", classes="plugin-native plugin-id-default"), "do not exist", "bad"),
        (f"<html><head>{META}</head><main><article><h2>A list of posts</h2></article></main>", "links", "excluded"),
        ("<body><nav>Menu</nav><p>Words of no one</p>", "no <main>", "bad"),
        ("", "no <main>", "bad"),
    ],
)
def test_what_is_no_document_says_why(markup: str, reason: str, kind: str) -> None:
    found = read_html(markup)

    assert isinstance(found, NoDocument)
    assert reason in found.reason
    assert found.kind == kind


def test_where_the_whole_site_asks_not_to_be_indexed_its_pages_are_read_all_the_same() -> None:
    markup = page("<p>x", head=META + "<meta name=robots content=noindex>")

    assert isinstance(read_html(markup, heed_noindex=False), HtmlDocument)


def test_a_page_that_reloads_itself_is_no_redirect() -> None:
    assert read("<p>x", head=META + "<meta http-equiv=refresh content=300>").sections


def test_a_post_is_its_container_under_the_heading_above_it() -> None:
    markup = (
        f"<html class='blog-wrapper blog-post-page'><head>{META}<title>Rye | Bakery</title></head><main><article>"
        "<header><h1 class=title_f1Hy>Rye is <em>back</em></h1><time>1 May</time> · <!-- -->One min read</header>"
        "<div id=__blog-post-container class=markdown><p>At last.<h1>Big</h1><p>And big.</div>"
        "<footer>Tags: rye</footer></article></main>"
    )

    assert read_html(markup) == HtmlDocument(
        title="Rye is back",
        sections=(
            Section((), None, (Block("paragraph", "At last."),)),
            Section(("Big",), None, (Block("paragraph", "And big."),)),
        ),
        kind="blog",
        locale="en",
    )


def test_an_mdx_page_is_its_article() -> None:
    markup = (
        f"<html class='mdx-wrapper mdx-page plugin-pages'><head>{META}</head><main><div><article><h1>About</h1><p>Us."
        "</article></div><div>On this page</div></main>"
    )

    document = read_html(markup)

    assert isinstance(document, HtmlDocument)
    assert (document.title, document.kind) == ("About", "page")
    assert [block.text for section in document.sections for block in section.blocks] == ["Us."]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Oven | Bakery", "Oven"),
        ("Oven | gas | Bakery", "Oven | gas"),
        ("Oven · Bakery", "Oven"),
        ("Oven | Another name", "Oven"),
        ("Bakery", "Bakery"),
        ("Oven", "Oven"),
    ],
)
def test_without_an_h1_the_title_is_the_tabs_without_the_sites_name(title: str, expected: str) -> None:
    document = read("<p>Hot.<h2>Later</h2><h1>Too late</h1>", head=f"{META}<title>{title}</title>")

    assert document.title == expected
    assert [section.headings for section in document.sections] == [(), ("Later",), ("Too late",)]


def test_the_other_languages_of_a_page_are_named_in_its_head() -> None:
    links = "<link rel=alternate hreflang=fr href=https://b.example/fr/><link rel=alternate hreflang=x-default>"

    assert find_alternates(page("", head=links)) == ["https://b.example/fr/"]


# Sites of other makers ---------------------------------------------------------------------------------


def test_plain_html_is_its_main_part_without_what_stands_around() -> None:
    markup = (
        "<html lang=de><title>Ofen</title><nav>Menu</nav><main><nav>Path</nav><h1>Der Ofen</h1><p>Heiß."
        "<h2 id=an>An<a class=headerlink href=#an>¶</a></h2><pre><code class=language-sh>\nbake\n</code></pre>"
        "<form>Search</form><footer>Edit</footer></main><footer>Legal</footer>"
    )

    assert read_html(markup) == HtmlDocument(
        title="Der Ofen",
        sections=(
            Section((), None, (Block("paragraph", "Heiß."),)),
            Section(("An",), "an", (Block("code", "bake\n", "sh"),)),
        ),
        locale="de",
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<main><p>around<article><p>inner</article></main>", "inner"),
        ("<div role=main><p>inner</div>", "inner"),
        ("<main><article><p>one</article><article><p>two</article></main>", "one two"),
        ("<p>around<article><p>inner</article>", "inner"),
    ],
)
def test_plain_html_has_its_text_in_the_one_article_or_in_main(body: str, text: str) -> None:
    document = read_html(body)

    assert isinstance(document, HtmlDocument)
    assert " ".join(block.text for section in document.sections for block in section.blocks) == text


# Headings ----------------------------------------------------------------------------------------------


def test_sections_have_the_ids_of_their_headings_and_no_trace_of_the_links_in_them() -> None:
    content = (
        "<header><h1>Oven</h1></header><p>Hot."
        + heading(2, "Set <code>--heat</code>", "set---heat")
        + "<p>First."
        + heading(3, "foo<!-- -->:bar<!-- --> baz", "foo-baz", "#")
        + heading(2, "A <img alt=picture src=x> here", "a-picture-here")
        + heading(2, "<img alt='Only a picture' src=x>", "only-a-picture")
    )

    assert read(content).sections == (
        Section((), None, (Block("paragraph", "Hot."),)),
        Section(("Set --heat",), "set---heat", (Block("paragraph", "First."),)),
        Section(("Set --heat", "foo:bar baz"), "foo-baz", ()),
        Section(("A here",), "a-picture-here", ()),
        Section(("Only a picture",), "only-a-picture", ()),
    )


def test_an_id_that_stands_twice_anywhere_on_the_page_is_not_cited() -> None:
    content = (
        heading(2, "A", "a")
        + heading(3, "B", "b")
        + heading(4, "C", "c")
        + "<span id=b></span>"
        + heading(2, "D", "__docusaurus")
        + "<svg><path id=e></svg>"
        + heading(2, "E", "e")
        + "<h2>F</h2>"
    )

    assert [(section.headings[-1], section.anchor) for section in read(content).sections] == [
        ("A", "a"),
        ("B", "a"),
        ("C", "c"),
        ("D", None),
        ("E", None),
        ("F", None),
    ]


def test_a_heading_that_a_reader_does_not_see_is_cited_by_the_nearest_one_seen() -> None:
    hidden = heading(3, "Hidden", "hidden") + "<p>Below." + heading(4, "Deeper", "deeper")
    content = heading(2, "Install", "install") + tabs(
        "Gas,Wood", panel(heading(3, "Seen", "seen")), panel(hidden, hidden=True)
    )

    assert read(content + heading(2, "After", "after")).sections == (
        Section(("Install",), "install", ()),
        Section(("Install", "Seen"), "seen", ()),
        Section(("Install", "Hidden"), "install", (Block("paragraph", "Below.", within=("Wood",)),)),
        Section(("Install", "Hidden", "Deeper"), "install", ()),
        Section(("After",), "after", ()),
    )


# Words -------------------------------------------------------------------------------------------------


def test_text_is_words_with_the_backticks_of_code() -> None:
    content = (
        "<p>A <a href=/x>link <em>to</em></a>, <strong>bold</strong>, <code>co&lt;de></code>, <code>a`b</code>,\n"
        "<kbd>K</kbd>, 10<sup>2</sup>.<br/>\n<!-- -->Next&nbsp;line, <!-- -->word<!-- -->word."
        "<img alt='An oven' src=o.png><img alt='' src=p.png>"
    )

    assert texts(content) == [
        "A link to, bold, `co<de>`, ``a`b``, K, 102.\nNext\u00a0line, wordword.An oven",
    ]


def test_what_an_author_wrote_with_the_elements_of_layouts_is_read() -> None:
    assert texts("<nav>path</nav><form>ask</form><footer>signed</footer>") == ["path", "ask", "signed"]


def test_an_image_for_two_colour_modes_is_told_once() -> None:
    modes = ("light", "dark")
    images = "".join(
        f'<img alt=Oven src={mode}.svg class="themedComponent_m themedComponent--{mode}_N">' for mode in modes
    )

    assert texts(f"<p>{images}") == ["Oven"]


def test_zero_width_characters_leave_no_trace_but_in_the_authors_own_words() -> None:
    assert texts("<p>a<b>\u200b</b>b<i>\ufeff</i> long\u200bword") == ["ab long\u200bword"]


def test_what_no_reader_reads_is_left_out() -> None:
    card = "<a class='card padding--lg cardContainer_fWXF' href=/x><h2>Mixer</h2><p>Another page, in some words.</a>"
    unseen = (
        "<button>Copy</button><svg><title>Icon</title><foreignObject><pre>x</pre></svg><script>x()</script><style>x{}</style>"
        + card
    )
    unseen += "<div class=tableOfContentsInline_prmo><ul><li><a href=#a>A</a></ul></div>"
    unseen += "<template><p>x</template><iframe>x</iframe><noscript>x</noscript>"

    assert texts(f"<p>Seen.{unseen}<p>Too.") == ["Seen.", "Too."]


# Lists and tables --------------------------------------------------------------------------------------


def test_a_list_is_one_block_with_an_item_a_line() -> None:
    content = (
        "<ul class=contains-task-list>\n<li class=''>\n<p>one\n<em>more</em></p>\n<p>second paragraph</p>\n</li>\n"
        "<li class=''>\n<p>two</p>\n<ol start=3>\n<li>three</li>\n<li>four<!-- -->\n<ul>\n<li>deep</li>\n</ul>\n</li>\n"
        "</ol>\n</li>\n<li class=task-list-item><input type=checkbox disabled checked/> <!-- -->done\n"
        "<li class=task-list-item><input type=checkbox disabled/> open\n</ul>"
    )

    assert blocks(content) == [
        Block(
            "list",
            "- one more\n  second paragraph\n- two\n  3. three\n  4. four\n    - deep\n- [x] done\n- [ ] open",
        )
    ]


def test_code_in_a_list_stands_between_the_items_around_it() -> None:
    assert blocks(f"<ol>\n<li>Run<!-- -->\n{fence('make')}\n<!-- -->and look.</li>\n<li>Ask</ol>") == [
        Block("list", "1. Run"),
        Block("code", "make\n", "sh"),
        Block("paragraph", "and look."),
        Block("list", "2. Ask"),
    ]


def test_a_list_may_begin_at_nought() -> None:
    content = "<ol start=0>\n<li>mix\n<li>knead</ol>"

    assert texts(content) == ["0. mix\n1. knead"]
    assert read_outline(Source("0. mix\n1. knead\n"), no_partial).sections == read(content).sections


def test_a_table_is_a_pipe_table_though_its_end_tags_are_missing() -> None:
    content = (
        "<table><thead><tr><th>Flour<th>Set<tbody><tr><td><a href=/r>rye</a> *1*<td><code>a | b</code>"
        "<tr><td>wheat<br/>or spelt<td><ul><li>x<li>y</ul></table><p>After."
    )

    assert blocks(content) == [
        Block(
            "table",
            "| Flour | Set |\n| --- | --- |\n| rye *1* | `a \\| b` |\n| wheat or spelt | x y |",
        ),
        Block("paragraph", "After."),
    ]


# Code --------------------------------------------------------------------------------------------------


def test_code_keeps_every_character_of_its_lines() -> None:
    lines = (
        "<span class='token plain'></span>\n"
        "<span class='token keyword'>if</span><span class='token plain'> </span><span>a</span> &lt; &amp;b:\t# 'c'\n"
        "<span class=codeLineNumber_Tfdd></span><span class=codeLineContent_feaV>  zero\u200bwidth  </span>\n"
        "<span class='token plain' style=display:inline-block></span>\n"
        "<span>end</span>\n"
        "<span></span>"
    )

    assert blocks(fence(lines, classes="language-JSON language-json", title="a/<wbr>b.json")) == [
        Block("code", "\nif a < &b:\t# 'c'\n  zero\u200bwidth  \n\nend\n\n", "JSON", "a/b.json")
    ]


@pytest.mark.parametrize(
    ("markup", "block"),
    [
        (fence("x", classes=""), Block("code", "x\n")),
        (fence("x", classes="language-text"), Block("code", "x\n")),
        (
            "<pre class='language-js theme-code-block'><code class=codeBlockLines_e></code></pre>",
            Block("code", "", "js"),
        ),
        ("<pre class='language-js theme-code-block'><code>a<b>b</b>\nc</code></pre>", Block("code", "ab\nc\n", "js")),
        ("<pre>\n\n  a\n   b\n\n</pre>", Block("code", "  a\n   b\n")),
        ("<pre><button>Copy</button><code class='hljs language-js'>a</code></pre>", Block("code", "a\n", "js")),
        ("<pre><code>a\n</code><code>b</code></pre>", Block("code", "a\nb\n")),
    ],
)
def test_code_may_be_written_in_several_ways(markup: str, block: Block) -> None:
    assert blocks(f"{markup}<pre> \n</pre>") == [block]


def test_live_code_is_its_editor() -> None:
    content = (
        "<div class=playgroundContainer_X><div class=playgroundHeader_E><div>Live Editor</div></div>"
        "<div class=playgroundEditor_L><pre class='prism-code language-tsx' spellcheck=false>"
        "<span class=token-line><span>let</span> a\n</span><span class=token-line>\n</span><span class=token-line>b\n"
        "</span></pre></div><div class=playgroundHeader_E><div>Result</div></div>"
        "<div class=playgroundPreview_b><div>Loading...</div></div></div>"
    )

    assert blocks(content) == [Block("code", "let a\n\nb\n", "tsx")]


def test_code_of_an_inline_element_is_on_one_line() -> None:
    assert texts("<p>Run <code>a<br/>b\nc</code>.") == ["Run `a b c`."]


# Maths -------------------------------------------------------------------------------------------------


def katex(tex: str) -> str:
    return (
        "<span class=katex><span class=katex-mathml><math><semantics><mrow><mi>glyphs</mi></mrow>"
        f"<annotation encoding=application/x-tex>{tex}</annotation></semantics></math></span>"
        "<span class=katex-html aria-hidden=true><span class=base>glyphs</span></span></span>"
    )


def test_maths_is_its_tex() -> None:
    content = f"<p>Let {katex('a_{i} &lt; b')} be.</p>\n<span class=katex-display>" + katex("x \\\\ y") + "</span>\n"

    assert blocks(content) == [Block("paragraph", "Let $a_{i} < b$ be."), Block("maths", "x \\\\ y")]


def test_maths_without_its_tex_is_its_words() -> None:
    assert texts("<p><span class=katex>2x</span>") == ["$2x$"]


# Labels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "title", "within"),
    [
        ("note", "note", "Note"),
        ("important", "important", "Important"),
        ("tip", "Mind the <em>gap</em> <code>x</code>", "Tip: Mind the gap x"),
        ("danger", "warning", "Danger: warning"),
        ("warning", "attention", "Warning: attention"),
    ],
)
def test_what_stands_in_an_admonition_carries_its_label(kind: str, title: str, within: str) -> None:
    assert blocks(f"<p>before{admonition(kind, title, '<p>text')}<p>after") == [
        Block("paragraph", "before"),
        Block("paragraph", "text", within=(within,)),
        Block("paragraph", "after"),
    ]


def test_admonitions_nest_though_a_paragraph_in_them_is_not_closed() -> None:
    inner = admonition("tip", "In", f"<p>run:{fence('make')}")

    assert blocks(admonition("note", "note", f"{inner}<p>out")) == [
        Block("paragraph", "run:", within=("Note", "Tip: In")),
        Block("code", "make\n", "sh", within=("Note", "Tip: In")),
        Block("paragraph", "out", within=("Note",)),
    ]


def test_a_title_with_nothing_under_it_is_not_lost() -> None:
    assert blocks(admonition("tip", "All there is", "") + admonition("note", "note", "")) == [
        Block("paragraph", "All there is")
    ]


def test_tabs_and_details_label_what_stands_in_them() -> None:
    inner = tabs("A,B", panel("in a"), panel(admonition("note", "note", "<p>in b"), hidden=True))
    details = (
        "<details class='details_lb9f alert' data-collapsed=true><summary><em>More</em> <code>x</code></summary>"
        f"<div><div class=collapsibleContent_i85q><p>folded{fence('make')}</div></div></details>"
    )

    assert blocks(tabs("With gas,Wood", panel(inner), panel("<ul><li>l</ul>", hidden=True)) + details) == [
        Block("paragraph", "in a", within=("With gas", "A")),
        Block("paragraph", "in b", within=("With gas", "B", "Note")),
        Block("list", "- l", within=("Wood",)),
        Block("paragraph", "folded", within=("More x",)),
        Block("code", "make\n", "sh", within=("More x",)),
    ]


def test_of_lazy_tabs_the_panel_of_the_chosen_one_is_known_and_the_others_are_named() -> None:
    document = read(tabs("Gas,Wood,Sun", panel("<p>logs"), chosen=1) + tabs("One,Two") + "<p>after")

    assert document.unrendered == {"Gas", "Sun", "One", "Two"}
    assert [(block.text, block.within) for section in document.sections for block in section.blocks] == [
        ("logs", ("Wood",)),
        ("after", ()),
    ]


def test_tabs_of_another_make_lose_no_text() -> None:
    content = (
        "<div class=tabs-container><ul role=tablist><li role=tab>A</ul><p>beside</div><div role=tabpanel>lone</div>"
    )

    assert blocks(content) == [Block("paragraph", "beside"), Block("paragraph", "lone")]


def test_footnotes_are_paragraphs_at_the_end_and_marks_are_left_out() -> None:
    content = (
        "<p>A claim<sup><a href=#user-content-fn-1 id=user-content-fnref-1 data-footnote-ref=true>1</a></sup>.</p>\n"
        "<!-- -->\n<section data-footnotes=true class=footnotes><h2 class='anchor sr-only' id=footnote-label>Footnotes"
        "<a href=#footnote-label class=hash-link>\u200b</a></h2>\n<ol>\n<li id=user-content-fn-1>\n<p>The "
        "<em>proof</em>.</p>\n<p>More. "
        "<a href=#user-content-fnref-1 data-footnote-backref='' class=data-footnote-backref>↩</a></p>\n"
        "</li>\n<li id=user-content-fn-2>Last.<li id=user-content-fn-3>Really.</ol>\n</section><p>After."
    )

    assert read(content).sections == (
        Section(
            (),
            None,
            tuple(
                Block("paragraph", text) for text in ("A claim.", "The proof.", "More.", "Last.", "Really.", "After.")
            ),
        ),
    )


# One document, two readers -----------------------------------------------------------------------------

MARKDOWN = """\
# Bake *bread*

Read [the `oven` page](oven.md) first,
then come back.[^time]

## What you need

| Thing | How much |
|:------|---------:|
| flour | `500 \\| g` |
| water | **300** ml |

- a bowl
  - large
  - clean
- a towel

  It should be damp.

### Tools {#own-tools}

:::tip[Take your *time*]

Knead with:

```sh title="knead.sh" {1}
for i in 1 2 3; do

    fold   "$i" && turn
done
```

:::

## What you need

1. Heat the oven.

   ```json
   {"heat": 250}
   ```

2. Wait. $t = 2^n$

$$
t_{n} = \\frac{a}{b}
$$

> Never open the door.

<details>
<summary>Why `not`?</summary>

:::warning
Steam escapes.
:::

</details>

<Tabs>
<TabItem value="gas" label="Gas oven">

Level 8.

</TabItem>
<TabItem value="wood">

### Embers

Rake them out.

</TabItem>
</Tabs>

## foo:bar and ![a picture](x.png)

End.\\
Really.

[^time]: It takes *hours*.
"""

HTML = (
    "<header><h1>Bake <em>bread</em></h1></header>\n"
    "<p>Read <a class='' href=/docs/oven>the <code>oven</code> page</a> first,\nthen come back."
    "<sup><a href=#user-content-fn-time id=user-content-fnref-time data-footnote-ref=true>1</a></sup></p>\n"
    + heading(2, "What you need", "what-you-need")
    + "<table><thead><tr><th style=text-align:left>Thing<th>How much<tbody><tr><td>flour<td><code>500 | g</code>"
    "<tr><td>water<td><strong>300</strong> ml</table>\n"
    "<ul>\n<li class=''>\n<p>a bowl</p>\n<ul>\n<li class=''>large</li>\n<li class=''>clean</li>\n</ul>\n</li>\n"
    "<li class=''>\n<p>a towel</p>\n<p>It should be damp.</p>\n</li>\n</ul>\n"
    + heading(3, "Tools", "own-tools")
    + admonition(
        "tip",
        "Take your <em>time</em>",
        "<p>Knead with:"
        + fence('<span>for</span> i in 1 2 3; do\n\n    fold   "$i" &amp;&amp; turn\ndone', title="knead.sh"),
    )
    + heading(2, "What you need", "what-you-need-1")
    + "<ol>\n<li class=''>\n<p>Heat the oven.</p>\n"
    + fence('{"heat": 250}', classes="language-json")
    + "\n</li>\n<li class=''>\n<p>Wait. "
    + katex("t = 2^n")
    + "</p>\n</li>\n</ol>\n<span class=katex-display>"
    + katex("t_{n} = \\frac{a}{b}")
    + "</span>\n"
    + "<blockquote>\n<p>Never open the door.</p>\n</blockquote>\n"
    + "<details class=details_lb9f data-collapsed=true><summary>Why <code>not</code>?</summary><div>"
    + f"<div class=collapsibleContent_i85q>{admonition('warning', 'warning', '<p>Steam escapes.')}</div></div>"
    + "</details>"
    + tabs(
        "Gas oven,wood",
        panel("<p>Level 8."),
        panel(heading(3, "Embers", "embers") + "<p>Rake them out.", hidden=True),
    )
    + heading(2, "foo<!-- -->:bar<!-- --> and <img alt='a picture' src=x>", "foo-and-a-picture")
    + "<p>End.<br/>\n<!-- -->Really.</p>\n<!-- -->\n"
    + "<section data-footnotes=true class=footnotes><h2 class=sr-only id=footnote-label>Footnotes</h2>\n<ol>\n"
    + "<li id=user-content-fn-time>\n<p>It takes <em>hours</em>. "
    + "<a href=#user-content-fnref-time data-footnote-backref='' class=data-footnote-backref>↩</a></p>\n</li>\n</ol>\n"
    + "</section>"
)


def no_partial(importer: Path, name: str) -> Source:
    raise AssertionError(name)


def test_a_document_is_the_same_to_both_readers() -> None:
    written, shown = read_outline(Source(MARKDOWN), no_partial), read(HTML)

    assert shown.title == written.title
    assert shown.sections == written.sections


# Any markup --------------------------------------------------------------------------------------------

# fmt: off
PIECES = (
    "text", "<p>", "</p>", "<div>", "</div>", "<main>", "<article>", "</article>", "<h1>", "</h1>", "<h2 id=a>",
    "</h2>", "<h3 id=b hidden>", "</h3>", "<ul>", "<ol start=x>", "<li>", "</ul>", "<table>", "<tr>", "<td>",
    "</table>", "<pre>", "</pre>", "<code>", "</code>", "<br>", "<hr>", "<img alt=x>", "<details>", "<summary>",
    "</summary>", "</details>", "<div class='theme-code-block language-js'>", "<div class=theme-admonition>",
    "<div class=admonitionHeading_x>", "<div class=tabs-container>", "<ul role=tablist>",
    "<li role=tab aria-selected=true>", "<div role=tabpanel hidden>", "<span class=katex>",
    "<span class=katex-display>", "</span>", "<section data-footnotes>", "<li id=n>", "<input>",
    "<input type=checkbox>", "<svg>", "<math>", "<template>", "<!-- -->", "<!--", "<a data-footnote-ref>", "&amp;",
    "&", "<select><option>", "<script>", "</script>", "\u200b", "\0", "<", "<body class=x>", "<frameset>",
    "<plaintext>",
)
# fmt: on


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.booleans())
def test_pieces_of_markup_in_any_order_are_read(pieces: list[str], is_docusaurus: bool) -> None:
    markup = "".join(pieces)
    document = read_html(page(markup)) if is_docusaurus else read_html(f"<main>{markup}")

    for section in document.sections if isinstance(document, HtmlDocument) else ():
        for block in section.blocks:
            assert block.text or block.kind == "code"


@given(st.text(st.characters()))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(read_html(text), HtmlDocument | NoDocument)


@pytest.mark.parametrize("tag", ["div", "b", "ul><li", "blockquote", "section role=tabpanel", "span class=katex"])
def test_elements_in_elements_without_end_keep_their_words(tag: str) -> None:
    assert "deep" in " ".join(texts(f"<{tag}>" * 3000 + "deep"))
