"""Pipedream Connect as a broker: its endpoints and formats, converted to ours."""

from __future__ import annotations

import json
import time
from datetime import datetime
from operator import attrgetter
from typing import Any, cast
from urllib.parse import quote, urlencode

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.errors import MissingCredential, NotFound, UpstreamFailed
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.integrations.base import (
    BrokerRunResult,
    ConfiguredAction,
    ConnectUrl,
    DynamicProps,
)
from codewords_mcp.runtime.integrations.errors import IntegrationFailed
from codewords_mcp.runtime.integrations.pipedream_client import (
    SETUP,
    SETUP_HINT,
    PipedreamClient,
    as_object,
    error_text,
    object_entries,
    unexpected_format,
)
from codewords_mcp.runtime.model.integration import Account, Action, App, Option, Prop
from codewords_mcp.runtime.model.integration_names import READING_WORDS

PAGE_SIZE = 100
LINK_TTL_S = 3600
MAX_OPTIONS = 1000
MAX_ACCOUNTS = 10_000
_ACCOUNTS_PATH = "/v1/connect/{project}/accounts"
_ACTIONS_PATH = "/v1/connect/{project}/actions"


class PipedreamConnect:
    """See `base.IntegrationBroker`."""

    def __init__(self, client: PipedreamClient) -> None:
        self._client = client

    async def project(self) -> str | None:
        """Return the project with its environment: the key under which its catalogue is stored."""
        found = await self._client.project()
        if found is None:
            return None
        return f"{found.id}/{found.environment}"

    async def apps(self, cursor: str | None) -> tuple[list[App], str | None]:
        """Return a page of the apps that have actions."""
        # Apps without actions cannot be used here.
        params = {"limit": str(PAGE_SIZE), "has_actions": "true"}
        if cursor:
            params["after"] = cursor
        found, after = read_page(await self._client.request("GET", "/v1/connect/apps", params=params))
        return [_app(entry) for entry in found if entry.get("name_slug")], after

    async def actions(self, cursor: str | None) -> tuple[list[Action], str | None]:
        """Return a page of actions of the public registry."""
        params = {"limit": str(PAGE_SIZE)}
        if cursor:
            params["after"] = cursor
        found, after = read_page(await self._client.request("GET", _ACTIONS_PATH, params=params))
        return [read_action(entry) for entry in found if entry.get("key")], after

    async def schema(self, key: str) -> Action:
        """Return one action in its current version."""
        response = as_object(await self._client.request("GET", f"{_ACTIONS_PATH}/{quote(key, safe='')}"))
        found = response.get("data", response)
        if not isinstance(found, dict) or not cast("dict[str, Any]", found).get("key"):
            raise unexpected_format(200)
        return read_action(cast("dict[str, Any]", found))

    async def options(
        self, user: str, configured: ConfiguredAction, prop: str, query: str | None
    ) -> list[Option]:
        """List the first page of values, filtered by `query` if the field supports it."""
        body = call_body(user, configured) | {"prop_name": prop}
        if query:
            body["query"] = query
        response = as_object(await self._client.request("POST", f"{_ACTIONS_PATH}/configure", body=body))
        _raise_errors(response, configured.action)
        found: Any = (
            response.get("options") or response.get("stringOptions") or response.get("string_options") or []
        )
        return [_option(entry) for entry in cast("list[Any]", found)[:MAX_OPTIONS]]

    async def reload(self, user: str, configured: ConfiguredAction) -> DynamicProps:
        """Return the fields after some were set."""
        response = as_object(
            await self._client.request("POST", f"{_ACTIONS_PATH}/props", body=call_body(user, configured))
        )
        _raise_errors(response, configured.action)
        found = as_object(response.get("dynamicProps") or response.get("dynamic_props") or {})
        props = object_entries(found.get("configurableProps", found.get("configurable_props")))
        return DynamicProps(
            found.get("id"), tuple(_prop(entry) for entry in props) or configured.action.props
        )

    async def accounts(self, user: str, app: str | None = None) -> list[Account]:
        """List the accounts of all pages, newest first."""
        params = {"external_user_id": user, "limit": str(PAGE_SIZE)}
        if app:
            params["app"] = app
        found: list[Account] = []
        seen: set[str] = set()

        while True:
            response = await self._client.request("GET", _ACCOUNTS_PATH, params=params)
            page, after = read_page(response)
            found += [_account(entry) for entry in page if entry.get("id")]
            # The last page has a cursor too. The total count saves one more request.
            whole = len(found) >= (
                as_object(as_object(response).get("page_info") or {}).get("total_count") or MAX_ACCOUNTS
            )
            if whole or not page or not after or after in seen:
                return sorted(found, key=attrgetter("created_at"), reverse=True)

            seen.add(after)
            params["after"] = after

    async def connect(self, user: str, app: str, back: str) -> ConnectUrl:
        """Make a link for an hour."""
        configured = {"external_user_id": user, "expires_in": LINK_TTL_S, "app_id": app}
        path = "/v1/connect/{project}/tokens"

        try:
            returns = {"success_redirect_uri": f"{back}?ok=1", "error_redirect_uri": f"{back}?ok=0"}
            response = await self._client.request("POST", path, body=configured | returns)
        except UpstreamFailed as error:
            # A project may allow certain addresses to return to: the link must work without one.
            if error.upstream_status not in {400, 422}:
                raise
            response = await self._client.request("POST", path, body=configured)

        body = as_object(response)
        url = body.get("connect_link_url")
        # A person is sent there, so it must be a web address.
        if not isinstance(url, str) or not url.startswith(("https://", "http://127.0.0.1")):
            raise unexpected_format(200)

        sign = "&" if "?" in url else "?"
        return ConnectUrl(f"{url}{sign}{urlencode({'app': app})}", _expiry(body.get("expires_at")))

    async def disconnect(self, user: str, account: str) -> None:
        """Delete an account of this user."""
        # The broker would delete any account of the project: the id must be this user's.
        if account not in {entry.id for entry in await self.accounts(user)}:
            raise NotFound("No connected account has this id.", remedy=Remedy(RemedyAction.LIST_CONNECTIONS))
        await self._client.request("DELETE", f"{_ACCOUNTS_PATH}/{quote(account, safe='')}")

    async def run(self, user: str, configured: ConfiguredAction, seconds: float) -> BrokerRunResult:
        """Run the action, once. An error in a response of 200 counts as much as an error status."""
        body = call_body(user, configured)
        if configured.action.stash:
            body["stash_id"] = "NEW"
        response = as_object(
            await self._client.request("POST", f"{_ACTIONS_PATH}/run", body=body, once=True, seconds=seconds)
        )
        # Something else answered, such as a proxy.
        if not {"ret", "exports", "os", "error"} & response.keys():
            raise unexpected_format(200)

        seen = tuple(object_entries(response.get("os")))
        exports = response.get("exports")
        # Code that raised is reported in a response of 200, among its output.
        message = error_text(response.get("error")) or next(
            (error_text(entry["err"]) or "an error" for entry in reversed(seen) if entry.get("err")), None
        )

        return BrokerRunResult(
            response.get("ret"),
            object_of(exports),
            seen,
            message or None,
        )


def read_page(value: Any) -> tuple[list[dict[str, Any]], str | None]:
    """Return (the entries of a page, the cursor of the next one). Raises UpstreamFailed."""
    response = as_object(value)
    if not isinstance(response.get("data"), list):
        raise unexpected_format(200)
    info: Any = response.get("page_info")
    if info:
        after = as_object(info).get("end_cursor")
    else:
        after = None
    return object_entries(response["data"]), after if isinstance(after, str) and after else None


def call_body(user: str, configured: ConfiguredAction) -> dict[str, Any]:
    """Return the body of a call about a configured component."""
    body: dict[str, Any] = {
        "id": configured.action.key,
        "external_user_id": user,
        "configured_props": configured.props,
    }
    # A person agreed to an action as it was in this version.
    if configured.action.version:
        body["version"] = configured.action.version
    if configured.dynamic_id:
        body["dynamic_props_id"] = configured.dynamic_id
    return body


def _raise_errors(response: dict[str, Any], action: Action) -> None:
    message = error_text(response.get("error")) or error_text(response.get("errors"))
    if message:
        raise IntegrationFailed(
            f"{action.app} did not list the values of the field.",
            upstream_status=200,
            upstream_said=message,
            hint="Set the fields that it depends on first, or set the value itself.",
        )


def _app(raw: dict[str, Any]) -> App:
    auth = raw.get("auth_type")
    return App(
        slug=str(raw["name_slug"]),
        name=str(raw.get("name") or raw["name_slug"])[:200],
        description=str(raw.get("description") or "")[:300],
        words=" ".join(map(str, raw.get("categories") or []))[:200],
        auth=auth if auth in {"oauth", "keys", "none"} else "",
        weight=float(raw.get("featured_weight") or 0),
    )


def read_action(raw: dict[str, Any]) -> Action:
    """Convert an action of the API."""
    key = str(raw["key"])
    props = tuple(_prop(entry) for entry in object_entries(raw.get("configurable_props")))
    app = next((prop.app for prop in props if prop.type == "app" and prop.app), key.partition("-")[0])
    hints: dict[str, Any] = raw.get("annotations") or {}
    reads = hints.get("readOnlyHint")
    # Without a statement of its own, the verb of its name tells.
    if reads is None:
        reads = key.removeprefix(f"{app}-").partition("-")[0] in READING_WORDS
    return Action(
        key=key,
        app=app,
        name=str(raw.get("name") or key)[:200],
        description=str(raw.get("description") or "")[:1000],
        version=str(raw.get("version") or ""),
        writes=not reads,
        stash=raw.get("stash") == "required",
        props=props,
    )


def _prop(raw: dict[str, Any]) -> Prop:
    hidden = bool(raw.get("hidden") or raw.get("disabled") or raw.get("readOnly"))
    return Prop(
        name=str(raw.get("name") or ""),
        type=str(raw.get("type") or "string"),
        label=str(raw.get("label") or "")[:100],
        description=str(raw.get("description") or raw.get("content") or "")[:500],
        # Nobody can fill in a hidden field.
        required=not raw.get("optional") and not hidden and raw.get("default") is None,
        default=raw.get("default"),
        options=tuple(_option_value(entry) for entry in cast("list[Any]", raw.get("options") or [])),
        remote=bool(raw.get("remoteOptions")),
        reloads=bool(raw.get("reloadProps")),
        secret=bool(raw.get("secret")),
        with_label=bool(raw.get("withLabel")),
        app=raw.get("app"),
    )


def _option_value(option: JsonValue) -> JsonValue:
    """Return the value of an option: bare, `{label, value}` or `{__lv: {label, value}}`."""
    if isinstance(option, dict):
        inner = cast("dict[str, Any]", option).get("__lv", option)
        if isinstance(inner, dict) and "value" in inner:
            return cast("dict[str, Any]", inner)["value"]
    return cast("Any", option)


def _option(raw: Any) -> Option:
    inner: Any = cast("dict[str, Any]", raw).get("__lv", raw) if isinstance(raw, dict) else raw
    if isinstance(inner, dict):
        label = cast("dict[str, Any]", inner).get("label")
    else:
        label = None

    value = _option_value(cast("Any", raw))
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(value)

    return Option(label=str(label or text)[:200], value=value)


def _account(raw: dict[str, Any]) -> Account:
    app: Any = raw.get("app")
    if isinstance(app, dict):
        slug = cast("dict[str, Any]", app).get("name_slug")
    else:
        slug = app

    return Account(
        id=str(raw["id"]),
        app=str(slug or ""),
        name=str(raw.get("name") or "")[:200],
        healthy=raw.get("healthy") is not False and raw.get("dead") is not True,
        created_at=str(raw.get("created_at") or ""),
    )


def _expiry(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        # A link without a date is as long valid as it was asked for.
        return time.time() + LINK_TTL_S


def not_configured() -> MissingCredential:
    """Return the error for a call that needs a broker if none is configured."""
    return MissingCredential(
        "No Pipedream project is configured, so no request was made.",
        credential="PIPEDREAM_PROJECT_ID",
        hint=SETUP_HINT,
        remedy=SETUP,
    )
