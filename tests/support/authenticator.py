"""An authenticator in software, for tests of passkeys: it does what a good one does, or what it is told to do wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One passkey, at the site of `origin`. `count` is of its signatures; 0 for one that doesn't count."""

    origin: str
    rp_id: str
    verified: bool = True
    count: int = 0
    cross_origin: bool = False
    user: bytes = b""
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer options of `navigator.credentials.create`."""
        self.user = decoded(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = (
            bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(cose)
        )
        made: dict[str, Any] = {"fmt": "none", "attStmt": {}, "authData": self._data(_ATTESTED) + attested}
        return self._answer(
            {
                "clientDataJSON": self._client("webauthn.create", options),
                "attestationObject": encoded(cbor2.dumps(made)),
            }
        )

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer options of `navigator.credentials.get`."""
        if self.count:
            self.count += 1
        client, data = self._client("webauthn.get", options), self._data(0)
        signed = data + hashlib.sha256(decoded(client)).digest()
        return self._answer(
            {
                "clientDataJSON": client, "authenticatorData": encoded(data), "userHandle": encoded(self.user),
                "signature": encoded(self.key.sign(signed, ec.ECDSA(SHA256()))),
            }
        )  # fmt: skip

    def _client(self, kind: str, options: dict[str, Any]) -> str:
        client = {
            "type": kind,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        }
        return encoded(json.dumps(client).encode())

    def _data(self, flags: int) -> bytes:
        flags |= _PRESENT | (_VERIFIED if self.verified else 0)
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        name = encoded(self.credential_id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """The bytes of such a text."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
