"""Pipedream Connect as a broker: its endpoints and shapes, and what of them is ours."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote, urlencode

from codewords_mcp.errors import MissingCredential, NotFound, UpstreamFailed
from codewords_mcp.runtime.integrations.base import Configured, ConnectUrl, Dynamic, Ran
from codewords_mcp.runtime.integrations.errors import IntegrationFailed
from codewords_mcp.runtime.integrations.pipedream_client import (
    HOW,
    PipedreamClient,
    entries,
    malformed,
    sentence,
    shape,
)
from codewords_mcp.runtime.model.integration import Account, Action, App, Option, Prop
from codewords_mcp.runtime.workflows.analysis.tables import READS

PAGE = 100
LINK_SECONDS = 3600
MAX_OPTIONS = 1000
MOST_ACCOUNTS = 10_000
_ACCOUNTS = "/v1/connect/{project}/accounts"
_ACTIONS = "/v1/connect/{project}/actions"


class PipedreamConnect:
    """See `base.Broker`, which it keeps."""

    def __init__(self, wire: PipedreamClient) -> None:
        self._wire = wire

    async def project(self) -> str | None:
        """The project with its environment, by which what is read of it is kept."""
        found = await self._wire.project()
        if found is None:
            return None
        return f"{found.id}/{found.environment}"

    async def apps(self, cursor: str | None) -> tuple[list[App], str | None]:
        """A page of the apps that have actions."""
        params = {"limit": str(PAGE), "has_actions": "true"} | ({"after": cursor} if cursor else {})
        found, after = _page(await self._wire.ask("GET", "/v1/connect/apps", params=params))
        return [_app(one) for one in found if one.get("name_slug")], after

    async def actions(self, cursor: str | None) -> tuple[list[Action], str | None]:
        """A page of actions of the public registry."""
        params = {"limit": str(PAGE)} | ({"after": cursor} if cursor else {})
        found, after = _page(await self._wire.ask("GET", _ACTIONS, params=params))
        return [read_action(one) for one in found if one.get("key")], after

    async def schema(self, key: str) -> Action:
        """One action as it is now."""
        reply = shape(await self._wire.ask("GET", f"{_ACTIONS}/{quote(key, safe='')}"))
        found = reply.get("data", reply)
        if not isinstance(found, dict) or not cast("dict[str, Any]", found).get("key"):
            raise malformed(200)
        return read_action(cast("dict[str, Any]", found))

    async def options(self, user: str, asked: Configured, prop: str, query: str | None) -> list[Option]:
        """The first page of values, narrowed by `query` where the field can be."""
        body = _call(user, asked) | {"prop_name": prop} | ({"query": query} if query else {})
        reply = shape(await self._wire.ask("POST", f"{_ACTIONS}/configure", body=body))
        _raise_errors(reply, asked.action)
        found: Any = reply.get("options") or reply.get("stringOptions") or reply.get("string_options") or []
        return [_option(one) for one in cast("list[Any]", found)[:MAX_OPTIONS]]

    async def reload(self, user: str, asked: Configured) -> Dynamic:
        """The fields there are with what is set."""
        reply = shape(await self._wire.ask("POST", f"{_ACTIONS}/props", body=_call(user, asked)))
        _raise_errors(reply, asked.action)
        found = shape(reply.get("dynamicProps") or reply.get("dynamic_props") or {})
        props = entries(found.get("configurableProps", found.get("configurable_props")))
        return Dynamic(found.get("id"), tuple(_prop(one) for one in props) or asked.action.props)

    async def accounts(self, user: str, app: str | None = None) -> list[Account]:
        """All pages, the newest first."""
        params = {"external_user_id": user, "limit": str(PAGE)} | ({"app": app} if app else {})
        found: list[Account] = []
        seen: set[str] = set()

        while True:
            reply = await self._wire.ask("GET", _ACCOUNTS, params=params)
            page, after = _page(reply)
            found += [_account(one) for one in page if one.get("id")]
            # the last page has a cursor too, so what there is in all saves a question
            whole = len(found) >= (shape(reply.get("page_info") or {}).get("total_count") or MOST_ACCOUNTS)
            if whole or not page or not after or after in seen:
                return sorted(found, key=lambda one: one.created_at, reverse=True)

            seen.add(after)
            params["after"] = after

    async def connect(self, user: str, app: str, back: str) -> ConnectUrl:
        """A link of an hour. Where the broker takes no address to come back to, it is made without."""
        asked = {"external_user_id": user, "expires_in": LINK_SECONDS, "app_id": app}
        path = "/v1/connect/{project}/tokens"

        try:
            returns = {"success_redirect_uri": f"{back}?ok=1", "error_redirect_uri": f"{back}?ok=0"}
            reply = await self._wire.ask("POST", path, body=asked | returns)
        except UpstreamFailed as error:
            if error.upstream_status not in {400, 422}:
                raise
            reply = await self._wire.ask("POST", path, body=asked)

        told = shape(reply)
        url = told.get("connect_link_url")
        if not isinstance(url, str) or not url.startswith(("https://", "http://127.0.0.1")):
            raise malformed(200)

        sign = "&" if "?" in url else "?"
        return ConnectUrl(f"{url}{sign}{urlencode({'app': app})}", _until(told.get("expires_at")))

    async def disconnect(self, user: str, account: str) -> None:
        """Forget an account that is this person's."""
        if account not in {one.id for one in await self.accounts(user)}:
            raise NotFound(
                "There is no connected account of this id.", hint="`codewords connections` shows them."
            )
        await self._wire.ask("DELETE", f"{_ACCOUNTS}/{quote(account, safe='')}")

    async def run(self, user: str, asked: Configured, seconds: float) -> Ran:
        """Carry the action out, once. What it says in an answer of 200 counts as much as a status."""
        body = _call(user, asked) | ({"stash_id": "NEW"} if asked.action.stash else {})
        reply = shape(await self._wire.ask("POST", f"{_ACTIONS}/run", body=body, once=True, seconds=seconds))
        if not {"ret", "exports", "os", "error"} & reply.keys():
            raise malformed(200)

        seen = tuple(entries(reply.get("os")))
        exports = reply.get("exports")
        told = sentence(reply.get("error")) or next(
            (sentence(one["err"]) or "an error" for one in reversed(seen) if one.get("err")), None
        )

        return Ran(
            reply.get("ret"),
            cast("dict[str, Any]", exports) if isinstance(exports, dict) else {},
            seen,
            told or None,
        )


def _page(value: Any) -> tuple[list[dict[str, Any]], str | None]:
    reply = shape(value)
    if not isinstance(reply.get("data"), list):
        raise malformed(200)
    info: Any = reply.get("page_info")
    if info:
        after = shape(info).get("end_cursor")
    else:
        after = None
    return entries(reply["data"]), after if isinstance(after, str) and after else None


def _call(user: str, asked: Configured) -> dict[str, Any]:
    body: dict[str, Any] = {"id": asked.action.key, "external_user_id": user, "configured_props": asked.props}
    if asked.action.version:
        body["version"] = asked.action.version
    if asked.dynamic_id:
        body["dynamic_props_id"] = asked.dynamic_id
    return body


def _raise_errors(reply: dict[str, Any], action: Action) -> None:
    said = sentence(reply.get("error")) or sentence(reply.get("errors"))
    if said:
        raise IntegrationFailed(
            f"{action.app} did not tell what a field takes.",
            upstream_status=200,
            upstream_said=said,
            hint="Set the fields that it depends on first, or give the value itself.",
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
    """An action as the API writes it."""
    key = str(raw["key"])
    props = tuple(_prop(one) for one in entries(raw.get("configurable_props")))
    app = next((prop.app for prop in props if prop.type == "app" and prop.app), key.partition("-")[0])
    hints: dict[str, Any] = raw.get("annotations") or {}
    reads = hints.get("readOnlyHint")
    if reads is None:
        reads = key.removeprefix(f"{app}-").partition("-")[0] in READS
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
        required=not raw.get("optional") and not hidden and raw.get("default") is None,
        default=raw.get("default"),
        options=tuple(_value(one) for one in cast("list[Any]", raw.get("options") or [])),
        remote=bool(raw.get("remoteOptions")),
        reloads=bool(raw.get("reloadProps")),
        secret=bool(raw.get("secret")),
        with_label=bool(raw.get("withLabel")),
        app=raw.get("app"),
    )


def _value(option: Any) -> Any:
    """The value of an option: bare, `{label, value}` or `{__lv: {label, value}}`."""
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

    value = _value(cast("Any", raw))
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


def _until(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return time.time() + LINK_SECONDS


def not_configured() -> MissingCredential:
    """For what needs a broker where there is none."""
    return MissingCredential(
        "No Pipedream project is configured, so nothing was asked.",
        credential="PIPEDREAM_PROJECT_ID",
        hint=HOW,
    )
