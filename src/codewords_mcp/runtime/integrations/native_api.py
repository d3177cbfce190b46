"""Apps that are called directly, and the definition of their actions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import TooBusy
from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.integrations.errors import AppNotConnected, IntegrationFailed
from codewords_mcp.runtime.integrations.pipedream_client import error_text_of
from codewords_mcp.runtime.model.integration import Action, Prop
from codewords_mcp.runtime.web.client import Web, WebResponse, retry_after

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
        response = await self._web.api(
            self._base,
            path,
            method=method,
            params=params,
            headers=self._headers,
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

        return cast("Any", found)

    def _to_error(self, response: WebResponse) -> Exception:
        if response.status == 429:
            return TooBusy(
                f"{self._service.name}'s rate limit is reached.",
                retry_after=retry_after(response),
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
