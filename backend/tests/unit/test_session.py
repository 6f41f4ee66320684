"""`POST /session`, and what a token does for the other routes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from chatbot_api.config import Settings
from chatbot_api.errors import DatabaseOutdated, SignInUnavailable, ThreadBusy, ThreadsUnavailable
from chatbot_api.routes import errors, session
from chatbot_api.routes.deps import MAY_SIGN_IN, known_reader, reader
from chatbot_api.services.reader_service import ReaderService
from tests.fast_clock import FastClock
from tests.unit.test_reader_service import DAY, NOW, OTHER, OURS, bearer


class Door:
    """An app of the session's route and of one that does, and one that does not do, without a reader."""

    def __init__(self, folder: Path, *, anonymous: bool = True) -> None:
        self.clock = FastClock(NOW)
        self.file = folder / "session.secret"
        self.app = FastAPI()
        errors.install(self.app)
        self.app.include_router(session.router)
        self.app.get("/may", openapi_extra=MAY_SIGN_IN)(may)
        self.app.get("/must")(must)
        self.with_secret(OURS, anonymous=anonymous)

    def with_secret(self, *secrets: str, anonymous: bool = True) -> None:
        readers = ReaderService(
            secret_file=self.file,
            secrets=[SecretStr(secret) for secret in secrets],
            anonymous=anonymous,
            clock=self.clock.now,
        )
        settings = Settings(anonymous_readers=anonymous)
        self.app.state.services = SimpleNamespace(readers=readers, settings=settings)


async def may(reader: Annotated[str | None, Depends(reader)]) -> str | None:
    return reader


async def must(reader: Annotated[str, Depends(known_reader)]) -> str:
    return reader


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


@pytest.fixture
def client(door: Door) -> Iterator[TestClient]:
    with TestClient(door.app) as client:
        yield client


def begun(client: TestClient, token: str | None = None) -> dict[str, Any]:
    response = client.post("/session", headers={"Authorization": bearer(token)} if token else {})
    assert response.status_code == 200, response.text
    return response.json()  # type: ignore[no-any-return]  # the session


def test_a_session_is_for_one_reader_and_for_no_cache(client: TestClient) -> None:
    response = client.post("/session")

    told = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert "set-cookie" not in response.headers
    assert set(told) == {"token", "expires_at", "reader"}
    assert datetime.fromisoformat(told["expires_at"]) == datetime(2026, 12, 24, 12, tzinfo=UTC)
    assert client.get("/must", headers={"Authorization": bearer(told["token"])}).json() == told["reader"]


def test_a_token_is_renewed_for_the_same_reader(door: Door, client: TestClient) -> None:
    first = begun(client)
    door.clock.move_to(datetime(2026, 12, 9, 12, tzinfo=UTC))

    second = begun(client, first["token"])

    assert second["reader"] == first["reader"]
    assert second["expires_at"] > first["expires_at"]


def test_a_route_may_do_without_a_reader_or_not(client: TestClient) -> None:
    refused = client.get("/must")

    assert client.get("/may").json() is None
    assert (refused.status_code, refused.json()["code"]) == (401, "not_signed_in")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("route", ["POST /session", "GET /may", "GET /must"])
def test_a_token_that_is_not_valid_is_refused_everywhere(door: Door, client: TestClient, route: str) -> None:
    method, path = route.split()
    token = begun(client)["token"]
    door.with_secret(OTHER)

    for header in (bearer(token), f"Basic {token}", "Bearer", ""):
        response = client.request(method, path, headers={"Authorization": header})

        assert (response.status_code, response.json()["code"]) == (401, "token_refused")
        assert response.headers["www-authenticate"] == "Bearer"
        assert token not in response.text


def test_two_headers_are_none_even_if_each_is_valid(client: TestClient) -> None:
    header = ("Authorization", bearer(begun(client)["token"]))

    assert client.get("/may", headers=[header]).status_code == 200
    assert client.get("/may", headers=[header, header]).json()["code"] == "token_refused"


def test_a_header_that_is_not_ascii_is_refused(client: TestClient) -> None:
    for value in ("Bearer ä.ö.ü".encode(), b"Bearer \xff\xfe.a.b", b"\x80"):
        assert client.get("/may", headers=[(b"Authorization", value)]).json()["code"] == "token_refused"


def test_an_expired_token_says_so_but_begins_a_new_reader(door: Door, client: TestClient) -> None:
    first = begun(client)
    door.clock.move_to(datetime.fromtimestamp(NOW.timestamp() + 31 * DAY, UTC))

    refused = client.get("/may", headers={"Authorization": bearer(first["token"])})

    assert (refused.status_code, refused.json()["code"]) == (401, "token_expired")
    assert begun(client, first["token"])["reader"] != first["reader"]


def test_where_anonymous_readers_are_switched_off_there_is_no_session(tmp_path: Path) -> None:
    with TestClient(Door(tmp_path, anonymous=False).app) as client:
        response = client.post("/session")

        assert (response.status_code, response.json()["code"]) == (401, "not_signed_in")
        assert client.get("/may").json()["code"] == "not_signed_in"


def test_a_damaged_secret_is_for_the_log_and_not_for_the_reader(
    door: Door, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    door.file.write_text("damaged")
    door.with_secret()

    response = client.post("/session")

    assert (response.status_code, response.json()["code"]) == (503, "sign_in_unavailable")
    assert response.headers["retry-after"] == str(errors.RETRY_AFTER_SECONDS)
    assert str(door.file) not in response.text
    assert str(door.file) in caplog.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ThreadBusy("x"), HTTPStatus.CONFLICT),
        (DatabaseOutdated("x"), HTTPStatus.SERVICE_UNAVAILABLE),
        (ThreadsUnavailable("x"), HTTPStatus.SERVICE_UNAVAILABLE),
        (SignInUnavailable("x"), HTTPStatus.SERVICE_UNAVAILABLE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_conversations_have_their_statuses(error: Any, status: HTTPStatus) -> None:
    assert errors.problem_of(error).status == status


def test_the_document_says_which_routes_need_a_token_and_which_take_one(door: Door) -> None:
    document = door.app.openapi()

    assert document["paths"]["/session"]["post"]["security"] == [{}, {"reader": []}]
    assert document["paths"]["/may"]["get"]["security"] == [{}, {"reader": []}]
    assert document["paths"]["/must"]["get"]["security"] == [{"reader": []}]
    assert document["components"]["securitySchemes"]["reader"]["scheme"] == "bearer"
