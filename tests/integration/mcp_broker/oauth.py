"""An OAuth 2.1 authorization server on loopback, and an MCP server that takes its tokens only."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.integration.mcp_broker.helpers import ServedMcp, notes_server

Json = dict[str, Any]


@dataclass
class Authorization:
    """What the authorization server knows. `token_ttl`: seconds of an access token."""

    clients: dict[str, Json] = field(default_factory=dict[str, Json])
    codes: dict[str, Json] = field(default_factory=dict[str, Json])
    access: dict[str, float] = field(default_factory=dict[str, float])
    refresh: set[str] = field(default_factory=set[str])
    requests: list[Json] = field(default_factory=list[Json])
    token_ttl: int = 3600
    refuses: bool = False
    by_document: bool = False


class OAuthMcp:
    """Both servers in one app: `/mcp` is the resource, all else the authorization server."""

    def __init__(self) -> None:
        self.authorization = Authorization()
        self._shown: ServedMcp | None = None

    def app(self, shown: ServedMcp) -> ASGIApp:
        self._shown = shown
        inner = notes_server(shown).streamable_http_app()
        routes = [
            Route("/.well-known/oauth-protected-resource/mcp", self._resource),
            Route("/.well-known/oauth-authorization-server", self._metadata),
            Route("/register", self._register, methods=["POST"]),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
            Mount("/", self._guarded(inner)),
        ]
        return Starlette(routes=routes, lifespan=lambda _: _running(inner))

    @property
    def base(self) -> str:
        assert self._shown is not None
        return self._shown.url.removesuffix("/mcp")

    def _guarded(self, inner: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            given = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
            if self.authorization.access.get(given, 0) > time.time():
                await inner(scope, receive, send)
                return
            where = f"{self.base}/.well-known/oauth-protected-resource/mcp"
            refusal = Response(
                status_code=401, headers={"WWW-Authenticate": f'Bearer resource_metadata="{where}"'}
            )
            await refusal(scope, receive, send)

        return serve

    async def _resource(self, _: Request) -> Response:
        return JSONResponse(
            {
                "resource": f"{self.base}/mcp",
                "authorization_servers": [self.base],
                "scopes_supported": ["notes"],
            }
        )

    async def _metadata(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.base,
                "authorization_endpoint": f"{self.base}/authorize",
                "token_endpoint": f"{self.base}/token",
                "registration_endpoint": f"{self.base}/register",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
                "client_id_metadata_document_supported": self.authorization.by_document,
            }
        )

    async def _register(self, request: Request) -> Response:
        asked = await request.json()
        client = {**asked, "client_id": secrets.token_hex(8), "token_endpoint_auth_method": "none"}
        self.authorization.clients[client["client_id"]] = client
        return JSONResponse(client, status_code=201)

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.authorization.requests.append(asked)
        back: Json = {"state": asked["state"], "iss": self.base}
        if self.authorization.refuses:
            back["error"] = "access_denied"
        else:
            back["code"] = secrets.token_hex(8)
            self.authorization.codes[back["code"]] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.authorization.requests.append(form)
        if form["grant_type"] == "authorization_code":
            asked = self.authorization.codes.pop(form["code"], None)
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if asked is None or asked["code_challenge"] != challenge or asked["resource"] != form["resource"]:
                return JSONResponse({"error": "invalid_grant"}, status_code=400)
        elif form["refresh_token"] not in self.authorization.refresh:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        else:
            # Each refresh token is good once.
            self.authorization.refresh.discard(form["refresh_token"])

        access, refresh = secrets.token_hex(16), secrets.token_hex(16)
        self.authorization.access[access] = time.time() + self.authorization.token_ttl
        self.authorization.refresh.add(refresh)
        return JSONResponse(
            {
                "access_token": access,
                "token_type": "Bearer",
                "expires_in": self.authorization.token_ttl,
                "refresh_token": refresh,
                "scope": "notes",
            }
        )


@asynccontextmanager
async def _running(inner: Starlette) -> AsyncGenerator[None]:
    async with inner.router.lifespan_context(inner):
        yield
