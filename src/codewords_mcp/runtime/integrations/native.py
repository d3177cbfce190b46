"""What needs no broker: actions of well-known apps, made with a token of the caller's own. What they are says `native_table`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from codewords_mcp.bounded_json import parse
from codewords_mcp.errors import Forbidden, InvalidInput
from codewords_mcp.runtime.egress import EgressPolicy
from codewords_mcp.runtime.integrations.catalogue import hit_of
from codewords_mcp.runtime.integrations.errors import AppNotConnected
from codewords_mcp.runtime.integrations.google import GoogleTokens
from codewords_mcp.runtime.integrations.native_api import Api, Given, Native, NativeApp
from codewords_mcp.runtime.integrations.native_table import NATIVE, SERVICES
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.model.integration import Account, App, Hit
from codewords_mcp.runtime.secrets.rules import HTTPS
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")


def bases_of(settings: Settings) -> dict[str, str]:
    """Where apps are asked that the operator has put elsewhere."""
    usual = SERVICES["github"].base
    if settings.github_base_url != usual:
        own = {"github": settings.github_base_url}
    else:
        own = {}
    return own | settings.integration_base_urls


class NativeActions:
    """The actions of the table, and whose tokens they are made with. For one event loop."""

    def __init__(self, web: Web, secrets: SecretService, bases: Mapping[str, str]) -> None:
        self._web = web
        self._secrets = secrets
        self._bases = bases
        self._google = GoogleTokens(web, bases.get("google_token", "https://oauth2.googleapis.com"))

    @property
    def apps(self) -> list[App]:
        """Those of the table, as a search knows them."""
        found = [App(slug=one.slug, name=one.name, auth="keys") for one in SERVICES.values()]
        return [*found, App(slug="http", name="HTTP", words="web url request api", auth="none")]

    @property
    def hits(self) -> list[Hit]:
        """Their actions, likewise."""
        return [hit_of(one.action) for one in NATIVE]

    def find(self, app: str, name: str) -> Native | None:
        """By key, by name, or by another name of it."""
        return next(
            (one for one in NATIVE if one.app == app and name in (one.key, one.name, *one.names)), None
        )

    def of(self, app: str) -> list[Native]:
        """All of an app."""
        return [one for one in NATIVE if one.app == app]

    async def accounts(self, owner: str) -> list[Account]:
        """The tokens that are set, as accounts."""
        found = [await self.account(owner, app) for app in SERVICES]
        return [one for one in found if one is not None]

    async def account(self, owner: str, app: str) -> Account | None:
        """The token that is set for it, as an account; None where there is none."""
        service = SERVICES.get(app)
        if service is None:
            return None
        given = await self._given(owner, service)
        name = next((name for name in service.secrets if name in given), None)
        if name is None:
            return None
        return Account(id=name, app=app, name=name, backend="native")

    async def run(self, owner: str, native: Native, given: Given, policy: EgressPolicy | None = None) -> Any:
        """What the app answered; `policy` is what a plain request may reach.

        Raises AppNotConnected, Forbidden where the secret's rule does not allow the host, InvalidInput, TooBusy,
        IntegrationFailed, UpstreamFailed, AddressRefused.
        """
        if native.app == "http":
            return await self._request(given, policy)

        api = await self._api(owner, SERVICES[native.app])
        if native.run is not None:
            return await native.run(api, given)

        fields = {name: quote(str(value), safe="") for name, value in given.items()}
        # "." and ".." are no names, and ways elsewhere to a path
        if any(set(str(value)) <= {"."} for name, value in given.items() if f"{{{name}}}" in native.path):
            raise InvalidInput("A field that names a thing is empty, or no name.")

        return await api.ask(
            native.method,
            native.path.format_map(fields),
            params=native.query(given) if native.query else None,
            body=native.body(given) if native.body else None,
        )

    async def _request(self, given: Given, policy: EgressPolicy | None) -> dict[str, Any]:
        """One request, where the caller may go. Raises InvalidInput, AddressRefused, UpstreamFailed."""
        method, own = str(given["method"]).upper(), cast("dict[Any, Any]", given.get("headers") or {})
        if method not in _METHODS:
            raise InvalidInput(f"`method` must be one of {', '.join(_METHODS)}.")

        headers = {str(name): str(value) for name, value in own.items()}
        reply = await self._web.fetch(
            str(given["url"]), method=method, headers=headers, content=given.get("body"), policy=policy
        )
        text = reply.body.decode(errors="replace")
        try:
            body = parse(text)
        except (ValueError, RecursionError):
            body = text

        return {"status": reply.status, "headers": dict(reply.headers), "body": body}

    async def _given(self, owner: str, service: NativeApp) -> dict[str, str]:
        """The caller's own tokens; the environment's are the home's owner's."""
        names = list(service.secrets)
        if owner == HOME_OWNER:
            return await self._secrets.given(owner, names)
        return await self._secrets.values(owner, names)

    async def require_connected(self, owner: str, native: Native) -> None:
        """Raise AppNotConnected or Forbidden where `run` would; nothing is asked of the app."""
        if native.app != "http":
            await self._token(owner, SERVICES[native.app])

    async def _api(self, owner: str, service: NativeApp) -> Api:
        name, token, base = await self._token(owner, service)
        if name == "GOOGLE_SERVICE_ACCOUNT":
            token = await self._google.token(token, service.scope)
        return Api(self._web, service, base, {"authorization": f"Bearer {token}", **service.headers})

    async def _token(self, owner: str, service: NativeApp) -> tuple[str, str, str]:
        """The secret that is used, its value, and the address that it goes to."""
        given = await self._given(owner, service)
        name = next((name for name in service.secrets if name in given), None)
        if name is None:
            raise AppNotConnected(
                f"{service.name} is not connected: {' or '.join(service.secrets)} is not set.",
                app=service.slug,
                state="missing",
                hint=f"{service.how} Then `codewords secrets set {service.secrets[0]}`.",
            )

        base = self._bases.get(service.slug)
        if base is None:
            base = service.base
            await self._allowed(owner, name, base.removeprefix("https://"), service)

        return name, given[name], base

    async def _allowed(self, owner: str, name: str, host: str, service: NativeApp) -> None:
        """A secret goes where its rule says, also from here."""
        rule = await self._secrets.rule_of(owner, name)
        # a service account's key never leaves: what goes out is a token made with it
        if rule is not None and name != "GOOGLE_SERVICE_ACCOUNT" and (host, HTTPS) not in rule.hosts:
            raise Forbidden(
                f"The host rule of {name} does not let it go to {host}, so {service.name} was not asked.",
                hint=f"`codewords secrets set {name} --host {host}` sets it with another rule.",
            )
