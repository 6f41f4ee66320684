"""Readers' tokens: ours and those of the site's accounts, the secret in its file, the keys over a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from chatbot_api.errors import NotSignedIn, SignInUnavailable, TokenExpired, TokenRefused
from chatbot_api.services.reader_service import Accounts, ReaderService, Session, _kept_secret, _key
from tests.fast_clock import FastClock
from tests.jwks_server import AUDIENCE, ISSUER, JwksServer, SigningKey, by_hand
from tests.loopback import Break, Step

OURS = "a secret of ours that is long enough to be one"
OTHER = "another secret, which is long enough to be one"
SHARED = "what the site shares with us, long enough to be one"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE, DAY = 60, 86_400
NONE: dict[str, Any] = {"alg": "none", "typ": "JWT"}
HS256: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}


@dataclass
class Desk:
    """Makes services that share a folder and a clock, and closes them."""

    folder: Path
    clock: FastClock = field(default_factory=lambda: FastClock(NOW))
    made: list[ReaderService] = field(default_factory=list)

    def service(self, *secrets: str, accounts: Accounts | None = None, **changes: Any) -> ReaderService:
        service = ReaderService(
            secret_file=self.folder / "session.secret",
            secrets=[SecretStr(secret) for secret in secrets or (OURS,)],
            accounts=accounts,
            clock=self.clock.now,
            **changes,
        )
        self.made.append(service)
        return service

    def with_file(self) -> ReaderService:
        service = ReaderService(secret_file=self.folder / "session.secret", clock=self.clock.now)
        self.made.append(service)
        return service

    def pass_by(self, seconds: float) -> None:
        self.clock.move_to(datetime.fromtimestamp(self.clock.now() + seconds, UTC))

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Of a token of the site's; None leaves a claim away."""
        now = int(self.clock.now())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user|7", "iat": now, "exp": now + 600} | changes
        return {name: value for name, value in claims.items() if value is not None}

    def our_claims(self, **changes: Any) -> dict[str, Any]:
        now = int(self.clock.now())
        claims = {"iss": "askbook", "sub": "anon:" + "a" * 32, "iat": now, "exp": now + 600} | changes
        return {name: value for name, value in claims.items() if value is not None}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    for service in desk.made:
        await service.close()


@pytest.fixture
async def server() -> AsyncIterator[JwksServer]:
    async with JwksServer(SigningKey.rsa()) as running:
        yield running


def bearer(token: str | Session) -> str:
    return f"Bearer {token.token if isinstance(token, Session) else token}"


def hs256(claims: Mapping[str, Any], secret: str) -> str:
    return jwt.encode(dict(claims), secret, algorithm="HS256")


# Our own tokens ---------------------------------------------------------------------------------------


async def test_without_a_header_nobody_is_known(desk: Desk) -> None:
    assert await desk.service().who(None) is None


async def test_a_new_reader_is_who_the_token_says(desk: Desk) -> None:
    service = desk.service()

    session = await service.begin(None)

    assert await service.who(bearer(session)) == session.reader
    assert session.reader.startswith("anon:")
    assert session.expires_at == datetime(2026, 12, 24, 12, tzinfo=UTC)


async def test_every_new_reader_is_another_one(desk: Desk) -> None:
    service = desk.service()

    assert (await service.begin(None)).reader != (await service.begin(None)).reader


async def test_a_valid_token_is_renewed_for_the_same_reader(desk: Desk) -> None:
    service = desk.service()
    first = await service.begin(None)
    desk.pass_by(20 * DAY)

    second = await service.begin(bearer(first))
    desk.pass_by(20 * DAY)

    assert second.reader == first.reader
    assert await service.who(bearer(second)) == first.reader
    with pytest.raises(TokenExpired):
        await service.who(bearer(first))


async def test_with_an_expired_token_a_new_reader_begins(desk: Desk) -> None:
    service = desk.service(days=1)
    first = await service.begin(None)
    desk.pass_by(DAY + MINUTE)

    second = await service.begin(bearer(first))

    assert second.reader != first.reader
    assert await service.who(bearer(second)) == second.reader


async def test_clocks_may_differ_by_seconds_and_no_more(desk: Desk) -> None:
    service = desk.service(days=1)
    session = await service.begin(None)

    desk.pass_by(-9)
    assert await service.who(bearer(session)) == session.reader
    desk.pass_by(-2)
    with pytest.raises(TokenRefused):
        await service.who(bearer(session))
    desk.pass_by(11 + DAY + 9)
    assert await service.who(bearer(session)) == session.reader
    desk.pass_by(1)
    with pytest.raises(TokenExpired):
        await service.who(bearer(session))


async def test_a_token_of_another_installation_is_refused(desk: Desk) -> None:
    theirs = await desk.service(OTHER).begin(None)
    ours = desk.service()

    for call in (ours.who, ours.begin):
        with pytest.raises(TokenRefused):
            await call(bearer(theirs))


async def test_secrets_can_be_changed_without_losing_readers(desk: Desk) -> None:
    first = await desk.service(OURS).begin(None)
    both = desk.service(OTHER, OURS)

    second = await both.begin(bearer(first))

    assert second.reader == first.reader
    assert await desk.service(OTHER).who(bearer(second)) == first.reader
    with pytest.raises(TokenRefused):
        await desk.service(OTHER).who(bearer(first))


async def test_a_forged_token_begins_nothing_even_if_it_has_expired(desk: Desk) -> None:
    service = desk.service()
    expired = desk.our_claims(exp=1)

    for token in (hs256(expired, OTHER), by_hand(NONE, expired), by_hand(HS256, expired, b"")):
        with pytest.raises(TokenRefused):
            await service.begin(bearer(token))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": [4_000_000_000]},
        {"exp": {}},
        {"iat": "now"},
        {"nbf": "now"},
        {"iat": NOW.timestamp() + MINUTE},
        {"nbf": NOW.timestamp() + MINUTE},
        {"sub": ""},
        {"sub": 7},
        {"sub": "anon:"},
        {"sub": "anon:" + "A" * 32},
        {"sub": "anon:" + "a" * 33},
        {"sub": "anon:" + "a" * 32 + "\n"},
        {"sub": "site:7"},
        {"iss": "Askbook"},
        {"iss": ["askbook"]},
        {"iss": None},
    ],
    ids=str,
)
async def test_what_we_would_not_have_said_is_refused_even_if_it_is_signed(desk: Desk, changes: dict[str, Any]) -> None:
    service = desk.service()
    assert await service.who(bearer(by_hand(HS256, desk.our_claims(), OURS.encode()))) is not None

    with pytest.raises(TokenRefused):
        await service.who(bearer(by_hand(HS256, desk.our_claims(**changes), OURS.encode())))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "none", "None", "hs256", "", None, 7, ["HS256"], {}])
async def test_no_other_algorithm_signs_our_tokens(desk: Desk, algorithm: object) -> None:
    service = desk.service()
    tokens = [by_hand({"alg": algorithm}, desk.our_claims(), OURS.encode()), by_hand({"alg": algorithm}, {})]
    if algorithm in ("HS384", "HS512"):
        with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
            tokens.append(jwt.encode(desk.our_claims(), OURS, algorithm=str(algorithm)))

    for token in tokens:
        with pytest.raises(TokenRefused):
            await service.who(bearer(token))


async def test_a_changed_token_is_refused(desk: Desk) -> None:
    service = desk.service()
    header, claims, signature = (await service.begin(None)).token.split(".")
    others = by_hand(HS256, desk.our_claims(sub="anon:" + "b" * 32)).split(".")[1]

    for token in (
        f"{header}.{others}.{signature}",
        f"{header}.{claims}.{signature[:-1]}",
        f"{claims}.{claims}.{claims}",
    ):
        with pytest.raises(TokenRefused):
            await service.who(bearer(token))


# The header -------------------------------------------------------------------------------------------


async def test_the_word_before_the_token_may_be_written_in_any_case(desk: Desk) -> None:
    service = desk.service()
    session = await service.begin(None)

    assert await service.who(f"bEARER {session.token}") == session.reader


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer  {0}",
        "Bearer {0} ",
        " Bearer {0}",
        "Bearer\t{0}",
        "Bearer {0}\n",
        "Bearer {0}, Bearer {0}",
        "Bearer {0} {0}",
        "Bearer {0}.{0}",
        "{0}",
        "Basic {0}",
        "Basic dXNlcjpwYXNz",
        "Token {0}",
        "Bearerr {0}",
        "Bearer ..",
        "Bearer a.b",
        "Bearer a.b.",
        "Bearer .b.c",
        "Bearer a..c",
        "Bearer a.b.c",
        "Bearer ä.ö.ü",
        "Beärer {0}",
        "Bearer {0}\u00df",
        "Bearer {0}\ud800",
        "Bearer \u0661.\u0662.\u0663",
        "Bearer " + "a" * 9_000 + ".b.c",
        " " * 9_000,
    ],
)
async def test_a_header_that_holds_no_token_is_refused(desk: Desk, header: str) -> None:
    service = desk.service()
    session = await service.begin(None)

    for call in (service.who, service.begin):
        with pytest.raises(TokenRefused):
            await call(header.format(session.token))


async def test_an_absurdly_long_header_is_refused_before_it_is_looked_at(tmp_path: Path) -> None:
    service = ReaderService(secret_file=tmp_path / "no" / "such", secrets=[SecretStr(OURS)])
    nested = by_hand({"alg": "HS256"}, "x" * 9_000)

    with pytest.raises(TokenRefused, match="longer than any token"):
        await service.who(bearer(nested))
    assert not service._imported


async def test_a_token_that_is_nested_too_deeply_is_refused(desk: Desk) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 3_000).decode()

    for token in (f"{deep}.e30.x", f"e30.{deep}.x"):
        with pytest.raises(TokenRefused):
            await desk.service().who(bearer(token))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["askbook", "HS256", "none", "RS256", AUDIENCE, ISSUER, "anon:" + "a" * 32, "site:7", 10**40]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5c", "zip"])
CLAIMS = st.sampled_from(["iss", "sub", "aud", "iat", "nbf", "exp", "jti"])
VALID = {"iss": "askbook", "sub": "anon:" + "a" * 32, "aud": AUDIENCE, "iat": 0, "exp": 4_000_000_000}
TOKENS = st.builds(
    lambda header, claims, key: bearer(by_hand({"alg": "HS256"} | header, VALID | claims, key)),
    st.dictionaries(NAMES, JSON, max_size=3),
    st.dictionaries(CLAIMS, JSON, max_size=4),
    st.sampled_from([None, OURS.encode(), OTHER.encode(), SHARED.encode()]),
)


@given(header=st.none() | st.text() | st.text().map("Bearer {}".format) | TOKENS)
@settings(max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_the_header_it_is_a_reader_nobody_or_an_error_of_ours(
    tmp_path: Path, header: str | None
) -> None:
    desk = Desk(tmp_path)
    service = desk.service(accounts=Accounts(AUDIENCE, key=SecretStr(SHARED)))

    for reader in asyncio.run(readers_by(service, header)):
        assert reader is None or (reader.startswith(("anon:", "site:")) and reader.encode())


async def readers_by(service: ReaderService, header: str | None) -> list[str | None]:
    """Whom the header tells of, where it is not refused."""
    found = []
    with suppress(NotSignedIn):
        found.append(await service.who(header))
    with suppress(NotSignedIn):
        found.append((await service.begin(header)).reader)
    return found


# Anonymous readers switched off -----------------------------------------------------------------------


async def test_where_anonymous_readers_are_switched_off_nobody_gets_a_token(desk: Desk) -> None:
    service = desk.service(anonymous=False)
    expired = hs256(desk.our_claims(exp=int(NOW.timestamp()) - MINUTE), OURS)

    for header in (None, bearer(expired)):
        with pytest.raises(NotSignedIn) as failure:
            await service.begin(header)
        assert type(failure.value) is NotSignedIn


async def test_tokens_from_before_anonymous_readers_were_switched_off_are_no_good(desk: Desk) -> None:
    before = await desk.service().begin(None)
    service = desk.service(anonymous=False)

    for call in (service.who, service.begin):
        with pytest.raises(NotSignedIn):
            await call(bearer(before))
    assert await service.who(None) is None


# The secret in its file -------------------------------------------------------------------------------


async def test_without_a_secret_one_is_made_once_for_its_owner_alone(desk: Desk) -> None:
    session = await desk.with_file().begin(None)

    file = desk.folder / "session.secret"
    assert await desk.with_file().who(bearer(session)) == session.reader
    assert file.stat().st_mode & 0o777 == 0o600
    assert (desk.folder / "session.secret.lock").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in desk.folder.iterdir()) == ["session.secret", "session.secret.lock"]


async def test_nothing_is_written_before_the_first_token(desk: Desk) -> None:
    await desk.with_file().who(None)

    assert list(desk.folder.iterdir()) == []


async def test_the_folder_of_the_file_is_made(tmp_path: Path) -> None:
    session = await ReaderService(secret_file=tmp_path / "not" / "yet" / "session.secret").begin(None)

    assert session.token


def test_threads_that_begin_at_once_agree_on_a_secret(tmp_path: Path) -> None:
    for run in range(20):
        file = tmp_path / str(run) / "session.secret"
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(_kept_secret, [file] * 8))

        assert len(found) == 1


def test_processes_that_begin_at_once_agree_on_a_secret(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from chatbot_api.services.reader_service import _kept_secret
        print("ready", flush=True)
        sys.stdin.readline()
        print(_kept_secret(Path({str(tmp_path)!r}) / "session.secret"))
        """
    )
    command = [sys.executable, "-c", program]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = {process.communicate(timeout=60)[0] for process in running}

    assert len(found) == 1
    assert len(found.pop().strip()) == 64


async def test_services_that_begin_at_once_accept_each_others_tokens(desk: Desk) -> None:
    services = [desk.with_file() for _ in range(4)]

    sessions = await asyncio.gather(*(service.begin(None) for service in services))

    for service in services:
        for session in sessions:
            assert await service.who(bearer(session)) == session.reader


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"too short", b"a" * 63, b"a" * 65, b"A" * 64, b"\xff\xfe", b"a\n" * 32]
)
async def test_a_damaged_file_is_told_by_its_name_and_left_alone(desk: Desk, content: bytes) -> None:
    file = desk.folder / "session.secret"
    file.write_bytes(content)

    with pytest.raises(SignInUnavailable, match=r"session\.secret is damaged; put it back, or remove it"):
        await desk.with_file().begin(None)

    assert file.read_bytes() == content
    assert "session" not in SignInUnavailable.public


async def test_a_file_that_cannot_be_made_is_told_and_tried_again(desk: Desk) -> None:
    service = desk.with_file()
    in_the_way = desk.folder / "session.secret"
    in_the_way.mkdir()

    with pytest.raises(SignInUnavailable, match=r"session\.secret cannot be used .*set SESSION_SECRET"):
        await service.begin(None)
    in_the_way.rmdir()

    assert await service.begin(None)


async def test_what_a_crash_left_behind_is_not_in_the_way(desk: Desk) -> None:
    (desk.folder / "session.secret.tmp").write_text("half a sec")

    assert await desk.with_file().begin(None)

    assert not (desk.folder / "session.secret.tmp").exists()


# The site's accounts, by a secret that it shares ------------------------------------------------------

BY_KEY = Accounts(AUDIENCE, key=SecretStr(SHARED), issuer=ISSUER)


async def test_a_reader_of_the_sites_accounts_is_known_by_its_token(desk: Desk) -> None:
    service = desk.service(accounts=BY_KEY)

    assert await service.who(bearer(hs256(desk.claims(), SHARED))) == "site:user|7"


async def test_an_account_cannot_take_an_anonymous_readers_name(desk: Desk) -> None:
    service = desk.service(accounts=BY_KEY)
    anonymous = await service.begin(None)

    named = await service.who(bearer(hs256(desk.claims(sub=anonymous.reader), SHARED)))

    assert named == f"site:{anonymous.reader}"


async def test_a_site_cannot_sign_for_us_nor_we_for_it(desk: Desk) -> None:
    service = desk.service(accounts=BY_KEY)

    for claims, secret in ((desk.our_claims(), SHARED), (desk.claims(), OURS), (desk.our_claims(iss=ISSUER), SHARED)):
        with pytest.raises(TokenRefused):
            await service.who(bearer(hs256(claims, secret)))


async def test_where_the_site_has_no_accounts_its_tokens_are_refused(desk: Desk) -> None:
    with_accounts = desk.service(accounts=BY_KEY)
    bound = await with_accounts.begin(bearer(hs256(desk.claims(), SHARED)))
    without = desk.service()

    for token in (hs256(desk.claims(), SHARED), bound):
        with pytest.raises(TokenRefused):
            await without.who(bearer(token))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": None},
        {"aud": "https://another.example"},
        {"aud": []},
        {"aud": [AUDIENCE, 7]},
        {"aud": {AUDIENCE: 1}},
        {"iss": None},
        {"iss": "https://another.example"},
        {"iss": [ISSUER]},
        {"exp": None},
        {"exp": "4000000000"},
        {"exp": float("nan")},
        {"nbf": NOW.timestamp() + MINUTE},
        {"iat": NOW.timestamp() + MINUTE},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["user"]},
        {"sub": "u" * 201},
        {"sub": "user\x00"},
        {"sub": "user\n"},
        {"sub": "user\ud800"},
        {"sub": "\u202euser"},
    ],
    ids=str,
)
async def test_a_token_that_does_not_hold_is_refused(desk: Desk, changes: dict[str, Any]) -> None:
    service = desk.service(accounts=BY_KEY)
    assert await service.who(bearer(by_hand(HS256, desk.claims(), SHARED.encode())))

    for call in (service.who, service.begin):
        with pytest.raises(TokenRefused):
            await call(bearer(by_hand(HS256, desk.claims(**changes), SHARED.encode())))


async def test_what_a_token_may_also_look_like(desk: Desk) -> None:
    service = desk.service(accounts=BY_KEY)
    likes: list[dict[str, Any]] = [
        {"aud": ["x", AUDIENCE]},
        {"sub": "u" * 200},
        {"sub": "Zoë B."},
        {"iat": None},
        {"exp": 4e9},
        {"exp": 10**30},
    ]

    for changes in likes:
        assert await service.who(bearer(by_hand(HS256, desk.claims(**changes), SHARED.encode())))


async def test_where_no_issuer_is_set_any_will_do(desk: Desk) -> None:
    service = desk.service(accounts=Accounts(AUDIENCE, key=SecretStr(SHARED)))

    for issuer in (None, "https://another.example"):
        assert await service.who(bearer(hs256(desk.claims(iss=issuer), SHARED)))


async def test_a_token_of_ours_ends_with_the_sites_however_often_it_is_renewed(desk: Desk) -> None:
    service = desk.service(accounts=BY_KEY)
    theirs = hs256(desk.claims(), SHARED)

    first = await service.begin(bearer(theirs))
    desk.pass_by(5 * MINUTE)
    second = await service.begin(bearer(first))

    assert (first.reader, second.reader) == ("site:user|7", "site:user|7")
    assert first.expires_at == second.expires_at == datetime(2026, 11, 24, 12, 10, tzinfo=UTC)
    assert await service.who(bearer(second)) == "site:user|7"
    desk.pass_by(6 * MINUTE)
    for token in (theirs, first, second):
        for call in (service.who, service.begin):
            with pytest.raises(TokenExpired):
                await call(bearer(token))


async def test_a_token_of_the_site_that_lasts_for_years_makes_none_of_ours_that_does(desk: Desk) -> None:
    service = desk.service(accounts=BY_KEY, days=2)

    session = await service.begin(bearer(hs256(desk.claims(exp=10**30), SHARED)))

    assert session.expires_at == datetime(2026, 11, 26, 12, tzinfo=UTC)


async def test_readers_with_accounts_need_no_anonymous_ones(desk: Desk) -> None:
    service = desk.service(accounts=BY_KEY, anonymous=False)

    session = await service.begin(bearer(hs256(desk.claims(), SHARED)))

    assert await service.who(bearer(session)) == "site:user|7"


# The site's accounts, by keys that it publishes -------------------------------------------------------


def published(server: JwksServer, **changes: Any) -> Accounts:
    arguments: dict[str, Any] = {"jwks_url": server.url, "issuer": ISSUER, "timeout": 5.0}
    return Accounts(AUDIENCE, **(arguments | changes))


@pytest.mark.parametrize(
    "key",
    [SigningKey.rsa(), SigningKey.rsa(algorithm="PS256"), SigningKey.ec(), SigningKey.ed()],
    ids=lambda k: k.algorithm,
)
async def test_keys_of_every_kind_that_is_accepted(desk: Desk, key: SigningKey) -> None:
    async with JwksServer(SigningKey.rsa("other"), key) as server:
        service = desk.service(accounts=published(server))

        assert await service.who(bearer(key.sign(desk.claims()))) == "site:user|7"


async def test_the_keys_are_fetched_once_and_after_ten_minutes_again(desk: Desk, server: JwksServer) -> None:
    service, key = desk.service(accounts=published(server)), SigningKey.rsa()

    for seconds, fetches in ((0, 1), (1, 1), (598, 1), (2, 2), (1, 2)):
        desk.pass_by(seconds)
        assert await service.who(bearer(key.sign(desk.claims())))
        assert len(server.requests) == fetches


async def test_many_who_wait_make_one_request(desk: Desk, server: JwksServer) -> None:
    gate = asyncio.Event()
    server.reply(gate, {"keys": server.keys})
    service, token = desk.service(accounts=published(server)), SigningKey.rsa().sign(desk.claims())

    waiting = [asyncio.create_task(service.who(bearer(token))) for _ in range(20)]
    await server.asked.wait()
    gate.set()

    assert set(await asyncio.gather(*waiting)) == {"site:user|7"}
    assert len(server.requests) == 1


async def test_one_who_leaves_does_not_take_the_keys_along(desk: Desk, server: JwksServer) -> None:
    gate = asyncio.Event()
    server.reply(gate, {"keys": server.keys})
    service, token = desk.service(accounts=published(server)), SigningKey.rsa().sign(desk.claims())
    leaving, staying = (asyncio.create_task(service.who(bearer(token))) for _ in range(2))
    await server.asked.wait()

    leaving.cancel()
    gate.set()

    assert await staying == "site:user|7"
    assert len(server.requests) == 1


async def test_a_new_key_is_found_at_most_once_in_a_minute(desk: Desk, server: JwksServer) -> None:
    service, new = desk.service(accounts=published(server)), SigningKey.rsa("rsa-2")
    assert await service.who(bearer(SigningKey.rsa().sign(desk.claims())))

    desk.pass_by(59)
    for _ in range(3):
        with pytest.raises(TokenRefused):
            await service.who(bearer(new.sign(desk.claims())))
    assert len(server.requests) == 1

    server.keys.append(new.jwk())
    desk.pass_by(1)
    assert await service.who(bearer(new.sign(desk.claims()))) == "site:user|7"
    for name in ("made up", "also made up"):
        with pytest.raises(TokenRefused):
            await service.who(bearer(new.sign(desk.claims(), kid=name)))
    assert len(server.requests) == 2


async def test_a_key_that_was_withdrawn_is_no_good_after_the_next_look(desk: Desk, server: JwksServer) -> None:
    service, token = desk.service(accounts=published(server)), SigningKey.rsa().sign(desk.claims(exp=4_000_000_000))
    assert await service.who(bearer(token))

    server.keys.clear()
    desk.pass_by(600)

    with pytest.raises(TokenRefused):
        await service.who(bearer(token))


async def test_a_clock_that_was_set_back_does_not_make_keys_last(desk: Desk, server: JwksServer) -> None:
    service, key = desk.service(accounts=published(server)), SigningKey.rsa()
    assert await service.who(bearer(key.sign(desk.claims())))

    desk.pass_by(-DAY)

    assert await service.who(bearer(key.sign(desk.claims())))
    assert len(server.requests) == 2


async def test_another_key_of_the_same_name_does_not_open(desk: Desk, server: JwksServer) -> None:
    forged = SigningKey(SigningKey.rsa("another").private, "RS256", "rsa-1")

    with pytest.raises(TokenRefused):
        await desk.service(accounts=published(server)).who(bearer(forged.sign(desk.claims())))


async def test_the_public_key_is_no_secret(desk: Desk, server: JwksServer) -> None:
    """The oldest trick: HS256 with what everybody can read."""
    service, key = desk.service(accounts=published(server)), SigningKey.rsa()
    header = HS256 | {"kid": "rsa-1"}
    public = (key.public_pem(), key.public_pem().strip(), key.jwk()["n"].encode(), json.dumps(key.jwk()).encode(), b"")
    assert await service.who(bearer(key.sign(desk.claims())))

    for secret in public:
        with pytest.raises(TokenRefused):
            await service.who(bearer(by_hand(header, desk.claims(), secret)))
    with pytest.raises(TokenRefused):
        await service.who(bearer(by_hand(NONE | {"kid": "rsa-1"}, desk.claims())))


@pytest.mark.parametrize(
    "listed",
    [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "rsa-1"},
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "rsa-1", "alg": "HS256"},
    ],
)
async def test_a_secret_that_is_published_opens_nothing(desk: Desk, server: JwksServer, listed: dict[str, Any]) -> None:
    server.keys = [listed]
    token = by_hand(HS256 | {"kid": "rsa-1"}, desk.claims(), b"secretsecretsecretsecretsecret")

    with pytest.raises(TokenRefused):
        await desk.service(accounts=published(server)).who(bearer(token))


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": 7},
        {"alg": "PS256"},
        {"alg": "RS512"},
        {"alg": ["RS256"]},
        {"kty": "EC"},
        {"kty": ["RSA"]},
        {"kty": None},
        {"crv": "P-256"},
        {"n": 7},
        {"n": ""},
        {"n": None},
        {"e": "AA"},
        {"e": "AQ", "n": "AQ"},
    ],
    ids=str,
)
async def test_a_key_that_is_for_something_else_opens_nothing(
    desk: Desk, server: JwksServer, changes: dict[str, Any]
) -> None:
    key, good = SigningKey.rsa(), SigningKey.rsa("rsa-2")
    server.keys = [key.jwk(**changes), good.jwk(alg="RS256", key_ops=["verify"])]
    service = desk.service(accounts=published(server))

    with pytest.raises(TokenRefused):
        await service.who(bearer(key.sign(desk.claims())))
    assert await service.who(bearer(good.sign(desk.claims())))


@pytest.mark.parametrize("key", [SigningKey.rsa(), SigningKey.ec(), SigningKey.ed()], ids=lambda key: key.algorithm)
async def test_a_private_key_that_is_published_opens_nothing(desk: Desk, key: SigningKey) -> None:
    async with JwksServer() as server:
        server.keys = [key.jwk(key.private)]

        with pytest.raises(TokenRefused):
            await desk.service(accounts=published(server)).who(bearer(key.sign(desk.claims())))


async def test_a_short_key_opens_nothing(desk: Desk) -> None:
    short = SigningKey.rsa("short", bits=1024)
    async with JwksServer(short) as server:
        with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
            token = short.sign(desk.claims())

        with pytest.raises(TokenRefused):
            await desk.service(accounts=published(server)).who(bearer(token))


@pytest.mark.parametrize("listed", [{}, {"kid": "named"}, {"kid": None}, {"kid": 7}], ids=str)
async def test_a_token_need_not_name_the_only_key(desk: Desk, listed: dict[str, Any]) -> None:
    key = SigningKey.ec(None)
    async with JwksServer() as server:
        server.keys = [key.jwk(**listed)]
        service = desk.service(accounts=published(server))

        assert await service.who(bearer(key.sign(desk.claims())))


async def test_where_there_are_several_keys_a_token_must_name_one(desk: Desk) -> None:
    key = SigningKey.ec("named")
    async with JwksServer(key, SigningKey.ec("other")) as server:
        service = desk.service(accounts=published(server))

        assert await service.who(bearer(key.sign(desk.claims())))
        with pytest.raises(TokenRefused):
            await service.who(bearer(SigningKey(key.private, "ES256", None).sign(desk.claims())))


@given(
    jwk=st.dictionaries(st.sampled_from(["kty", "crv", "n", "e", "x", "y", "alg", "use", "key_ops"]), JSON, max_size=5)
)
@settings(max_examples=500, deadline=None)
def test_whatever_is_published_as_a_key_breaks_nothing(jwk: dict[str, Any]) -> None:
    for base in (SigningKey.rsa().jwk(), EC, ED):
        _key(base | jwk)


EC, ED = SigningKey.ec().jwk(), SigningKey.ed().jwk()


# The provider in trouble ------------------------------------------------------------------------------

BROKEN: dict[str, tuple[list[Step], dict[str, Any], str]] = {
    "error": ([b"Internal Server Error"], {"status": 500}, "it answers with the status 500"),
    "gone": ([b"Not Found"], {"status": 404}, "it answers with the status 404"),
    "reset": ([Break.RESET], {}, "no connection"),
    "cut": ([b'{"keys": [', Break.CUT], {}, "the answer broke off"),
    "html": ([b"<!doctype html><title>Sign in</title>"], {}, "it is not JSON"),
    "empty": ([b""], {}, "it is not JSON"),
    "nested": ([b"[" * 100_000], {}, "it is not JSON"),
    "list": ([b"[]"], {}, "it is not a list of keys"),
    "other": ([b'{"keys": {}}'], {}, "it is not a list of keys"),
    "huge": ([b'{"keys": ["', b"x" * 2**20, b'"]}'], {}, "it is larger than 1 MB"),
    "gzip": ([b"\x1f\x8b\x08\x00"], {"headers": {"Content-Encoding": "gzip"}}, "it is not JSON"),
    "hang": ([Break.HANG], {}, "no answer in time"),
    "hang within": ([b'{"keys": [', Break.HANG], {}, "no answer in time"),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_without_keys_it_is_said_that_nobody_can_be_known(desk: Desk, server: JwksServer, how: str) -> None:
    steps, reply, cause = BROKEN[how]
    server.reply(*steps, **reply)
    service = desk.service(accounts=published(server, timeout=1.0 if "hang" in how else 5.0))
    token = SigningKey.rsa().sign(desk.claims())

    for call in (service.who, service.begin):
        with pytest.raises(SignInUnavailable, match=f"SITE_JWKS_URL: {cause}"):
            async with asyncio.timeout(5):
                await call(bearer(token))
    assert len(server.requests) == 1

    desk.pass_by(5)
    assert await service.who(bearer(token)) == "site:user|7"


@pytest.mark.parametrize("how", BROKEN)
async def test_while_the_provider_is_down_the_keys_of_before_go_on_working(
    desk: Desk, server: JwksServer, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    steps, reply, cause = BROKEN[how]
    service = desk.service(accounts=published(server, timeout=1.0 if "hang" in how else 5.0))
    key, new = SigningKey.rsa(), SigningKey.rsa("rsa-2")
    assert await service.who(bearer(key.sign(desk.claims())))

    server.reply(*steps, **reply)
    for seconds in (600, 1, 58):
        desk.pass_by(seconds)
        assert await service.who(bearer(key.sign(desk.claims()))) == "site:user|7"
        with pytest.raises(SignInUnavailable):
            await service.who(bearer(new.sign(desk.claims())))

    assert len(server.requests) == 2
    assert f"kept=1 cause={cause}" in caplog.text
    desk.pass_by(1)
    with pytest.raises(TokenRefused):
        await service.who(bearer(new.sign(desk.claims())))
    assert len(server.requests) == 3


async def test_a_provider_that_is_not_there_is_told(desk: Desk) -> None:
    async with JwksServer() as server:
        url = server.url
    service = desk.service(accounts=Accounts(AUDIENCE, jwks_url=url))

    with pytest.raises(SignInUnavailable, match="nothing listens there"):
        await service.who(bearer(SigningKey.rsa().sign(desk.claims())))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(desk: Desk, server: JwksServer, status: int) -> None:
    async with JwksServer(SigningKey.rsa()) as other:
        for to in (other.url, "/keys.json", f"//127.0.0.1:{urlsplit(other.url).port}/keys.json"):
            server.reply(b"", status=status, headers={"Location": to})
            service = desk.service(accounts=published(server))

            with pytest.raises(SignInUnavailable, match="it redirects, which is not followed"):
                await service.who(bearer(SigningKey.rsa().sign(desk.claims())))

        assert other.requests == []
    assert len(server.requests) == 3


@pytest.mark.parametrize("url", ["https://[::1", "https://book.example:99999/keys", "https://"])
async def test_an_address_that_is_none_is_told(desk: Desk, url: str) -> None:
    service = desk.service(accounts=Accounts(AUDIENCE, jwks_url=url))

    with pytest.raises(SignInUnavailable, match="SITE_JWKS_URL"):
        await service.who(bearer(SigningKey.rsa().sign(desk.claims())))


async def test_no_token_of_ours_waits_for_the_provider(desk: Desk, server: JwksServer) -> None:
    service = desk.service(accounts=published(server))

    session = await service.begin(None)

    assert await service.who(bearer(session)) == session.reader
    assert server.requests == []


async def test_the_request_carries_nothing_of_the_reader(desk: Desk, server: JwksServer) -> None:
    token = SigningKey.rsa().sign(desk.claims())

    await desk.service(accounts=published(server)).who(bearer(token))

    [request] = server.requests
    assert (request.method, request.path, request.query) == ("GET", "/keys.json", "")
    assert "authorization" not in request.headers
    assert token not in str(request)


async def test_closing_stops_a_fetch(desk: Desk, server: JwksServer) -> None:
    server.reply(Break.HANG)
    service = desk.service(accounts=published(server))
    waiting = asyncio.create_task(service.who(bearer(SigningKey.rsa().sign(desk.claims()))))
    await server.asked.wait()

    await service.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(5):
        await server.client_left.wait()


# What nobody is told ----------------------------------------------------------------------------------


async def test_tokens_and_secrets_stay_out_of_errors_logs_and_representations(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service = desk.service(accounts=BY_KEY)
    session = await service.begin(None)
    theirs = hs256(desk.claims(aud="https://another.example"), SHARED)
    forged = hs256(desk.our_claims(), OTHER)
    said = [repr(session), repr(BY_KEY)]

    for token in (theirs, forged, f"x{session.token}", f"{session.token}x", by_hand(NONE, desk.claims())):
        with pytest.raises(TokenRefused) as failure:
            await service.who(bearer(token))
        said.append(repr(failure.value))
        assert failure.value.__cause__ is None
        assert failure.value.__context__ is None or failure.value.__suppress_context__

    assert caplog.text.count("token refused cause=") == 5
    everything = "\n".join([caplog.text, *said])
    for token in (session.token, theirs, forged):
        for part in token.split(".")[1:]:
            assert part not in everything
    assert OURS not in everything
    assert SHARED not in everything


def test_nothing_is_imported_for_readers_without_a_token() -> None:
    program = textwrap.dedent(
        """
        import asyncio, json, sys
        from pathlib import Path
        from pydantic import SecretStr
        from chatbot_api.services.reader_service import Accounts, ReaderService
        readers = ReaderService(secret_file=Path("x"), accounts=Accounts("a", jwks_url="https://book.example/keys"))
        asyncio.run(readers.who(None))
        print(json.dumps([name for name in ("jwt", "cryptography", "httpx") if name in sys.modules]))
        """
    )

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert json.loads(run.stdout) == []
