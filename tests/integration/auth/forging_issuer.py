"""An OpenID Connect issuer on loopback that answers with whatever ID token a test gives it, and takes access tokens back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

CLIENT = "the-home"
Forge = Callable[["ForgingIssuer", dict[str, Any]], str]


class ForgingIssuer:
    """`forge` makes the next ID token of claims that would be right; `nonce` is that of the sign-in.

    `revoked` are access tokens that it took back; `introspected`, where it is one, is what it answers of any token.
    """

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.metadata: dict[str, Any] = {}
        self.nonce = ""
        self.revoked: set[str] = set()
        self.introspected: dict[str, Any] | None = None
        self.questions: list[str] = []
        """The header `Authorization` of each question of an access token."""
        self.forge: Forge = lambda issuer, claims: issuer.sign(claims)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="issuer").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def public_pem(self) -> bytes:
        """The public key, as a forger of HS256 uses it for a secret."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, claims: dict[str, Any], *, key: Any = None, kid: str = "first") -> str:
        """A token by RS256; claims of None are left out."""
        plain = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(plain, key or self.key, algorithm="RS256", headers={"kid": kid})

    def access_token(
        self, audience: str, subject: str, scope: str = "read run write", seconds: float = 300
    ) -> str:
        """An access token that ends in so many seconds."""
        at = time.time()
        claims = {"iss": self.issuer, "aud": audience, "sub": subject, "client_id": "x", "scope": scope}
        return self.sign(claims | {"iat": int(at), "exp": at + seconds, "jti": f"{at}"})

    def introspect(self, token: str, authorization: str) -> dict[str, Any] | None:
        """Its answer about an access token (RFC 7662)."""
        self.questions.append(authorization)
        return self.introspected or {"active": token not in self.revoked}

    def _answer(self, path: str) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys",
                "end_session_endpoint": f"{self.issuer}/end", **self.metadata,
            }  # fmt: skip
        if path == "/keys":
            public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
            return {"keys": [public | {"kid": "first", "use": "sig", "alg": "RS256"}]}
        if path == "/token":
            at = int(time.time())
            claims = {
                "iss": self.issuer, "aud": CLIENT, "sub": "grace", "preferred_username": "grace", "groups": ["staff"],
                "iat": at, "exp": at + 300, "nonce": self.nonce,
            }  # fmt: skip
            return {"token_type": "Bearer", "access_token": "x", "id_token": self.forge(self, claims)}
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(server._answer(self.path))

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                if self.path == "/introspect":
                    self._reply(server.introspect(form["token"][0], self.headers["Authorization"]))
                else:
                    self._reply(server._answer(self.path))

            def _reply(self, document: dict[str, Any] | None) -> None:
                body = json.dumps(document or {}).encode()
                self.send_response(404 if document is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        return Handler
