"""Actions of well-known apps with a token of the caller's own, without a broker. `native_table`
lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from codewords_mcp.common.bounded_json import JsonValue, parse
from codewords_mcp.errors import Forbidden, InvalidInput
from codewords_mcp.errors.remedies import Remedy, RemedyAction, set_secret
from codewords_mcp.runtime.integrations.catalogue import hit_of
from codewords_mcp.runtime.integrations.errors import AppNotConnected
from codewords_mcp.runtime.integrations.google import GoogleTokens
from codewords_mcp.runtime.integrations.native_api import AppApi, NativeAction, NativeApp, PropValues
from codewords_mcp.runtime.integrations.native_table import NATIVE, SERVICES
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.model.integration import Account, App, Hit
from codewords_mcp.runtime.secrets.rules import HTTPS
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")


def base_urls_of(settings: Settings) -> dict[str, str]:
    """Return the apps' addresses that the operator changed."""
    # A setting of its own for GitHub exists for the service of that name.
    usual = SERVICES["github"].base
    if settings.github_base_url != usual:
        custom = {"github": settings.github_base_url}
    else:
        custom = {}
    return custom | settings.integration_base_urls


class NativeActions:
    """The actions of the table, made with the owner's tokens. For one event loop."""

    def __init__(self, web: Web, secrets: SecretService, bases: Mapping[str, str]) -> None:
        self._web = web
        self._secrets = secrets
        self._bases = bases
        self._google = GoogleTokens(web, bases.get("google_token", "https://oauth2.googleapis.com"))

    @property
    def apps(self) -> list[App]:
        """The apps of the table, for a search."""
        found = [App(slug=action.slug, name=action.name, auth="keys") for action in SERVICES.values()]
        return [*found, App(slug="http", name="HTTP", words="web url request api", auth="none")]

    @property
    def hits(self) -> list[Hit]:
        """The actions of the table, for a search."""
        return [hit_of(action.action) for action in NATIVE]

    def find(self, app: str, name: str) -> NativeAction | None:
        """Return the action of this key, name or alias."""
        return next(
            (
                action
                for action in NATIVE
                if action.app == app and name in (action.key, action.name, *action.names)
            ),
            None,
        )

    def of(self, app: str) -> list[NativeAction]:
        """Return all actions of an app."""
        return [action for action in NATIVE if action.app == app]

    async def accounts(self, owner: str) -> list[Account]:
        """Return the tokens that are set, as accounts."""
        found = [await self.account(owner, app) for app in SERVICES]
        return [action for action in found if action is not None]

    async def account(self, owner: str, app: str) -> Account | None:
        """Return the token that is set for this app, as an account; None if there is none."""
        service = SERVICES.get(app)
        if service is None:
            return None
        props = await self._own_tokens(owner, service)
        name = next((name for name in service.secrets if name in props), None)
        if name is None:
            return None
        return Account(id=name, app=app, name=name, backend="native")

    async def run(
        self, owner: str, native: NativeAction, props: PropValues, policy: EgressPolicy | None = None
    ) -> JsonValue:
        """Run an action and return the app's response. `policy` limits the hosts of a plain
        request.

        Raises AppNotConnected, Forbidden if the secret's rule does not allow the host,
        InvalidInput, TooBusy, IntegrationFailed, UpstreamFailed, AddressRefused.
        """
        if native.app == "http":
            return await self._request(props, policy)

        api = await self._api(owner, SERVICES[native.app])
        if native.run is not None:
            return await native.run(api, props)

        fields = {name: quote(str(value), safe="") for name, value in props.items()}
        # "." and ".." would lead to another path.
        if any(set(str(value)) <= {"."} for name, value in props.items() if f"{{{name}}}" in native.path):
            raise InvalidInput("A field that is part of the address is empty, or not a name.")

        return await api.request(
            native.method,
            native.path.format_map(fields),
            params=native.query(props) if native.query else None,
            body=native.body(props) if native.body else None,
        )

    async def _request(self, props: PropValues, policy: EgressPolicy | None) -> dict[str, Any]:
        """Make one request that the policy allows. Raises InvalidInput, AddressRefused,
        UpstreamFailed.
        """
        method, custom = str(props["method"]).upper(), cast("dict[Any, Any]", props.get("headers") or {})
        if method not in _METHODS:
            raise InvalidInput(f"`method` must be one of {', '.join(_METHODS)}.")

        headers = {str(name): str(value) for name, value in custom.items()}
        response = await self._web.fetch(
            str(props["url"]), method=method, headers=headers, content=props.get("body"), policy=policy
        )
        text = response.body.decode(errors="replace")
        try:
            body = parse(text)
        except (ValueError, RecursionError):
            body = text

        return {"status": response.status, "headers": dict(response.headers), "body": body}

    async def _own_tokens(self, owner: str, service: NativeApp) -> dict[str, str]:
        """Return the caller's own tokens; those of the environment belong to the home's owner."""
        names = list(service.secrets)
        # The environment belongs to the home, so only its owner uses what it has.
        if owner == HOME_OWNER:
            return await self._secrets.resolve(owner, names)
        return await self._secrets.values(owner, names)

    async def require_connected(self, owner: str, native: NativeAction) -> None:
        """Raise AppNotConnected or Forbidden as `run` would, without a request to the app."""
        if native.app != "http":
            await self._token(owner, SERVICES[native.app])

    async def calls(self, owner: str, app: str) -> AppApi:
        """Return the calls of an app by the owner's token. Raises AppNotConnected, Forbidden, InvalidInput."""
        service = SERVICES.get(app)
        if service is None:
            raise InvalidInput(f"There is no native app of this name; there are {', '.join(SERVICES)}.")
        return await self._api(owner, service)

    async def _api(self, owner: str, service: NativeApp) -> AppApi:
        name, token, base = await self._token(owner, service)
        # A key file is exchanged for a token; any other secret is the token itself.
        if name == "GOOGLE_SERVICE_ACCOUNT":
            token = await self._google.token(token, service.scope)
        return AppApi(self._web, service, base, {"authorization": f"Bearer {token}", **service.headers})

    async def _token(self, owner: str, service: NativeApp) -> tuple[str, str, str]:
        """Return (the secret's name, its value, the address that it is sent to)."""
        props = await self._own_tokens(owner, service)
        name = next((name for name in service.secrets if name in props), None)
        if name is None:
            raise AppNotConnected(
                f"{service.name} is not connected: {' or '.join(service.secrets)} is not set.",
                app=service.slug,
                state="missing",
                hint=service.how,
                remedy=set_secret(service.secrets[0]),
            )

        base = self._bases.get(service.slug)
        # An operator who changed the address has allowed it.
        if base is None:
            base = service.base
            await self._require_allowed(owner, name, base.removeprefix("https://"), service)

        return name, props[name], base

    async def _require_allowed(self, owner: str, name: str, host: str, service: NativeApp) -> None:
        """Raise Forbidden unless the secret's rule allows the host."""
        # Rules hold for the runtime's own requests too.
        rule = await self._secrets.rule_of(owner, name)
        # A service account's key is never sent: only a token made with it is.
        if rule is not None and name != "GOOGLE_SERVICE_ACCOUNT" and (host, HTTPS) not in rule.hosts:
            raise Forbidden(
                f"The host rule of {name} does not allow {host}, so no request was made to {service.name}.",
                remedy=Remedy(RemedyAction.SET_HOST_RULE, {"name": name, "host": host}),
            )
