"""Front matter: the YAML a page may begin with, read as YAML 1.2. What its keys mean is not decided here."""

from __future__ import annotations

import re

import yaml

_OPENING = re.compile(r"---[ \t]*\n")
_CLOSING = re.compile(r"^---[ \t]*(?:\n|\Z)", re.M)
_TROUBLE = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What PyYAML raises for text it cannot read: an explicit tag on a value that does not fit leaks Python's own."""


class BadYaml(ValueError):
    """YAML that cannot be read; the text says what is wrong."""


class _Yaml12(yaml.SafeLoader):
    """No `yes` and `on`, no sexagesimal numbers, no dates, no merge keys: they stay text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


def _integer(_: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value, {"0o": 8, "0x": 16}.get(node.value[:2], 10))


_Yaml12.add_constructor("tag:yaml.org,2002:int", _integer)


def load_yaml(text: str) -> object:
    try:
        return yaml.load(text, _Yaml12)  # noqa: S506 - a SafeLoader that resolves less
    except _TROUBLE as exc:
        raise BadYaml(" ".join(str(exc).split()) or type(exc).__name__) from exc


def split_front_matter(text: str) -> tuple[str, str]:
    """The front matter, still YAML, and what follows it. Line endings are `\\n`."""
    if not (opening := _OPENING.match(text)):
        return "", text
    if not (closing := _CLOSING.search(text, opening.end())):
        raise BadYaml("its front matter is opened with --- and never closed")
    return text[opening.end() : closing.start()], text[closing.end() :]


def read_front_matter(text: str) -> dict[str, object]:
    front_matter, _ = split_front_matter(text)
    try:
        values = load_yaml(front_matter)
    except BadYaml as exc:
        raise BadYaml(f"its front matter is not YAML: {exc}") from exc
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise BadYaml("its front matter is not a list of keys and values")
    return {str(key): value for key, value in values.items()}
