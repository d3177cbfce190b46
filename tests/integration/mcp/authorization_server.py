"""An authorization server on loopback: metadata (RFC 8414), keys, and tokens (RFC 9068) by client credentials."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT = ("the-client", "the-secret")


class AuthorizationServer:
    """Issues what its client asks for. `asked` are the forms of its token requests; `looks` counts reads of its keys."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.asked: list[dict[str, str]] = []
        self.looks = 0
        self.rotate("first")

    def rotate(self, kid: str) -> None:
        """Sign by a new key from now on; the old one is not published any more."""
        self._kid, self._key = kid, rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="authorization").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, audience: str, scope: str = "", subject: str = "ann", **claims: Any) -> str:
        """A token; claims of None are left out."""
        at = int(time.time())
        plain = {
            "iss": self.issuer, "aud": audience, "sub": subject, "client_id": CLIENT[0], "scope": scope,
            "iat": at, "exp": at + 300, **claims,
        }  # fmt: skip
        signed = {name: value for name, value in plain.items() if value is not None}
        return jwt.encode(signed, self._key, algorithm="RS256", headers={"kid": self._kid, "typ": "at+jwt"})

    def _answer(self, path: str, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        if path == "/.well-known/oauth-authorization-server":
            methods = {"token_endpoint_auth_methods_supported": ["client_secret_basic"]}
            return 200, {
                "issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", "token_endpoint": f"{self.issuer}/token",
                "authorization_endpoint": f"{self.issuer}/authorize", "response_types_supported": ["code"],
                "grant_types_supported": ["client_credentials"], **methods,
            }  # fmt: skip
        if path == "/keys":
            self.looks += 1
            public = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
            return 200, {"keys": [public | {"kid": self._kid, "use": "sig", "alg": "RS256"}]}
        if (
            path == "/token"
            and authorization == "Basic " + base64.b64encode(":".join(CLIENT).encode()).decode()
        ):
            self.asked.append(form)
            token = self.token(form["resource"], form.get("scope", ""))
            return 200, {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": 300,
                "scope": form.get("scope", ""),
            }
        return 404, {"error": "not_found"}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._reply({name: values[0] for name, values in parse_qs(body).items()})

            def _reply(self, form: dict[str, str]) -> None:
                status, told = server._answer(self.path, form, self.headers.get("Authorization", ""))
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        return Handler
