"""Where a site's documents lie and how it serves them. Reads `askbook.yaml`, never a site's JavaScript."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from chatbot_api.errors import SourceError
from qdrant_indexer.sources.frontmatter import load_yaml

MarkdownFormat = Literal["mdx", "detect", "md"]

CONFIG = "askbook.yaml"
_SITE_CONFIGS = tuple(f"docusaurus.config.{ending}" for ending in ("js", "ts", "mjs", "cjs"))


@dataclass(frozen=True, slots=True)
class SiteLayout:
    docs_dir: Path
    base_url: str = "/"
    route_base_path: str = "docs"
    trailing_slash: bool | None = None
    locale: str = "en"
    version: str = "current"
    markdown_format: MarkdownFormat = "mdx"
    """How `.md` and `.mdx` are read: all as MDX, all as Markdown, or as their endings say."""
    site_url: str = ""
    number_prefix_parser: bool = True
    site_dir: Path | None = None
    """What `@site` names in an import, and the folder that partials must not leave; None: the documents' folder."""


def find_layout(source: Path) -> SiteLayout:
    """Raises `SourceError`, whose text says what to do."""
    if not source.is_dir():
        what = "is a file, not a folder" if source.exists() else "does not exist"
        raise SourceError(f"{source} {what}: give the folder that holds your documents or your Docusaurus site.")
    config = source / CONFIG
    layout = _read_config(source, config) if config.is_file() else SiteLayout(_usual_docs(source), site_dir=source)
    if not layout.docs_dir.is_dir():
        raise SourceError(f"{config}: docs.path names {layout.docs_dir}, which is not a folder: correct it.")
    if not any(path.suffix in (".md", ".mdx") for path in layout.docs_dir.rglob("*.md*")):
        raise SourceError(f"{layout.docs_dir} holds no .md or .mdx file: give the folder your documents are in.")
    return layout


def is_site(folder: Path) -> bool:
    """Whether it is the folder of a Docusaurus site."""
    return any((folder / name).is_file() for name in _SITE_CONFIGS)


def _usual_docs(source: Path) -> Path:
    return source / "docs" if is_site(source) and (source / "docs").is_dir() else source


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class _Docs(_Strict):
    path: str = ""
    route_base_path: str = "docs"


class _Config(_Strict):
    url: str = Field("", pattern=r"^(https?://[^/\s]+/?)?$")
    base_url: str = "/"
    trailing_slash: bool | None = None
    docs: _Docs = Field(default_factory=_Docs)
    locale: str = "en"
    version: str = "current"
    format: MarkdownFormat = "mdx"
    number_prefix_parser: bool = True


def _read_config(source: Path, file: Path) -> SiteLayout:
    try:
        values = load_yaml(file.read_text("utf-8"))
        config = _Config.model_validate({} if values is None else values)
    except ValidationError as exc:
        raise SourceError(f"{file}: {_sentence(exc)}") from exc
    except (OSError, ValueError) as exc:
        raise SourceError(f"{file} cannot be read as YAML: {exc}") from exc
    return SiteLayout(
        docs_dir=source / config.docs.path if config.docs.path else _usual_docs(source),
        base_url=f"/{config.base_url.strip('/')}/".replace("//", "/"),
        route_base_path=config.docs.route_base_path,
        trailing_slash=config.trailing_slash,
        locale=config.locale,
        version=config.version,
        markdown_format=config.format,
        site_url=config.url.rstrip("/"),
        number_prefix_parser=config.number_prefix_parser,
        site_dir=source,
    )


def _sentence(refused: ValidationError) -> str:
    first = refused.errors()[0]
    key = ".".join(map(str, first["loc"])) or "the file"
    if first["type"] == "extra_forbidden":
        return f"{key} is not a key Askbook knows: remove it or correct its spelling."
    if first["type"] == "string_pattern_mismatch":
        return f"{key} should be the site's address alone, such as https://docs.example.com."
    return f"{key} {first['msg'].removeprefix('Input ')}."
