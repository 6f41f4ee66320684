"""The grammar of a page: markdown-it, taught what MDX and Docusaurus add to CommonMark. Text in, tokens out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cache
from html import unescape
from itertools import chain
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

ADMONITIONS = ("secondary", "info", "success", "danger", "note", "tip", "warning", "important", "caution")

Env = MutableMapping[str, Any]
"""What the blocks of a text taught that its inline content needs: link references, footnotes."""


@dataclass(frozen=True, slots=True)
class Tag:
    """`<name key="value">`, `</name>` or `<name />`. A fragment has no name."""

    name: str
    opens: bool = True
    closes: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Those whose value stands in the source; one without a value has an empty one."""
    expressions: Mapping[str, str] = field(default_factory=dict)
    """The JavaScript of the others."""


@dataclass(frozen=True, slots=True)
class Expression:
    """`{source}`"""

    source: str


Markup = Tag | Expression | None
"""What begins with `<` or `{`. None is a comment."""


def parse_blocks(text: str, *, mdx: bool) -> tuple[list[Token], Env]:
    """The text's block tokens, with their inline content unread."""
    tokens: list[Token] = []
    env: Env = {}
    parser = _parser(mdx)
    parser.block.parse(text, parser, env, tokens)
    return tokens, env


def parse_inline(content: str, env: Env, *, mdx: bool) -> list[Token]:
    parser = _parser(mdx)
    return parser.inline.parse(content, parser, env, [])


def is_plain(content: str) -> bool:
    """Whether `parse_inline` would find nothing but text."""
    return not _SIGNIFICANT.search(content)


def scan_html(source: str) -> Iterator[Markup | str]:
    """The elements of raw HTML and the text between them."""
    text = at = 0
    env: Env = {}
    while (at := source.find("<", at)) >= 0 and _is_patient(env):
        if found := _scan(source, at):
            yield unescape(source[text:at])
            yield found[0]
            text = at = found[1]
        else:
            _miss(env, len(source) - at)
            at += 1
    yield unescape(source[text:])


def literal(javascript: str) -> str | None:
    """The text of a string or a number; None for what only running the page would tell."""
    match = _LITERAL.fullmatch(javascript.strip())
    if not match or not match.lastindex:
        return None
    return _ESCAPE.sub(lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), match[match.lastindex])


@cache
def _parser(mdx: bool) -> MarkdownIt:
    parser = _AnyLink("commonmark", {"maxNesting": 100}).enable(["table", "strikethrough"])
    parser.disable(["html_inline", "lheading"])
    if mdx:
        parser.disable(["code", "html_block", "autolink"])
        parser.block.ruler.before("table", "esm", _esm)
    interrupts = ["paragraph", "reference", "blockquote", "list"]
    parser.block.ruler.before("fence", "docusaurus", _block_rule(mdx), {"alt": interrupts})
    parser.block.ruler.at("paragraph", _paragraph)
    parser.inline.ruler.before("escape", "docusaurus", _inline_rule(mdx))
    parser.inline.terminator_re = _SIGNIFICANT
    return parser


class _AnyLink(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802, ARG002 - markdown-it's name and signature
        """A link becomes its words, so none is dangerous."""
        return True


# Elements and expressions ------------------------------------------------------------------------------

_SIGNIFICANT = re.compile(r"[\n\\`*_\[\]<{$]|~~|!(?=\[)|&(?=[#\w])|:(?=[A-Za-z/])")
"""Where text stops and an inline rule may begin."""
_NAME = r"[A-Za-z_$][\w$.:-]*"
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_CLOSING_TAG = re.compile(rf"</\s*({_NAME})?\s*>")
_TAG = re.compile(rf"<(?:({_NAME})(?=[\s/>{{])|(?=>))")
_TAG_END = re.compile(r"\s*(/?)>")
_ATTRIBUTE = re.compile(rf"\s*(@?{_NAME})(\s*=\s*)?")
_VALUE = re.compile(r""""([^"]*)"|'([^']*)'|([^\s"'=<>`{]+)""")
_BRACE = re.compile(r"\s*\{")
_STRINGS = r"""(?<!\w)"(?:[^"\\\n]|\\.)*"|(?<!\w)'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"""
_JAVASCRIPT = re.compile(rf"/\*.*?(?:\*/|\Z)|(?<![:\w])//[^\n]*|{_STRINGS}|[][{{}}()`]", re.S)
"""Brackets, and what hides brackets. A quote after a letter is an apostrophe."""
_LITERAL = re.compile(
    r"""([0-9]+(?:\.[0-9]+)?)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|`((?:[^`\\$]|\\.|\$(?!\{))*)`""", re.S
)
_ESCAPE = re.compile(r"\\(.)", re.S)
_DEEPEST = 50
_PATIENCE = 2_000_000
"""How many characters of a page are searched in vain for the ends of things: a page that is no MDX has many such."""


def _scan(source: str, at: int) -> tuple[Markup, int] | None:
    """The markup that begins at `at`, and where it ends."""
    if source.startswith("{", at):
        end = _brace_end(source, at)
        return (Expression(source[at + 1 : end - 1]), end) if end else None
    if comment := _COMMENT.match(source, at):
        return None, comment.end()
    if closing := _CLOSING_TAG.match(source, at):
        return Tag(closing[1] or "", opens=False, closes=True), closing.end()
    return _scan_opening(source, at)


def _scan_opening(source: str, at: int) -> tuple[Tag, int] | None:
    if not (tag := _TAG.match(source, at)):
        return None
    attributes: dict[str, str] = {}
    expressions: dict[str, str] = {}
    at = tag.end()
    while not (end := _TAG_END.match(source, at)):
        name = ""
        if attribute := _ATTRIBUTE.match(source, at):
            name, at = attribute[1], attribute.end()
            if not attribute[2]:
                attributes[name] = ""
                continue
            if value := _VALUE.match(source, at):
                attributes[name] = unescape(value[value.lastindex or 0])
                at = value.end()
                continue
        brace = _BRACE.match(source, at)
        stop = brace and _brace_end(source, brace.end() - 1)
        if not brace or not stop:
            return None
        javascript, at = source[brace.end() : stop - 1], stop
        if (known := literal(javascript)) is None:
            expressions[name] = javascript
        else:
            attributes[name] = known
    return Tag(tag[1] or "", True, bool(end[1]), attributes, expressions), end.end()


def _brace_end(source: str, at: int) -> int | None:
    """Where the `{` at `at` is closed; None where the source ends before, or in the middle of a template string."""
    depth = 0
    for token in _JAVASCRIPT.finditer(source, at):
        depth += (token[0] == "{") - (token[0] == "}")
        if token[0] == "`" or depth > _DEEPEST:
            return None
        if not depth and token[0] == "}":
            return token.end()
    return None


def _is_patient(env: Env) -> bool:
    return bool(env.get("in_vain", 0) < _PATIENCE)


def _miss(env: Env, searched: int) -> None:
    env["in_vain"] = env.get("in_vain", 0) + searched


# Blocks ------------------------------------------------------------------------------------------------

_FLOW = re.compile(r"<(?:[A-Za-z_$/>]|!--)|\{(?!#)")
_SPACES = re.compile(r"[ \t]*")
_UNDERLINE = re.compile(r"(=+|-+)[ \t]*(?=\n|\Z)")
_ESM = re.compile(
    r"""import\ (?:["']|(?:(?!\n\s*\n)[^;])*?\bfrom\s*["'])"""
    r"""|export\ (?:[{*]|(?:default|const|let|var|function|async|class|type|interface)\b)"""
)
_DIRECTIVE = re.compile(r"(:{2,})([A-Za-z][\w-]*)(?:\[(.*)\])?(?:\{(.*)\})?[ \t]*(?=\n|\Z)")
_TITLED = re.compile(rf"(:{{3,}})({'|'.join(ADMONITIONS)}) +(.*)")
_TITLE = re.compile(r"""(?:^|\s)title\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_MATHS = re.compile(r"(\${2,})[^$\n]*(?=\n|\Z)")
_FOOTNOTE = re.compile(r"\[\^([^\]\s]+)\]:[ \t]*")

_GROWTH = (1, 16, 256, 4096)
"""How many lines are tried in turn for an element or expression: most end where they begin."""

_BlockRule = Callable[[StateBlock, int, int, bool], bool]
_InlineRule = Callable[[StateInline, bool], bool]


def _block_rule(mdx: bool) -> _BlockRule:
    rules: dict[str, _BlockRule] = {":": _directive, "$": _maths, "[": _footnote}
    if mdx:
        rules |= {"<": _flow, "{": _flow}

    def dispatch(state: StateBlock, line: int, end: int, silent: bool) -> bool:
        at = state.bMarks[line] + state.tShift[line]
        rule = rules.get(state.src[at : at + 1])
        return bool(rule and not state.is_code_block(line) and rule(state, line, end, silent))

    return dispatch


def _paragraph(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: ARG001 - a rule's signature
    """A paragraph or an underlined heading. markdown-it's own two rules let nothing indented end a paragraph."""
    rules = state.md.block.ruler.getRules("paragraph")
    outer, state.parentType = state.parentType, "paragraph"
    line, end, underline = start + 1, state.lineMax, None
    while line < end and not state.isEmpty(line):
        if not state.is_code_block(line):
            at = state.bMarks[line] + state.tShift[line]
            if state.sCount[line] >= state.blkIndent and (underline := _UNDERLINE.match(state.src, at)):
                break
            if state.sCount[line] >= 0 and any(rule(state, line, end, True) for rule in rules):
                break
        line += 1
    state.parentType = outer
    kind, tag = "paragraph", "p"
    if underline:
        kind, tag = "heading", "h1" if underline[1][0] == "=" else "h2"
    state.push(f"{kind}_open", tag, 1)
    state.push("inline", "", 0).content = state.getLines(start, line, state.blkIndent, False).strip()
    state.push(f"{kind}_close", tag, -1)
    state.line = line + bool(underline)
    return True


def _flow(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Lines that hold elements, expressions and comments, and no text beside them."""
    if not _FLOW.match(state.src, state.bMarks[start] + state.tShift[start]):
        return False
    stop = start + 1
    for lines in _GROWTH if _is_patient(state.env) else _GROWTH[:1]:
        while stop < min(start + lines, end) and (state.isEmpty(stop) or state.sCount[stop] >= state.blkIndent):
            stop += 1
        source = state.getLines(start, stop, state.blkIndent, False).lstrip()
        if (found := _scan_run(source)) is not None:
            break
        if stop < start + lines:
            break
    if found is None:
        _miss(state.env, len(source))
    if not found:
        return False
    run, length = found
    if not silent:
        state.push("flow", "", 0).meta = {"run": run}
        state.line = start + source.count("\n", 0, length) + 1
    return True


def _scan_run(source: str) -> tuple[list[Markup], int] | tuple[()] | None:
    """The markup up to a line's end, and its length. Nothing where text follows; None where more lines may help."""
    run: list[Markup] = []
    at = 0
    while found := _scan(source, at):
        run.append(found[0])
        spaces = _SPACES.match(source, found[1])
        at = spaces.end() if spaces else found[1]
        if at == len(source) or source[at] == "\n":
            return run, at
        if source[at] not in "<{":
            return ()
    return None


def _esm(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """`import` and `export`: to the first blank line that no bracket reaches across."""
    if silent or state.level or state.sCount[start] or not _ESM.match(state.src, state.bMarks[start]):
        return False
    blank_lines = (line for line in range(start + 1, end) if state.isEmpty(line))
    first = None
    for stop in chain(blank_lines, [end]):
        source = state.getLines(start, stop, 0, False)
        if not _is_open(source):
            break
        first = first or stop
        _miss(state.env, len(source))
        if not _is_patient(state.env):
            stop = first
            break
    else:
        stop = first or end
    state.push("esm", "", 0).content = state.getLines(start, stop, 0, False)
    state.line = stop
    return True


def _is_open(javascript: str) -> bool:
    brackets = [token[0] for token in _JAVASCRIPT.finditer(javascript) if len(token[0]) == 1]
    return "`" in brackets or sum(1 if bracket in "([{" else -1 for bracket in brackets) > 0


def _directive(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """`:::name[Label]` to its `:::`, `:::name Label` for an admonition, and `::name[Label]`, which holds nothing."""
    at = state.bMarks[start] + state.tShift[start]
    attributes = ""
    if match := _TITLED.match(state.src, at, state.eMarks[start]):
        colons, name, label = match.groups()
    elif match := _DIRECTIVE.match(state.src, at):
        colons, name, label, attributes = match.groups("")
    else:
        return False
    if silent:
        return True
    if title := _TITLE.search(attributes):
        label = title[1] or title[2]
    meta = {"name": name, "label": label.strip()}
    if len(colons) == 2:
        state.push("directive", "", 0).meta = meta
        state.line = start + 1
        return True
    close, is_closed = _closing_line(state, start, end, rf":{{{len(colons)},}}[ \t]*")
    state.push("directive_open", "", 1).meta = meta
    last, state.lineMax = state.lineMax, close
    state.md.block.tokenize(state, start + 1, close)
    state.lineMax = last
    state.push("directive_close", "", -1)
    state.line = close + is_closed
    return True


def _maths(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    fence = _MATHS.match(state.src, state.bMarks[start] + state.tShift[start])
    if not fence:
        return False
    close, is_closed = _closing_line(state, start, end, rf"\${{{len(fence[1])},}}[ \t]*")
    if is_closed and not silent:
        state.push("maths", "", 0).content = state.getLines(start + 1, close, state.sCount[start], False)
        state.line = close + 1
    return is_closed


def _closing_line(state: StateBlock, start: int, end: int, pattern: str) -> tuple[int, bool]:
    """The line that is the pattern, and True; or the first outside what `start` stands in, and False."""
    fence = re.compile(pattern)
    for line in range(start + 1, end):
        at = state.bMarks[line] + state.tShift[line]
        if state.sCount[line] < state.blkIndent and not state.isEmpty(line):
            return line, False
        if fence.fullmatch(state.src, at, state.eMarks[line]):
            return line, True
    return end, False


def _footnote(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """`[^1]: text` and what is indented below it."""
    note = _FOOTNOTE.match(state.src, state.bMarks[start] + state.tShift[start], state.eMarks[start])
    if not note or silent:
        return bool(note)
    state.env.setdefault("footnotes", set()).add(note[1].lower())
    before = state.bMarks[start], state.tShift[start], state.sCount[start]
    state.blkIndent += 4
    state.bMarks[start], state.tShift[start], state.sCount[start] = note.end(), 0, state.blkIndent
    state.push("footnote_open", "", 1)
    state.md.block.tokenize(state, start, end)
    state.push("footnote_close", "", -1)
    state.bMarks[start], state.tShift[start], state.sCount[start] = before
    state.blkIndent -= 4
    state.line = max(state.line, start + 1)
    return True


# Inline ------------------------------------------------------------------------------------------------

_TEXT_DIRECTIVE = re.compile(r":([A-Za-z](?:[\w-]*[A-Za-z0-9])?)(?![\w:-])(?:\[([^\[\]]*)\])?(\{[^{}]*\})?", re.A)
_URL = re.compile(r"://[^\s<\]`]*[^\s<\]`?!.,:*_~\"')]")
_INLINE_MATHS = re.compile(r"\$\$(?!\$).+?\$\$|\$(?![\s$])(?:[^$\\`]|\\.)*?(?<![\s\\])\$(?![\d$])", re.S)
_FOOTNOTE_MARK = re.compile(r"\[\^([^\]\s]+)\]")


def _inline_rule(mdx: bool) -> _InlineRule:
    rules: dict[str, _InlineRule] = {
        "<": _inline_markup,
        ":": _inline_colon,
        "$": _inline_maths,
        "[": _footnote_mark,
    }
    if mdx:
        rules["{"] = _inline_markup

    def dispatch(state: StateInline, silent: bool) -> bool:
        rule = rules.get(state.src[state.pos])
        return bool(rule and rule(state, silent))

    return dispatch


def _inline_markup(state: StateInline, silent: bool) -> bool:
    if state.src.startswith("{#", state.pos) or not _is_patient(state.env):
        return False
    if not (found := _scan(state.src, state.pos)):
        _miss(state.env, state.posMax - state.pos)
        return False
    if not silent:
        state.push("markup", "", 0).meta = {"markup": found[0]}
    state.pos = found[1]
    return True


def _inline_colon(state: StateInline, silent: bool) -> bool:
    """The rest of an address, which is text whatever it holds, or a `:directive` that Docusaurus knows nothing of."""
    if state.src.endswith(("http", "https"), 0, state.pos) and (url := _URL.match(state.src, state.pos)):
        if not silent:
            state.append_pending(url[0])
        state.pos = url.end()
        return True
    directive = _TEXT_DIRECTIVE.match(state.src, state.pos)
    if not directive or state.src.endswith(":", 0, state.pos):
        return False
    if not silent:
        token = state.push("text_directive", "", 0)
        name, label, attributes = directive.groups()
        token.content = label or ("" if attributes else f":{name}")
        token.meta = {"label": label or ""}
    state.pos = directive.end()
    return True


def _inline_maths(state: StateInline, silent: bool) -> bool:
    maths = _INLINE_MATHS.match(state.src, state.pos)
    if maths and not silent:
        state.push("inline_maths", "", 0).content = maths[0]
    state.pos = maths.end() if maths else state.pos
    return bool(maths)


def _footnote_mark(state: StateInline, silent: bool) -> bool:  # noqa: ARG001 - a rule's signature
    mark = _FOOTNOTE_MARK.match(state.src, state.pos)
    if not mark or mark[1].lower() not in state.env.get("footnotes", ()):
        return False
    state.pos = mark.end()
    return True
