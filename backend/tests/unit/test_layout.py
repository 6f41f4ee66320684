"""Where a site's documents are found, and what `askbook.yaml` may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatbot_api.errors import SourceError
from qdrant_indexer.sources.layout import SiteLayout, find_layout


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "intro.md").write_text("# Intro\n")
    return tmp_path


@pytest.mark.parametrize("ending", ["js", "ts", "mjs", "cjs"])
def test_beside_a_site_config_the_documents_are_in_docs(site: Path, ending: str) -> None:
    (site / f"docusaurus.config.{ending}").write_text("throw new Error('not to be run')")

    assert find_layout(site) == SiteLayout(site / "docs", site_dir=site)


def test_any_other_folder_is_the_documents_folder(site: Path) -> None:
    assert find_layout(site).docs_dir == site
    assert find_layout(site / "docs").docs_dir == site / "docs"


def test_every_key_reaches_the_layout(site: Path) -> None:
    (site / "askbook.yaml").write_text(
        "url: https://book.example/\nbaseUrl: /base\ntrailingSlash: false\n"
        "docs: {path: docs, routeBasePath: /}\nlocale: fr\nversion: '2.0'\nformat: detect\nnumberPrefixParser: false\n"
    )

    assert find_layout(site) == SiteLayout(
        docs_dir=site / "docs",
        base_url="/base/",
        route_base_path="/",
        trailing_slash=False,
        locale="fr",
        version="2.0",
        markdown_format="detect",
        site_url="https://book.example",
        number_prefix_parser=False,
        site_dir=site,
    )


def test_an_empty_config_leaves_the_defaults(site: Path) -> None:
    (site / "askbook.yaml").write_text("# nothing yet\n")

    assert find_layout(site) == SiteLayout(site, site_dir=site)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ("baseURL: /\n", "baseURL"),
        ("base_url: /\n", "base_url"),
        ("docs: {routeBasepath: /}\n", "docs.routeBasepath"),
        ("trailingSlash: 'yes'\n", "trailingSlash"),
        ("trailingSlash: yes\n", "trailingSlash"),
        ("version: 2.0\n", "version"),
        ("docs: docs\n", "docs"),
        ("format: html\n", "format"),
        ("url: book.example\n", "url"),
        ("url: https://book.example/base\n", "url"),
        ("- url\n", "the file"),
        ("url: a: b\n", "cannot be read as YAML"),
    ],
)
def test_what_is_not_understood_is_refused_by_file_and_key(site: Path, config: str, key: str) -> None:
    (site / "askbook.yaml").write_text(config)

    with pytest.raises(SourceError) as refused:
        find_layout(site)

    assert "askbook.yaml" in str(refused.value)
    assert key in str(refused.value)


@pytest.mark.parametrize(
    ("source", "reason"), [("missing", "does not exist"), ("docs/intro.md", "is a file"), ("empty", "holds no .md")]
)
def test_a_source_without_documents_says_what_to_give(site: Path, source: str, reason: str) -> None:
    (site / "empty").mkdir()

    with pytest.raises(SourceError, match=f"{reason}.*give the folder"):
        find_layout(site / source)


def test_a_documents_folder_that_is_not_there_is_refused(site: Path) -> None:
    (site / "askbook.yaml").write_text("docs: {path: content}\n")

    with pytest.raises(SourceError, match=r"docs\.path"):
        find_layout(site)
