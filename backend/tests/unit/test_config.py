"""Settings, and the two places that tell owners about them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from chatbot_api.config import Settings

ROOT = Path(__file__).parents[3]
NAMES = {name.upper() for name in Settings.model_fields}
LONG = "0123456789abcdef0123456789abcdef"


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
    settings = Settings(
        gemini_api_key="hidden-1",
        qdrant_host="h",
        qdrant_api_key="hidden-2",
        session_secret=f"hidden-3-{LONG}",
        site_jwt_key=f"hidden-4-{LONG}",
        site_jwt_audience="a",
    )

    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings.model_dump())


def test_what_is_refused_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_SECRET", "hidden-1")
    monkeypatch.setenv("SITE_JWT_KEY", f"hidden-2-{LONG}")

    with pytest.raises(ValidationError) as refused:
        Settings()
    monkeypatch.delenv("SESSION_SECRET")
    with pytest.raises(ValidationError) as without_audience:
        Settings()

    assert "hidden" not in str(refused.value)
    assert "hidden" not in str(without_audience.value)


def test_secrets_are_separated_by_commas() -> None:
    settings = Settings(session_secret=f" first-{LONG} ,, second-{LONG},")

    assert [each.get_secret_value() for each in settings.session_secrets] == [f"first-{LONG}", f"second-{LONG}"]
    assert Settings(session_secret=" ").session_secrets == ()


@pytest.mark.parametrize(
    "url", ["https://book.example/keys?x=1", "http://localhost:8080/k", "http://127.0.0.1:1/k", "http://[::1]:8080/k"]
)
def test_keys_of_accounts_come_over_a_safe_way_or_from_this_machine(url: str) -> None:
    assert Settings(site_jwks_url=url, site_jwt_audience="a", site_jwt_issuer="  ").site_jwt_issuer is None


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
        ({"database_url": "mysql://u:p@h/d"}, "it must be postgresql://user:password@host/database, or sqlite:///"),
        ({"database_url": "postgresql+asyncpg://u:p@h/d"}, "it must be postgresql://user:password@host/database"),
        ({"database_url": "sqlite://"}, "or sqlite:/// and the path of a file"),
        ({"database_url": "sqlite:///file?mode=ro"}, "or sqlite:/// and the path of a file"),
        ({"retention_days": -1}, "greater than or equal to 0"),
        ({"port": 70000}, "less than or equal to 65535"),
        ({"session_secret": LONG[1:]}, "a secret needs at least 32 characters"),
        ({"session_secret": f"{LONG},{LONG[1:]}"}, "a secret needs at least 32 characters"),
        ({"session_secret": " , "}, "a secret needs at least 32 characters"),
        ({"session_days": 0}, "greater than or equal to 1"),
        ({"session_days": 366}, "less than or equal to 365"),
        ({"site_jwt_key": LONG[1:], "site_jwt_audience": "a"}, "a secret needs at least 32 characters"),
        ({"site_jwt_key": f"-----BEGIN PUBLIC KEY-----{LONG}", "site_jwt_audience": "a"}, "not a key of a pair"),
        ({"site_jwt_key": LONG, "site_jwks_url": "https://h/k", "site_jwt_audience": "a"}, "not both"),
        ({"site_jwt_key": LONG}, "SITE_JWT_KEY needs SITE_JWT_AUDIENCE"),
        ({"site_jwks_url": "https://h/k"}, "SITE_JWKS_URL needs SITE_JWT_AUDIENCE"),
        ({"site_jwt_audience": "a"}, "SITE_JWT_AUDIENCE needs SITE_JWKS_URL or SITE_JWT_KEY"),
        ({"site_jwt_issuer": "i"}, "SITE_JWT_ISSUER needs SITE_JWKS_URL or SITE_JWT_KEY"),
        ({"site_jwt_key": LONG, "site_jwt_audience": "a", "site_jwt_issuer": "askbook"}, "cannot be askbook"),
        ({"site_jwt_key": LONG, "site_jwt_audience": "a", "session_secret": f"x{LONG},{LONG}"}, "must differ"),
        *(
            ({"site_jwks_url": url, "site_jwt_audience": "a"}, "it must begin with https://")
            for url in (
                "http://book.example/keys",
                "http://localhost.example/keys",
                "http://localhost@book.example/keys",
                "https://user:password@book.example/keys",
                "https:///keys",
                "https://[::1/keys",
                "file:///etc/keys",
                "book.example/keys",
            )
        ),
        ({"qdrant_collection_name": "a/b"}, "pattern"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(sentence)):
        Settings(**values)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h/d?sslmode=require&channel_binding=require",
        "postgres://h1,h2/d",
        "sqlite:////srv/threads.sqlite",
    ],
)
def test_conversations_can_be_kept_in_postgresql_or_in_a_file_and_the_address_is_not_shown(url: str) -> None:
    settings = Settings(database_url=url)

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == url
    assert url not in repr(settings)


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
