"""An app that is asked directly, and what one of its actions is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.integrations.errors import AppNotConnected, IntegrationFailed
from codewords_mcp.runtime.integrations.pipedream_client import words_of
from codewords_mcp.runtime.model.integration import Action, Prop
from codewords_mcp.runtime.web.client import Web, WebResponse, retry_after

Given = Mapping[str, Any]
SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class NativeApp:
    """An app that is asked directly. Any of `secrets` will do; `how` says where one is had."""

    slug: str
    name: str
    base: str
    secrets: tuple[str, ...]
    how: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    scope: str = ""
    """Google's, for the tokens of a service account."""


@dataclass(frozen=True, slots=True)
class Native:
    """An action. `path` has its fields in braces; `query` and `body` are made of what was given."""

    app: str
    name: str
    title: str
    props: tuple[Prop, ...]
    path: str
    method: str = "POST"
    body: Callable[[Given], Any] | None = None
    query: Callable[[Given], dict[str, str]] | None = None
    run: Callable[[Api, Given], Awaitable[Any]] | None = None
    names: tuple[str, ...] = ()
    summary: str = ""

    @property
    def key(self) -> str:
        """`app/name`, which no broker's key is."""
        return f"{self.app}/{self.name}"

    @property
    def action(self) -> Action:
        """As others see it."""
        return Action(
            key=self.key,
            app=self.app,
            name=self.title,
            writes=self.method != "GET",
            backend="native",
            props=self.props,
        )


class Api:
    """An app's API with the caller's token."""

    def __init__(self, web: Web, service: NativeApp, base: str, headers: Mapping[str, str]) -> None:
        self._web = web
        self._service = service
        self._base = base
        self._headers = headers

    async def ask(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None
    ) -> Any:
        """The answer's JSON. Raises AppNotConnected where the token is refused, TooBusy, IntegrationFailed."""
        reply = await self._web.api(
            self._base,
            path,
            method=method,
            params=params,
            headers=self._headers,
            content=body,
            seconds=SECONDS,
        )
        if reply.status >= 400:
            raise self._refusal(reply)

        found: Any = reply.json() if reply.body.strip() else None
        if isinstance(found, dict):
            told = cast("dict[str, Any]", found)
        else:
            told = {}

        if told.get("ok") is False:  # Slack says all its refusals in an answer of 200
            raise self._said_no(str(told.get("error") or ""), 200)

        return cast("Any", found)

    def _refusal(self, reply: WebResponse) -> Exception:
        if reply.status == 429:
            return TooBusy(
                f"{self._service.name} takes no more calls for now.",
                retry_after=retry_after(reply),
                hint="Wait so long.",
            )
        if reply.status == 401:
            return self._token_refused()
        return self._said_no(words_of(reply.body), reply.status)

    def _said_no(self, said: str, status: int) -> Exception:
        if said in {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"}:
            return self._token_refused()
        return IntegrationFailed(
            f"{self._service.name} did not do it ({status}).",
            upstream_status=status,
            upstream_said=said,
            hint="What it said is in `upstream_said`.",
        )

    def _token_refused(self) -> AppNotConnected:
        names = " or ".join(self._service.secrets)
        return AppNotConnected(
            f"{self._service.name} does not accept the token of {names}.",
            app=self._service.slug,
            state="unhealthy",
            hint=f"{self._service.how} Then `codewords secrets set {self._service.secrets[0]}`.",
        )
