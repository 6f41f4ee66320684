"""Settings, and the two places that tell owners about them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from chatbot_api.config import Settings

ROOT = Path(__file__).parents[3]
NAMES = {name.upper() for name in Settings.model_fields}


def test_with_nothing_set_everything_is_embedded() -> None:
    settings = Settings()

    assert settings.qdrant_host is None
    assert (settings.embeds_with, settings.answers_with) == ("local", "extractive")
    assert settings.cors_origins == ()


def test_environment_variables_are_read_by_the_names_of_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("QDRANT_HOST", "https://qdrant.example")
    monkeypatch.setenv("QDRANT_API_KEY", "q")
    monkeypatch.setenv("QDRANT_COLLECTION_NAME", "book")
    monkeypatch.setenv("CORS_ORIGINS", "https://book.example/, http://localhost:3000")

    settings = Settings()

    assert (settings.embeds_with, settings.answers_with) == ("gemini", "gemini")
    assert settings.qdrant_collection_name == "book"
    assert settings.cors_origins == ("https://book.example", "http://localhost:3000")


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("PORT=1111\nSITE_URL=https://from-file.example/\n", encoding="utf-8")
    monkeypatch.setenv("PORT", "2222")

    settings = Settings(_env_file=file)

    assert settings.port == 2222
    assert settings.site_url == "https://from-file.example"


def test_a_blank_key_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "  ")

    assert Settings().gemini_api_key is None


def test_keys_are_not_shown() -> None:
    settings = Settings(gemini_api_key="hidden-1", qdrant_host="h", qdrant_api_key="hidden-2")

    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings.model_dump())


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"answers": "gemini"}, "ANSWERS=gemini needs GEMINI_API_KEY"),
        ({"embedder": "gemini"}, "EMBEDDER=gemini needs GEMINI_API_KEY"),
        ({"qdrant_api_key": "k"}, "QDRANT_API_KEY is set, but QDRANT_HOST is not"),
        ({"cors_origins": "https://book.example/docs"}, "without a path"),
        ({"cors_origins": "book.example"}, "CORS_ORIGINS takes origins"),
        ({"site_url": "book.example"}, "SITE_URL must begin with http"),
        ({"openai_answer_model": "m"}, "OPENAI_ANSWER_MODEL needs OPENAI_BASE_URL"),
        ({"embedder": "openai", "openai_base_url": "http://h/v1"}, "EMBEDDER=openai needs OPENAI_EMBEDDING_MODEL"),
        ({"answers": "openai", "openai_base_url": "http://h/v1"}, "ANSWERS=openai needs OPENAI_ANSWER_MODEL"),
        (
            {"openai_base_url": "http://h/v1", "openai_embedding_model": "m"},
            "OPENAI_EMBEDDING_MODEL needs OPENAI_EMBEDDING_DIMENSIONS",
        ),
        ({"openai_base_url": "localhost:11434"}, "must begin with http"),
        ({"port": 70000}, "less than or equal to 65535"),
        ({"qdrant_collection_name": "a/b"}, "pattern"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(sentence)):
        Settings(**values)  # type: ignore[arg-type]  # wrong on purpose


def test_a_server_of_ones_own_is_used_where_there_is_no_key_of_gemini() -> None:
    own = {
        "openai_base_url": "http://localhost:11434/v1",
        "openai_embedding_model": "m",
        "openai_embedding_dimensions": 768,
        "openai_answer_model": "m",
    }

    alone = Settings(**own)  # type: ignore[arg-type]  # each has its type
    beside = Settings(gemini_api_key="k", answers="openai", **own)  # type: ignore[arg-type]  # each has its type

    assert (alone.embeds_with, alone.answers_with) == ("openai", "openai")
    assert (beside.embeds_with, beside.answers_with) == ("gemini", "openai")


def test_choices_can_be_made_one_by_one() -> None:
    settings = Settings(gemini_api_key="k", embedder="local")

    assert (settings.embeds_with, settings.answers_with) == ("local", "gemini")


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_example_file_names_every_setting_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")

    assert set(re.findall(r"^# ?([A-Z_]+)=", text, re.MULTILINE)) == NAMES


def test_the_documentation_names_every_setting_and_no_other() -> None:
    text = (ROOT / "site/docs/reference/configuration.mdx").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `([A-Z_]+)`", text, re.MULTILINE)) == NAMES
