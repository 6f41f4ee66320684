"""Settings: every environment variable Askbook reads, in one flat class. Read at the edge, unpacked in `bootstrap`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """Field names in capitals are the names of the environment variables. Nothing is required.

    Raises `pydantic.ValidationError` on a value that cannot be used and on choices that contradict each other.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    gemini_api_key: SecretStr | None = Field(
        None, description="Key of the Gemini API. Without it, everything is local."
    )
    qdrant_host: str | None = Field(
        None,
        description="Address of a Qdrant server, such as `https://qdrant.example`. Without it, the embedded engine.",
    )
    qdrant_api_key: SecretStr | None = Field(None, description="Key of the Qdrant server.")
    qdrant_collection_name: str = Field(
        "docs", pattern=r"^[A-Za-z0-9_-]{1,100}$", description="Name of the index on the Qdrant server."
    )

    qdrant_grpc_port: int | None = Field(
        None, ge=1, le=65535, description="Port of the Qdrant server's gRPC interface. Without it, REST is spoken."
    )
    qdrant_timeout_seconds: float = Field(
        10.0, gt=0, le=120, description="How long a reader's search may take on the Qdrant server, retries included."
    )
    qdrant_quantization: Literal["none", "int8", "binary"] = Field(
        "none", description="How a new index keeps its vectors in the Qdrant server's memory."
    )
    qdrant_oversampling: float = Field(
        2.0,
        ge=1,
        le=10,
        description="How many times more candidates a quantized search fetches, to rank them by their full vectors.",
    )
    qdrant_shards: int | None = Field(
        None, ge=1, le=1000, description="Shards of a new index. Without it, the Qdrant server's own number."
    )
    qdrant_replicas: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Copies of each shard of a new index. Without it, the Qdrant server's own number.",
    )

    data_dir: Path = Field(
        Path("data"), description="Folder of everything that is kept: the index, the vector cache, conversations."
    )
    database_url: SecretStr | None = Field(
        None,
        description="Where conversations are kept, such as `postgresql://user:password@host/askbook`. Without it: "
        "SQLite in `DATA_DIR`.",
    )
    retention_days: int = Field(
        90,
        ge=0,
        le=36_500,
        description="Conversations in which nothing was asked for so many days are removed; 0: none.",
    )
    site_url: str = Field(
        "", description="Where the book is published, such as `https://book.example`. Without it, links are paths."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of sites that may ask, separated by commas. None by default."
    )
    host: str = Field("127.0.0.1", description="Address that `askbook serve` listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that `askbook serve` listens on.")

    embedder: Literal["auto", "local", "gemini", "openai"] = Field(
        "auto",
        description="Which model makes vectors. `auto`: Gemini where there is a key, else the OpenAI-compatible server "
        "where its model is set, else the local one.",
    )
    answers: Literal["auto", "extractive", "gemini", "openai"] = Field(
        "auto",
        description="Who writes answers. `auto`: Gemini where there is a key, else the OpenAI-compatible server where "
        "its model is set, else quoted passages.",
    )
    gemini_embedding_model: str = Field("gemini-embedding-001", min_length=1, description="Gemini model for vectors.")
    gemini_embedding_dimensions: int = Field(768, ge=128, le=3072, description="Length of Gemini's vectors.")
    gemini_answer_model: str = Field("gemini-3.5-flash-lite", min_length=1, description="Gemini model for answers.")
    gemini_base_url: str | None = Field(None, description="Another address of the Gemini API, such as a proxy's.")
    gemini_api_version: str = Field("v1beta", min_length=1, description="Version of the Gemini API.")
    gemini_answer_fallback_models: Annotated[tuple[str, ...], NoDecode] = Field(
        ("gemini-3.1-flash-lite",),
        description="Models that answer, in this order, while the one before is not there; separated by commas.",
    )
    gemini_embed_texts_per_minute: int | None = Field(
        None, ge=0, description="Texts your plan lets you embed in a minute; 0: any number. Unset: learnt on the way."
    )
    gemini_embed_tokens_per_minute: int | None = Field(
        None, ge=0, description="Tokens your plan lets you embed in a minute; 0: any number. Unset: learnt on the way."
    )
    gemini_embed_texts_per_day: int | None = Field(
        None, ge=0, description="Texts your plan lets you embed in a day; 0: any number. Unset: learnt on the way."
    )
    gemini_embed_dollars_per_million_tokens: float = Field(
        0.15, ge=0, description="What a million embedded tokens cost, for `--estimate`."
    )
    openai_base_url: str | None = Field(
        None, description="Address of an OpenAI-compatible server, with its `/v1`: Ollama, vLLM, LM Studio, a cloud's."
    )
    openai_api_key: SecretStr | None = Field(None, description="Key of the OpenAI-compatible server, if it wants one.")
    openai_embedding_model: str | None = Field(None, description="Its model for vectors.")
    openai_embedding_dimensions: int | None = Field(
        None, ge=8, le=16_384, description="Length of that model's vectors; needed with it."
    )
    openai_question_prefix: str = Field("", description="Words that model wants before a question.")
    openai_passage_prefix: str = Field("", description="Words that model wants before a passage.")
    openai_answer_model: str | None = Field(None, description="Its model for answers.")
    openai_answer_fallback_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Models that answer, in this order, while the one before is not there; separated by commas."
    )
    answer_dollars_per_million_input_tokens: float | None = Field(
        None, ge=0, description="What a million tokens of a prompt cost, for the log. Unset: costs are not counted."
    )
    answer_dollars_per_million_output_tokens: float | None = Field(
        None, ge=0, description="What a million tokens of an answer cost, for the log. Unset: costs are not counted."
    )
    embed_share_for_questions: float = Field(
        0.1, ge=0, le=0.9, description="The part of an embedding quota that indexing leaves to readers' questions."
    )
    question_cache_size: int = Field(1_000, ge=0, le=100_000, description="How many questions' vectors are remembered.")
    embed_timeout_seconds: float = Field(
        5.0, gt=0, le=60, description="How long a reader's question may take to embed before words alone are searched."
    )
    first_word_timeout_seconds: float = Field(
        30.0, gt=0, le=120, description="How long a reader may wait for an answer's first word before it is quoted."
    )
    answer_timeout_seconds: float = Field(90.0, gt=0, le=600, description="How long a model may write one answer.")
    local_model_threads: int = Field(2, ge=1, le=64, description="Threads of the local embedding model.")

    session_secret: SecretStr | None = Field(
        None,
        description="Secrets for readers' tokens, separated by commas: the first signs, all are accepted. Without it, "
        "one is made in `DATA_DIR`.",
    )
    session_days: int = Field(30, ge=1, le=365, description="How many days a reader's token is valid.")
    anonymous_readers: bool = Field(True, description="Whether readers without an account of the site may ask.")
    site_jwks_url: str | None = Field(
        None, description="Where the site's accounts publish the keys that they sign their tokens with, as a JWKS."
    )
    site_jwt_key: SecretStr | None = Field(
        None, description="Secret that the site's accounts sign their tokens with, by HS256."
    )
    site_jwt_audience: str | None = Field(None, description="The `aud` that those tokens must have.")
    site_jwt_issuer: str | None = Field(None, description="The `iss` that they must have. Without it, any.")

    chatkit_domain_key: str = Field(
        "",
        description="Public key that OpenAI gave your site for ChatKit's own client; `GET /config` tells it to pages.",
    )

    context_passages: int = Field(12, ge=1, le=50, description="How many passages an answer may stand on.")
    max_body_bytes: int = Field(65_536, ge=1_024, le=10_485_760, description="Largest request body that is read.")
    keep_alive_seconds: float = Field(
        15.0, gt=0, le=300, description="Pause after which a silent stream sends a comment."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")
    log_format: Literal["text", "json"] = Field("text", description="Log lines for people or for machines.")

    @field_validator("cors_origins", "gemini_answer_fallback_models", "openai_answer_fallback_models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.rstrip("/") for part in _parts(value))
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and ("://" not in origin or "/" in origin.split("://", 1)[1]):
                raise ValueError(
                    f"CORS_ORIGINS takes origins such as https://book.example, without a path; got {origin!r}"
                )
        return value

    @field_validator("database_url")
    @classmethod
    def _database_is_one_of_ours(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"postgres(ql)?://|sqlite:///[^?]+$", value.get_secret_value()):
            raise ValueError(
                "it must be postgresql://user:password@host/database, or sqlite:/// and the path of a file"
            )
        return value

    @field_validator("openai_base_url", "gemini_base_url")
    @classmethod
    def _servers_have_addresses(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("it must begin with http:// or https://")
        return value

    @field_validator("site_url")
    @classmethod
    def _site_is_an_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("SITE_URL must begin with http:// or https://")
        return value.rstrip("/")

    @field_validator(
        "database_url",
        "gemini_api_key",
        "gemini_base_url",
        "gemini_embed_texts_per_minute",
        "gemini_embed_tokens_per_minute",
        "gemini_embed_texts_per_day",
        "openai_base_url",
        "openai_api_key",
        "openai_embedding_model",
        "openai_embedding_dimensions",
        "openai_answer_model",
        "answer_dollars_per_million_input_tokens",
        "answer_dollars_per_million_output_tokens",
        "qdrant_host",
        "qdrant_api_key",
        "qdrant_grpc_port",
        "qdrant_shards",
        "qdrant_replicas",
        "session_secret",
        "site_jwks_url",
        "site_jwt_key",
        "site_jwt_audience",
        "site_jwt_issuer",
        mode="before",
    )
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("session_secret")
    @classmethod
    def _session_secrets_are_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            for secret in _parts(value.get_secret_value()) or ("",):
                _is_long_secret(secret)
        return value

    @field_validator("site_jwt_key")
    @classmethod
    def _site_jwt_key_is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _is_long_secret(value.get_secret_value())
        return value

    @field_validator("site_jwks_url")
    @classmethod
    def _keys_come_safely(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            url = urlsplit(value)
            is_safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in _THIS_MACHINE)
            is_plain = url.hostname and "@" not in url.netloc
        except ValueError:
            is_safe = is_plain = False
        if not (is_safe and is_plain):
            raise ValueError("it must begin with https://, or with http:// on localhost, and hold no password")
        return value

    @model_validator(mode="after")
    def _accounts_agree(self) -> Self:
        if self.site_jwks_url is not None and self.site_jwt_key is not None:
            raise ValueError("set one of SITE_JWKS_URL and SITE_JWT_KEY, not both")
        if self.site_jwks_url is None and self.site_jwt_key is None:
            for name in ("site_jwt_audience", "site_jwt_issuer"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name.upper()} needs SITE_JWKS_URL or SITE_JWT_KEY")
        elif self.site_jwt_audience is None:
            name = "SITE_JWT_KEY" if self.site_jwks_url is None else "SITE_JWKS_URL"
            raise ValueError(f"{name} needs SITE_JWT_AUDIENCE: tokens made for other services must not open this one")
        if self.site_jwt_issuer == "askbook":
            raise ValueError("SITE_JWT_ISSUER cannot be askbook: that is the issuer of Askbook's own tokens")
        if self.site_jwt_key is not None and self.site_jwt_key in self.session_secrets:
            raise ValueError("SITE_JWT_KEY and SESSION_SECRET must differ: one signs the site's tokens, the other ours")
        return self

    @model_validator(mode="after")
    def _choices_agree(self) -> Self:
        if self.gemini_api_key is None:
            for name in ("embedder", "answers"):
                if getattr(self, name) == "gemini":
                    raise ValueError(f"{name.upper()}=gemini needs GEMINI_API_KEY")
        if self.openai_base_url is None:
            for name in ("openai_api_key", "openai_embedding_model", "openai_answer_model"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name.upper()} needs OPENAI_BASE_URL, the address of the server")
        if self.embedder == "openai" and self.openai_embedding_model is None:
            raise ValueError("EMBEDDER=openai needs OPENAI_EMBEDDING_MODEL")
        if self.answers == "openai" and self.openai_answer_model is None:
            raise ValueError("ANSWERS=openai needs OPENAI_ANSWER_MODEL")
        if self.openai_embedding_model is not None and self.openai_embedding_dimensions is None:
            raise ValueError("OPENAI_EMBEDDING_MODEL needs OPENAI_EMBEDDING_DIMENSIONS, the length of its vectors")
        if self.qdrant_api_key is not None and self.qdrant_host is None:
            raise ValueError(
                "QDRANT_API_KEY is set, but QDRANT_HOST is not: set both, or neither for the embedded engine"
            )
        return self

    @property
    def session_secrets(self) -> tuple[SecretStr, ...]:
        """The first signs, all are accepted."""
        return (
            () if self.session_secret is None else tuple(map(SecretStr, _parts(self.session_secret.get_secret_value())))
        )

    @property
    def embeds_with(self) -> Literal["local", "gemini", "openai"]:
        if self.embedder != "auto":
            return self.embedder
        if self.gemini_api_key is not None:
            return "gemini"
        return "local" if self.openai_embedding_model is None else "openai"

    @property
    def answers_with(self) -> Literal["extractive", "gemini", "openai"]:
        if self.answers != "auto":
            return self.answers
        if self.gemini_api_key is not None:
            return "gemini"
        return "extractive" if self.openai_answer_model is None else "openai"


_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")
_LOOKS_PUBLIC: Final = ("-----BEGIN", "ssh-", "ecdsa-", "{", "[")


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _is_long_secret(value: str) -> None:
    """Raises `ValueError` in words that do not hold it."""
    if value.startswith(_LOOKS_PUBLIC):
        raise ValueError("it must be a secret, not a key of a pair; publish such a key, and set SITE_JWKS_URL")
    if len(value) < 32:
        raise ValueError("a secret needs at least 32 characters; make one with: openssl rand -hex 32")
