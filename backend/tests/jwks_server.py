"""A site's accounts: keys at an address on a loopback socket, and tokens signed with them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Final, Self

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.loopback import LoopbackServer, Received, Reply

AUDIENCE: Final = "https://ask.book.example"
ISSUER: Final = "https://accounts.book.example/"


@dataclass(frozen=True)
class SigningKey:
    """A pair of keys, of which the server publishes the public one."""

    private: Any = field(repr=False)
    algorithm: str
    kid: str | None

    @classmethod
    def rsa(cls, kid: str | None = "rsa-1", *, algorithm: str = "RS256", bits: int = 2048) -> Self:
        return cls(_rsa(kid, bits), algorithm, kid)

    @classmethod
    def ec(cls, kid: str | None = "ec-1") -> Self:
        return cls(ec.generate_private_key(ec.SECP256R1()), "ES256", kid)

    @classmethod
    def ed(cls, kid: str | None = "ed-1") -> Self:
        return cls(ed25519.Ed25519PrivateKey.generate(), "EdDSA", kid)

    def jwk(self, of: Any = None, **changes: Any) -> dict[str, Any]:
        """Of the public key, unless told of which."""
        kinds: Mapping[str, Any] = {"RS256": RSAAlgorithm, "PS256": RSAAlgorithm, "ES256": ECAlgorithm}
        told = kinds.get(self.algorithm, OKPAlgorithm).to_jwk(of or self.private.public_key(), as_dict=True)
        told.pop("key_ops", None)  # real ones leave it away
        named = {} if self.kid is None else {"kid": self.kid}
        return {**told, "use": "sig", **named, **changes}

    def public_pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public: bytes = self.private.public_key().public_bytes(serialization.Encoding.PEM, form)
        return public

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        named = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(dict(claims), self.private, algorithm=self.algorithm, headers={**named, **header})


class JwksServer(LoopbackServer):
    base_path: ClassVar = "/keys.json"

    def __init__(self, *keys: SigningKey) -> None:
        super().__init__()
        self.keys: list[dict[str, Any]] = [key.jwk() for key in keys]

    async def healthy_reply(self, received: Received) -> Reply:
        if (received.method, received.path) != ("GET", self.base_path):
            return Reply(({"error": "no such page"},), 404)
        return Reply(({"keys": self.keys},), 200)


def by_hand(header: object, claims: object, key: bytes | None = None) -> str:
    """A token that no library would write, signed by HMAC where there is a key."""
    signed = f"{_base64(json.dumps(header).encode())}.{_base64(json.dumps(claims).encode())}"
    signature = b"none" if key is None else hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@cache
def _rsa(kid: str | None, bits: int) -> rsa.RSAPrivateKey:
    """Making one takes long."""
    return rsa.generate_private_key(65_537, bits)
