"""The endpoints of Connect, over what people connect and run while it lives."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from operator import itemgetter
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from codewords_testing.pipedream.catalogue import ACTIONS, APPS, DYNAMIC, OPTIONS
from codewords_testing.pipedream.event_endpoints import EventEndpoints
from codewords_testing.pipedream.responses import ConnectRefusal, app_of, iso, json_reply, paged
from codewords_testing.providers.model import Request, StubReply, report_reply

Json = dict[str, Any]
_TOKEN_SECONDS = 3600
_LINK_SECONDS = 14400
_P = r"/v1/connect/(?P<project>proj_[A-Za-z0-9]+)"


@dataclass(frozen=True, slots=True)
class ActionRun:
    """One action as it was asked to be run."""

    action: str
    user: str
    props: Json
    body: Json = field(default_factory=Json)


@dataclass(slots=True)
class _Account:
    id: str
    app: str
    user: str
    environment: str
    name: str
    created_at: float
    healthy: bool = True


@dataclass(slots=True)
class _Link:
    user: str
    environment: str
    app: str
    success: str | None
    until: float
    used: bool = False


class LoopbackConnect(EventEndpoints):
    """One project. `on_run` gives an action's answer; without it the props come back in `ret`."""

    def __init__(self, *, port: int = 0) -> None:
        self.port = port
        self.project = "proj_loopback1"
        self.apps: list[Json] = list(APPS)
        self.actions: dict[str, Json] = {action["key"]: action for action in ACTIONS}
        super().__init__()
        self.requests: deque[Request] = deque(maxlen=5000)
        self.runs: list[ActionRun] = []
        self.on_run: Callable[[ActionRun], Json | StubReply] | None = None
        self.tokens: dict[str, float] = {}
        self._secret = "pd-secret-" + secrets.token_hex(8)
        self._accounts: dict[str, _Account] = {}
        self._links: dict[str, _Link] = {}
        self._dynamic: dict[str, list[Json]] = {}
        self._scripted: list[tuple[str, deque[StubReply]]] = []
        # Reentrant: the page of a link connects an account while its request is answered.
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> dict[str, str]:
        """The secrets of a home that uses it."""
        return {
            "PIPEDREAM_CLIENT_ID": "pd-client",
            "PIPEDREAM_CLIENT_SECRET": self._secret,
            "PIPEDREAM_PROJECT_ID": self.project,
        }

    def answer_next(self, path: str, *replies: StubReply) -> None:
        """Answer the next requests whose path ends in `path` with these replies instead."""
        with self._lock:
            self._scripted.append((path, deque(replies)))

    def requests_to(self, path: str) -> list[Request]:
        """The requests whose path ends in `path`."""
        with self._lock:
            return [request for request in self.requests if request.path.endswith(path)]

    def connect_account(
        self, user: str, app: str, *, name: str = "", environment: str = "development"
    ) -> str:
        """Add an account, as if the person had connected it. Returns its id."""
        with self._lock:
            account = f"apn_{secrets.token_hex(4)}"
            # Apart by a second each, so that their order shows even where they are made at once.
            created_at = time.time() + len(self._accounts)
            made = _Account(account, app, user, environment, name or f"{app} account", created_at)
            self._accounts[account] = made
            return account

    def revoke(self, account: str) -> None:
        """End an account's access, as the app itself would."""
        self._accounts[account].healthy = False

    def forget_accounts(self) -> None:
        """Remove all connected accounts."""
        with self._lock:
            self._accounts.clear()

    def answer(self, request: Request) -> StubReply:
        """Serve one request."""
        # Requests come in threads of the server, and the test reads what they noted.
        with self._lock:
            self.requests.append(request)
            for path, replies in self._scripted:
                if replies and request.path.endswith(path):
                    return replies.popleft()
            try:
                reply = self._route(request)
            except ConnectRefusal as refused:
                reply = refused.reply
            report_reply("pipedream", request, reply)
            return reply

    def _route(self, request: Request) -> StubReply:
        path = re.sub(r"/+", "/", request.path)
        if path == "/v1/oauth/token":
            return self._token(request.json)
        if path == "/_static/connect.html":
            return self._page(request)

        for pattern, method, serve in self._ROUTES:
            if request.method == method and (found := pattern.fullmatch(path)):
                environment = self._authorised(request)
                named = {name: unquote(value) for name, value in found.groupdict().items()}
                if named.get("project", self.project) != self.project:
                    raise ConnectRefusal(404, "record not found")

                return serve(self, request, environment, named)

        raise ConnectRefusal(404, "record not found")

    def _authorised(self, request: Request) -> str:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0.0) < time.time():
            raise ConnectRefusal(401, "invalid token")
        environment = request.headers.get("x-pd-environment", "")
        if environment not in {"development", "production"}:
            raise ConnectRefusal(400, "x-pd-environment header required")
        return environment

    def _token(self, body: Json) -> StubReply:
        if body.get("grant_type") != "client_credentials":
            raise ConnectRefusal(400, "unsupported_grant_type")
        if (body.get("client_id"), body.get("client_secret")) != ("pd-client", self._secret):
            raise ConnectRefusal(401, "invalid_client")
        token = f"pdt_{secrets.token_hex(12)}"
        self.tokens[token] = time.time() + _TOKEN_SECONDS
        return json_reply({"access_token": token, "token_type": "Bearer", "expires_in": _TOKEN_SECONDS})

    def _list_apps(self, request: Request, _environment: str, _named: Json) -> StubReply:
        params = dict(parse_qsl(request.query))
        words = params.get("q", "").lower()
        found = [app for app in self.apps if words in app["name_slug"] or words in app["name"].lower()]
        return json_reply(paged(found, "name_slug", params))

    def _get_app(self, _request: Request, _environment: str, named: Json) -> StubReply:
        for app in self.apps:
            if named["app"] in {app["name_slug"], app["id"]}:
                return json_reply({"data": app})
        raise ConnectRefusal(404, "record not found")

    def _list_actions(self, request: Request, _environment: str, _named: Json) -> StubReply:
        params = dict(parse_qsl(request.query))
        found = [action for action in self.actions.values() if params.get("app") in (None, app_of(action))]
        words = params.get("q", "").lower().split()
        found = [action for action in found if all(word in action["key"] for word in words)]
        return json_reply(paged(sorted(found, key=itemgetter("key")), "key", params))

    def _get_action(self, _request: Request, _environment: str, named: Json) -> StubReply:
        return json_reply({"data": self._action(named["key"])})

    def _action(self, key: Any) -> Json:
        if key not in self.actions:
            raise ConnectRefusal(404, "record not found")
        return self.actions[key]

    def _list_accounts(self, request: Request, environment: str, _named: Json) -> StubReply:
        params = dict(parse_qsl(request.query))
        found = [
            self._account_json(account)
            for account in self._accounts.values()
            if account.environment == environment
            and params.get("external_user_id") in (None, account.user)
            and params.get("app") in (None, account.app)
        ]
        return json_reply(paged(found, "id", params))

    def _get_account(self, _request: Request, _environment: str, named: Json) -> StubReply:
        if named["account"] not in self._accounts:
            raise ConnectRefusal(404, "record not found")
        return json_reply(self._account_json(self._accounts[named["account"]]))

    def _delete_account(self, _request: Request, _environment: str, named: Json) -> StubReply:
        if self._accounts.pop(named["account"], None) is None:
            raise ConnectRefusal(404, "record not found")
        return StubReply(204)

    def _account_json(self, account: _Account) -> Json:
        made = iso(account.created_at)
        app = next(app for app in self.apps if app["name_slug"] == account.app)
        return {
            "id": account.id, "name": account.name, "external_id": account.user, "healthy": account.healthy,
            "dead": not account.healthy,
            "app": app, "created_at": made, "updated_at": made, "error": None,
        }  # fmt: skip

    def _make_link(self, request: Request, environment: str, _named: Json) -> StubReply:
        params = request.json
        if not params.get("external_user_id"):
            raise ConnectRefusal(400, "external_user_id is required")

        slug = params.get("app_id") or ""
        if slug and slug not in {known["name_slug"] for known in self.apps}:
            raise ConnectRefusal(404, "record not found")

        token, until = (
            f"ctok_{secrets.token_hex(16)}",
            time.time() + min(int(params.get("expires_in") or _LINK_SECONDS), _LINK_SECONDS),
        )
        self._links[token] = _Link(
            params["external_user_id"], environment, slug, params.get("success_redirect_uri"), until
        )
        url = f"{self.url}/_static/connect.html?token={token}&connectLink=true"

        return json_reply({"token": token, "expires_at": iso(until), "connect_link_url": url})

    def _page(self, request: Request) -> StubReply:
        params = dict(parse_qsl(request.query))
        link, app = self._links.get(params.get("token", "")), params.get("app", "")
        if link is None or link.used or link.until < time.time():
            return StubReply(410, b"<h1>This link has expired</h1>", media="text/html")
        if app not in {known["name_slug"] for known in self.apps}:
            return StubReply(404, b"<h1>No such app</h1>", media="text/html")

        if request.method == "POST":
            # A link is good for one account.
            link.used = True
            self.connect_account(link.user, app, environment=link.environment)
            if link.success:
                return StubReply(303, headers=[("location", link.success)])

            return StubReply(200, b"<h1>Account connected</h1>", media="text/html")

        form = f"<h1>Connect {escape(app)}</h1><form method=post><button>Connect</button></form>"
        return StubReply(200, f"<!doctype html><title>Connect</title>{form}".encode(), media="text/html")

    def _configure(self, request: Request, environment: str, _named: Json) -> StubReply:
        params = request.json
        action = self._action(params.get("id"))
        self._check_accounts(action, params, environment)
        found = OPTIONS.get((action["key"], str(params.get("prop_name"))), [])
        query = str(params.get("query") or "").lower()
        found = [option for option in found if query in option["label"].lower()]
        return json_reply(
            {"options": found, "stringOptions": None, "context": None, "observations": [], "errors": []}
        )

    def _reload(self, request: Request, environment: str, _named: Json) -> StubReply:
        params = request.json
        action = self._action(params.get("id"))
        self._check_accounts(action, params, environment)
        configured = cast("Json", params.get("configured_props") or {})
        more = [
            prop
            for name, value in configured.items()
            for prop in DYNAMIC.get((action["key"], name, str(value)), [])
        ]
        props = [*action["configurable_props"], *more]
        made = f"dyp_{secrets.token_hex(4)}"
        self._dynamic[made] = props

        return json_reply(
            {"observations": [], "errors": [], "dynamicProps": {"id": made, "configurableProps": props}}
        )

    def _run(self, request: Request, environment: str, _named: Json) -> StubReply:
        params = request.json
        action = self._action(params.get("id"))
        configured = cast("Json", params.get("configured_props") or {})
        self._check_accounts(action, params, environment)
        run = ActionRun(action["key"], str(params.get("external_user_id")), configured, params)
        self.runs.append(run)
        # Props that were reloaded take the place of the action's own.
        props: list[Json] = (
            self._dynamic.get(str(params.get("dynamic_props_id"))) or action["configurable_props"]
        )
        missing = [
            prop["name"]
            for prop in props
            if prop["name"] not in configured
            and not prop.get("optional")
            # A prop with a default is filled in by Connect.
            and prop.get("default") is None
            and (prop["type"] != "app" or self._needs_account(prop["app"]))
        ]
        if missing:
            return json_reply(failed("Error", f"missing required properties: {', '.join(missing)}"))

        if self.on_run:
            answer = self.on_run(run)
        else:
            answer = succeeded(f"Ran {action['key']}", _plain(configured))

        if isinstance(answer, StubReply):
            # The test's own, such as one that breaks off.
            answer.is_faulty = True
            return answer

        return json_reply(answer)

    def _check_accounts(self, action: Json, params: Json, environment: str) -> None:
        configured = cast("Json", params.get("configured_props") or {})
        for prop in action["configurable_props"]:
            if prop["type"] == "app" and self._needs_account(prop["app"]):
                value: Any = configured.get(prop["name"])
                if isinstance(value, dict):
                    account = self._accounts.get(str(cast("Json", value).get("authProvisionId")))
                else:
                    account = None

                if account is None or (account.user, account.environment) != (
                    params.get("external_user_id"),
                    environment,
                ):
                    raise ConnectRefusal(400, {"account": ["account and user mismatch"]})

    def _needs_account(self, app: str) -> bool:
        return any(known["name_slug"] == app and known["auth_type"] != "none" for known in self.apps)

    _ROUTES: tuple[tuple[re.Pattern[str], str, Callable[..., StubReply]], ...] = (
        (re.compile(r"/v1/connect/apps"), "GET", _list_apps),
        (re.compile(r"/v1/connect/apps/(?P<app>[^/]+)"), "GET", _get_app),
        (re.compile(_P + r"/tokens"), "POST", _make_link),
        (re.compile(_P + r"/accounts"), "GET", _list_accounts),
        (re.compile(_P + r"/accounts/(?P<account>[^/]+)"), "GET", _get_account),
        (re.compile(_P + r"/accounts/(?P<account>[^/]+)"), "DELETE", _delete_account),
        (re.compile(_P + r"/(?:actions|components)"), "GET", _list_actions),
        (re.compile(_P + r"/(?:actions|components)/configure"), "POST", _configure),
        (re.compile(_P + r"/(?:actions|components)/props"), "POST", _reload),
        (re.compile(_P + r"/actions/run"), "POST", _run),
        *((re.compile(_P + path), method, serve) for path, method, serve in EventEndpoints.ROUTES),
        # Last, since a key may be any word, and those of the routes above are tried first.
        (re.compile(_P + r"/(?:actions|components)/(?P<key>[^/]+)"), "GET", _get_action),
    )


def succeeded(summary: str, ret: Any = None) -> Json:
    """Response body of a run that succeeded."""
    return {"exports": {"$summary": summary}, "os": [], "ret": ret}


def failed(name: str, message: str) -> Json:
    """Response body, with status 200, of a run whose code raised."""
    error = {
        "k": "error",
        "ts": int(time.time() * 1000),
        "err": {"name": name, "message": message, "stack": ""},
    }
    return {"exports": {}, "os": [error], "ret": None}


def _plain(configured: Json) -> Json:
    return {
        name: value
        for name, value in configured.items()
        if not (isinstance(value, dict) and "authProvisionId" in value)
    }
