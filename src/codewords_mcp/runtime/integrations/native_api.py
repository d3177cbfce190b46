"""Apps that are called directly, and the definition of their actions."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import TooBusy
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.integrations.errors import AppNotConnected, IntegrationFailed
from codewords_mcp.runtime.integrations.pipedream_client import error_text_of
from codewords_mcp.runtime.model.integration import Action, AppResponse, Prop
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.runtime.web.responses import WebResponse, retry_after

PropValues = Mapping[str, Any]
REQUEST_TIMEOUT_S = 40.0


@dataclass(frozen=True, slots=True)
class NativeApp:
    """An app that is called directly. Any of `secrets` is enough; `how` tells how to get one."""

    slug: str
    name: str
    base: str
    secrets: tuple[str, ...]
    how: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    scope: str = ""
    """Google's scope, for tokens of a service account."""


@dataclass(frozen=True, slots=True)
class NativeAction:
    """An action. `path` has its fields in braces; `query` and `body` are made from the props."""

    app: str
    name: str
    title: str
    props: tuple[Prop, ...]
    path: str
    method: str = "POST"
    body: Callable[[PropValues], Any] | None = None
    query: Callable[[PropValues], dict[str, str]] | None = None
    run: Callable[[AppApi, PropValues], Awaitable[Any]] | None = None
    names: tuple[str, ...] = ()
    summary: str = ""

    @property
    def key(self) -> str:
        """`app/name`; no broker's key has this format."""
        return f"{self.app}/{self.name}"

    @property
    def action(self) -> Action:
        """The action as the directory lists it."""
        return Action(
            key=self.key,
            app=self.app,
            name=self.title,
            writes=self.method != "GET",
            backend="native",
            props=self.props,
        )


class AppApi:
    """An app's API with the caller's token."""

    def __init__(self, web: Web, service: NativeApp, base: str, headers: Mapping[str, str]) -> None:
        self._web = web
        self._service = service
        self._base = base
        self._headers = headers

    async def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None
    ) -> JsonValue:
        """Return the response's JSON. Raises AppNotConnected if the token is refused, TooBusy,
        IntegrationFailed.
        """
        return (await self.exchange(method, path, params=params, body=body)).body

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> AppResponse:
        """Return the response with its headers, also one that is not modified. Raises as `request`."""
        response = await self._web.api(
            self._base,
            path,
            method=method,
            params=params,
            headers={**self._headers, **(headers or {})},
            content=body,
            seconds=REQUEST_TIMEOUT_S,
        )
        if response.status >= 400:
            raise self._to_error(response)

        # An answer to DELETE may be empty.
        found: Any = response.json() if response.body.strip() else None
        if isinstance(found, dict):
            fields = cast("dict[str, Any]", found)
        else:
            fields = {}

        # Slack reports all errors in a response of 200.
        if fields.get("ok") is False:
            raise self._action_error(str(fields.get("error") or ""), 200)

        return AppResponse(response.status, response.headers, cast("Any", found))

    def _to_error(self, response: WebResponse) -> Exception:
        if _is_rate_limited(response):
            return TooBusy(
                f"{self._service.name}'s rate limit is reached.",
                retry_after=_until_reset(response),
                hint="Wait until it is reset.",
            )
        if response.status == 401:
            return self._token_refused()
        return self._action_error(error_text_of(response.body), response.status)

    def _action_error(self, message: str, status: int) -> Exception:
        # Slack names errors of the token by these words.
        if message in {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"}:
            return self._token_refused()
        return IntegrationFailed(
            f"{self._service.name} refused the action ({status}).",
            upstream_status=status,
            upstream_said=message,
            hint="Its message is in `upstream_said`.",
        )

    def _token_refused(self) -> AppNotConnected:
        names = " or ".join(self._service.secrets)
        return AppNotConnected(
            f"{self._service.name} refused the token of {names}.",
            app=self._service.slug,
            state="unhealthy",
            hint=self._service.how,
            remedy=set_secret(self._service.secrets[0]),
        )


def _is_rate_limited(response: WebResponse) -> bool:
    # GitHub says 403 as well, with one of these headers.
    return response.status == 429 or (
        response.status == 403
        and ("retry-after" in response.headers or response.headers.get("x-ratelimit-remaining") == "0")
    )


def _until_reset(response: WebResponse) -> int:
    """Seconds until the limit is reset, at most an hour."""
    reset = response.headers.get("x-ratelimit-reset", "")
    # The time of the reset, in seconds since 1970; HubSpot and Airtable don't send it.
    if "retry-after" not in response.headers and reset.isascii() and reset.isdigit() and len(reset) < 12:
        return max(1, min(int(reset) - int(time.time()), 3600))
    return retry_after(response)
