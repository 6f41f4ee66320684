"""Front matter, which is YAML 1.2 and may be broken."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_indexer.sources.frontmatter import BadYaml, load_yaml, read_front_matter, split_front_matter


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("Off", "Off"),
        ("true", True),
        ("12:30:45", "12:30:45"),
        ("2024-02-30", "2024-02-30"),
        ("2024-01-02", "2024-01-02"),
        ("010", 10),
        ("089", 89),
        ("0o17", 15),
        ("0xFF", 255),
        ("-5", -5),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("~", None),
        ("", None),
        ("'010'", "010"),
    ],
)
def test_a_scalar_is_read_as_yaml_1_2(text: str, value: object) -> None:
    assert load_yaml(f"key: {text}") == {"key": value}


def test_merge_keys_are_only_keys() -> None:
    assert load_yaml("<<: {a: 1}") == {"<<": {"a": 1}}


@pytest.mark.parametrize(
    "text",
    ["a: : b", "[" * 5000, "!!bool maybe", "!!timestamp x", "!!python/name:os.system ''", "a: " + "9" * 5000, "\x07"],
)
def test_unreadable_yaml_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(BadYaml):
        load_yaml(text)


@given(st.text(alphabet=st.sampled_from("!&*<>:-?[]{},#|'\"%@~ \n\tabtrue01.")))
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(BadYaml):
        load_yaml(text)


def test_front_matter_is_what_stands_between_the_dashes() -> None:
    assert split_front_matter("---\ntitle: A\n---\n\n# B\n") == ("title: A\n", "\n# B\n")
    assert split_front_matter("---\n---\ntext") == ("", "text")
    assert split_front_matter("----\ntitle: A\n---\n") == ("", "----\ntitle: A\n---\n")
    assert split_front_matter("text\n---\n") == ("", "text\n---\n")


def test_no_front_matter_is_no_keys() -> None:
    assert read_front_matter("# Title") == {}
    assert read_front_matter("---\n# only a comment\n---\n") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("---\ntitle: A\n", "never closed"),
        ("---\n- a\n---\n", "not a list of keys"),
        ("---\ntitle: a: b\n---\n", "not YAML"),
    ],
)
def test_broken_front_matter_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(BadYaml, match=reason):
        read_front_matter(text)
