"""Who a reader is, told by a token: ours, or one of the site's accounts. Keeps nothing of readers. The only importer of
`jwt`.

It is imported at the first token, as is `httpx` for the site's keys, each in a thread. What a token is, how long it
lives and what it cannot do: site/docs/concepts/readers.mdx
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from filelock import FileLock
from pydantic import SecretStr

from chatbot_api.errors import NotSignedIn, SignInUnavailable, TokenExpired, TokenRefused
from chatbot_api.services.unreached import in_the_way

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Seconds since 1970."""

_ISSUER: Final = "askbook"
_DAY: Final = 86_400
_LEEWAY: Final = 10
"""Seconds by which the clocks of two machines may differ."""
_LONGEST_HEADER: Final = 8_192
_LONGEST_SUBJECT: Final = 200
_BEARER: Final = re.compile(r"bearer ([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII | re.IGNORECASE)
_ANONYMOUS: Final = re.compile(r"anon:[0-9a-f]{32}")
_ACCOUNT: Final = "site:"


@dataclass(frozen=True, slots=True)
class Session:
    token: str = field(repr=False)
    expires_at: datetime
    reader: str


@dataclass(frozen=True, slots=True)
class Accounts:
    """How tokens of the site's own accounts are checked: by keys that it publishes, or by one that it shares."""

    audience: str
    jwks_url: str | None = None
    key: SecretStr | None = None
    issuer: str | None = None
    timeout: float = 5.0


class ReaderService:
    def __init__(
        self,
        *,
        secret_file: Path,
        secrets: Sequence[SecretStr] = (),
        days: int = 30,
        anonymous: bool = True,
        accounts: Accounts | None = None,
        clock: Clock = time.time,
    ) -> None:
        """`secrets`: the first signs, all are accepted. Without any, one is made in `secret_file`, and kept."""
        self._secrets = tuple(secret.get_secret_value() for secret in secrets)
        self._secret_file = secret_file
        self._life = days * _DAY
        self._anonymous = anonymous
        self._accounts = None if accounts is None else _Accounts(accounts, clock)
        self._clock = clock
        self._imported = False

    async def begin(self, authorization: str | None) -> Session:
        """A new token: for the same reader, where the header holds a valid one; else for a new anonymous reader.

        A token for a reader of the site's accounts ends when the site's own does, however often it is renewed.
        Raises `NotSignedIn` where anonymous readers are switched off, `TokenExpired` where a reader of the site's
        accounts must come with a new token of the site, `TokenRefused`, and `SignInUnavailable`.
        """
        proof = None if authorization is None else await self._proof(authorization)
        now = int(self._clock())
        if proof is None or (proof.is_anonymous and self._is_over(proof)):
            proof = _Proof(f"anon:{uuid4().hex}", now + self._life)
        self._admit(proof)
        expires_at = now + self._life
        if not proof.is_anonymous:
            expires_at = int(min(expires_at, proof.expires_at))
        return Session(await self._signed(proof.reader, now, expires_at), _moment(expires_at), proof.reader)

    async def who(self, authorization: str | None) -> str | None:
        """The reader's id; None without a header.

        Raises `TokenExpired`, `TokenRefused`, `NotSignedIn` for an anonymous reader where those are switched off, and
        `SignInUnavailable`.
        """
        if authorization is None:
            return None
        proof = await self._proof(authorization)
        self._admit(proof)
        return proof.reader

    async def close(self) -> None:
        if self._accounts is not None:
            await self._accounts.close()

    def _admit(self, proof: _Proof) -> None:
        if self._is_over(proof):
            raise TokenExpired("the token has expired")
        if proof.is_anonymous and not self._anonymous:
            raise NotSignedIn("anonymous readers are switched off")

    def _is_over(self, proof: _Proof) -> bool:
        return proof.expires_at + _LEEWAY <= self._clock()

    async def _proof(self, authorization: str) -> _Proof:
        """What the token proves, or proved until it expired."""
        try:
            token = _token(authorization)
            await self._prepared()
            header, claims = _unverified(token)
            # This chooses who checks the token, and nothing else.
            if claims.get("iss") == _ISSUER:
                return await self._proof_of_ours(token)
            if self._accounts is None:
                raise TokenRefused("the token is not of this installation, and the site has no accounts here")
            return await self._accounts.proof(token, header)
        except TokenRefused as exc:
            logger.debug("token refused cause=%s", exc)
            raise

    async def _proof_of_ours(self, token: str) -> _Proof:
        claims: Mapping[str, Any] | None = None
        for secret in await self._accepted():
            with suppress(_OtherKey):
                claims = _verified(token, secret, ("HS256",), require=("iss", "sub", "iat", "exp"))
                break
        if claims is None:
            raise TokenRefused("none of our secrets has signed the token")
        reader = str(claims["sub"])
        proof = _Proof(reader, _expiry(claims, self._clock()))
        if proof.is_anonymous or (self._accounts is not None and _is_account(reader)):
            return proof
        raise TokenRefused("the token names a reader that there cannot be here")

    async def _signed(self, reader: str, now: int, expires_at: int) -> str:
        await self._prepared()
        import jwt

        claims = {"iss": _ISSUER, "sub": reader, "iat": now, "exp": expires_at}
        return jwt.encode(claims, (await self._accepted())[0], algorithm="HS256")

    async def _prepared(self) -> None:
        if not self._imported:
            await asyncio.to_thread(importlib.import_module, "jwt")
            self._imported = True

    async def _accepted(self) -> Sequence[str]:
        if not self._secrets:
            self._secrets = (await asyncio.to_thread(_kept_secret, self._secret_file),)
        return self._secrets


# Tokens -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Proof:
    reader: str
    expires_at: float

    @property
    def is_anonymous(self) -> bool:
        return _ANONYMOUS.fullmatch(self.reader) is not None


class _OtherKey(TokenRefused):
    """Signed with another key than this."""


def _token(authorization: str) -> str:
    if len(authorization) > _LONGEST_HEADER:
        raise TokenRefused("the header is longer than any token")
    found = _BEARER.fullmatch(authorization)
    if found is None:
        raise TokenRefused("the header does not hold one bearer token")
    return found[1]


def _unverified(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims, whoever wrote them."""
    import jwt

    try:
        read = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
        raise TokenRefused(f"the token cannot be read ({type(exc).__name__})") from None
    return read["header"], read["payload"]


def _verified(
    token: str,
    key: Any,
    algorithms: Sequence[str],
    *,
    require: Sequence[str],
    audience: str | None = None,
    issuer: str | None = None,
) -> Mapping[str, Any]:
    """The claims, but for their times: see `_expiry`. What `jwt` says of a token stays here: it may quote it."""
    import jwt

    try:
        return jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            audience=audience,
            issuer=issuer,
            options={"require": list(require), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.InvalidSignatureError:
        raise _OtherKey("the signature does not fit the key") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
        what = f"{type(exc).__name__} {getattr(exc, 'claim', '')}".strip()
        raise TokenRefused(f"the token does not hold ({what})") from None


def _expiry(claims: Mapping[str, Any], now: float) -> float:
    """When the token expires. By our clock and not by that of `jwt`, which tests could not set."""
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    for name, value in times.items():
        if type(value) is not int and not (type(value) is float and math.isfinite(value)):
            raise TokenRefused(f"{name} is not a time")
    if max(times.get("nbf", 0), times.get("iat", 0)) > now + _LEEWAY:
        raise TokenRefused("the token is not valid yet")
    return times["exp"]  # type: ignore[no-any-return]  # a number, as was just seen


def _is_account(reader: str) -> bool:
    """Printable: it comes to stand in a database, in JSON and in logs."""
    subject = reader.removeprefix(_ACCOUNT)
    return reader.startswith(_ACCOUNT) and 0 < len(subject) <= _LONGEST_SUBJECT and subject.isprintable()


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# Our secret -------------------------------------------------------------------------------------------

_SECRET: Final = re.compile("[0-9a-f]{64}")


def _kept_secret(file: Path) -> str:
    """The file's secret, which is made first where there is none. Raises `SignInUnavailable`."""
    try:
        if not file.exists():
            _make_secret(file)
        secret = file.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        secret = ""
    except OSError as exc:
        what = f"{file} cannot be used ({type(exc).__name__}: {exc.strerror or 'locked'})"
        raise SignInUnavailable(f"{what}; mend that, or set SESSION_SECRET") from exc
    if not _SECRET.fullmatch(secret):
        raise SignInUnavailable(f"{file} is damaged; put it back, or remove it: then every token so far is void")
    return secret


def _make_secret(file: Path) -> None:
    """Whole or not at all, and once: of two processes, the second finds the secret of the first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f"{file.name}.lock"), timeout=10, mode=0o600):
        if file.exists():
            return
        unfinished = file.with_name(f"{file.name}.tmp")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            out.write(token_hex(32) + "\n")
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(file)


# The site's accounts ----------------------------------------------------------------------------------


class _Accounts:
    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock
        self._published = None
        if accounts.jwks_url is not None:
            self._published = _PublishedKeys(accounts.jwks_url, accounts.timeout, clock)

    async def proof(self, token: str, header: Mapping[str, Any]) -> _Proof:
        key = await self._key(header)
        claims = _verified(
            token,
            key.key,
            key.algorithms,
            require=("sub", "aud", "exp", *(("iss",) if self._accounts.issuer else ())),
            audience=self._accounts.audience,
            issuer=self._accounts.issuer,
        )
        expires_at = _expiry(claims, self._clock())
        reader = f"{_ACCOUNT}{claims['sub']}"
        if not _is_account(reader):
            raise TokenRefused(f"sub is not 1 to {_LONGEST_SUBJECT} printable characters")
        return _Proof(reader, expires_at)

    async def close(self) -> None:
        if self._published is not None:
            await self._published.close()

    async def _key(self, header: Mapping[str, Any]) -> _Key:
        if self._published is not None:
            return await self._published.get_key(str(header.get("kid", "")))
        shared = self._accounts.key or SecretStr("")
        return _Key(shared.get_secret_value(), ("HS256",))


@dataclass(frozen=True, slots=True)
class _Key:
    key: Any = field(repr=False)
    algorithms: tuple[str, ...]
    """Those that fit the key: a token does not choose."""


class _Unusable(Exception):
    """What is at SITE_JWKS_URL is no list of keys."""


_FRESH_SECONDS: Final = 600
_PAUSE_SECONDS: Final = 60
_FIRST_PAUSE_SECONDS: Final = 5
"""Between two attempts, until one has succeeded."""
_LARGEST_LIST: Final = 2**20


class _PublishedKeys:
    """The keys that the site's accounts sign with, by their names. While they cannot be fetched, those of before go on
    working."""

    def __init__(self, url: str, timeout: float, clock: Clock) -> None:
        self._url = url
        self._timeout = timeout
        self._clock = clock
        self._keys: Mapping[str, _Key] = {}
        self._fetched_at: float | None = None
        self._attempted_at: float | None = None
        self._failure = ""
        """Of the last attempt."""
        self._fetching: asyncio.Task[None] | None = None

    async def get_key(self, name: str) -> _Key:
        if self._is_due(name):
            await self._refresh()
        key = self._find(name)
        if key is not None:
            return key
        if self._failure:
            raise SignInUnavailable(f"SITE_JWKS_URL: {self._failure}")
        raise TokenRefused("the site publishes no key of that name")

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _find(self, name: str) -> _Key | None:
        """A token need not name the key where there is one only."""
        if not name and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(name)

    def _is_due(self, name: str) -> bool:
        if self._find(name) is not None and self._is_since(self._fetched_at, _FRESH_SECONDS):
            return False
        pause = _FIRST_PAUSE_SECONDS if self._fetched_at is None else _PAUSE_SECONDS
        return self._fetching is not None or not self._is_since(self._attempted_at, pause)

    def _is_since(self, moment: float | None, seconds: float) -> bool:
        # A clock that was set back would otherwise make it last for long.
        return moment is not None and 0 <= self._clock() - moment < seconds

    async def _refresh(self) -> None:
        """One at a time. Who gives up waiting leaves it to the others."""
        if self._fetching is None:
            self._attempted_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                content = await self._download()
            self._keys = await asyncio.to_thread(_keys_in, content)
        except Exception as exc:  # noqa: BLE001 - `_why` raises again what it does not know
            self._failure = _why(exc)
            logger.warning("keys of the site's accounts not fetched kept=%d cause=%s", len(self._keys), self._failure)
        else:
            self._failure = ""
            self._fetched_at = self._clock()
            if not self._keys:
                logger.warning("the site's accounts publish no key that can be used here")
        finally:
            self._fetching = None

    async def _download(self) -> bytes:
        async with await asyncio.to_thread(_open) as client, client.stream("GET", self._url) as response:
            if response.has_redirect_location:
                raise _Unusable("it redirects, which is not followed; set it to where that leads")
            if response.status_code != 200:
                raise _Unusable(f"it answers with the status {response.status_code}")
            content = bytearray()
            async for piece in response.aiter_raw():
                content += piece
                if len(content) > _LARGEST_LIST:
                    raise _Unusable("it is larger than 1 MB")
            return bytes(content)


def _open() -> httpx.AsyncClient:
    import httpx

    # Uncompressed: a megabyte could hold a thousand.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    return httpx.AsyncClient(headers=headers, follow_redirects=False, timeout=None)  # noqa: S113 - ours is around it


def _why(error: Exception) -> str:
    """Without a word of the server's."""
    import httpx

    match error:
        case _Unusable():
            return str(error)
        case TimeoutError():
            return "no answer in time"
        case httpx.ProtocolError():
            return f"the answer broke off ({type(error).__name__})"
        case OSError() | httpx.TransportError():
            return f"no connection: {in_the_way(error)}"
        case httpx.InvalidURL() | ImportError() | ValueError():
            return f"the address or the proxy in the environment cannot be used ({type(error).__name__})"
    raise error


_ALGORITHMS: Final[Mapping[tuple[object, object], tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""By type and curve."""
_SHORTEST_RSA: Final = 2048


def _keys_in(content: bytes) -> Mapping[str, _Key]:
    """By their names; those that cannot be used are left out."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise _Unusable("it is not JSON") from None
    listed = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(listed, list):
        raise _Unusable("it is not a list of keys")
    keys: dict[str, _Key] = {}
    for jwk in listed:
        if isinstance(jwk, dict) and (key := _key(jwk)) is not None:
            keys[str(jwk.get("kid", ""))] = key
    return keys


def _key(jwk: dict[str, Any]) -> _Key | None:
    """None for a secret, a weak one, and one that is not for signatures."""
    import jwt

    try:
        algorithms = _ALGORITHMS.get((jwk.get("kty"), jwk.get("crv")), ())
        algorithms = tuple(name for name in algorithms if name == jwk.get("alg", name))
        is_to_verify = jwk.get("use", "sig") == "sig" and "verify" in jwk.get("key_ops", ["verify"])
        if not algorithms or not is_to_verify or "d" in jwk:
            return None
        key = jwt.PyJWK(jwk, algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    is_weak = jwk["kty"] == "RSA" and key.key_size < _SHORTEST_RSA
    return None if is_weak else _Key(key, algorithms)
