"""What needs no broker: a few actions of well-known apps, made with a token of the caller's own.

A table of `Native` rows; whoever adds one adds a row, and a function only where one request is not enough.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

from codewords_mcp.errors import Forbidden, InvalidInput, TooBusy, UpstreamFailed
from codewords_mcp.runtime.egress import EgressPolicy
from codewords_mcp.runtime.integration_info import Account, Action, App, Prop
from codewords_mcp.runtime.integrations.errors import AppNotConnected, IntegrationFailed
from codewords_mcp.runtime.integrations.google import GoogleTokens
from codewords_mcp.runtime.integrations.wire import words_of
from codewords_mcp.runtime.secrets.access import HOME_OWNER, SecretBook
from codewords_mcp.runtime.secrets.rules import HTTPS
from codewords_mcp.runtime.web.client import Reply, Web, retry_after
from codewords_mcp.settings import Settings

Given = Mapping[str, Any]
SECONDS = 40.0
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
MAX_RECORDS = 10_000
_AT_ONCE = 10
"""Records that Airtable takes in one request."""


@dataclass(frozen=True, slots=True)
class Service:
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

    def __init__(self, web: Web, service: Service, base: str, headers: Mapping[str, str]) -> None:
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
        told = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        if told.get("ok") is False:  # Slack says all its refusals in an answer of 200
            raise self._said_no(str(told.get("error") or ""), 200)
        return cast("Any", found)

    def _refusal(self, reply: Reply) -> Exception:
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


def _prop(
    name: str, kind: str = "string", *, needed: bool = False, about: str = "", default: Any = None
) -> Prop:
    return Prop(name=name, type=kind, required=needed, description=about, default=default)


def _need(*names: str) -> tuple[Prop, ...]:
    return tuple(_prop(name, needed=True) for name in names)


def _without_none(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _take(*names: str) -> Callable[[Given], dict[str, Any]]:
    def take(given: Given) -> dict[str, Any]:
        return {name: given[name] for name in names if given.get(name) is not None}

    return take


def _text(value: Any) -> str:
    """As HubSpot takes values: strings all."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _contact(given: Given) -> dict[str, Any]:
    own = {name: given.get(name) for name in ("email", "phone", "company", "website")}
    own |= {"firstname": given.get("firstName"), "lastname": given.get("lastName")}
    more: dict[str, Any] = given.get("properties") or {}
    return {"properties": {name: _text(value) for name, value in (own | more).items() if value is not None}}


def _page(given: Given) -> dict[str, Any]:
    if bool(given.get("database_id")) == bool(given.get("page_id")):
        raise InvalidInput("A page is made in a `database_id` or below a `page_id`, one of them.")
    parent = {name: given[name] for name in ("database_id", "page_id") if given.get(name)}
    title: dict[str, Any] = {
        given.get("title_property") or "title": {"title": [{"text": {"content": given["title"]}}]}
    }
    text: str = given.get("content") or ""
    paragraphs: list[Any] = [
        {
            "object": "block",
            "type": "paragraph",
            "paragraph": {"rich_text": [{"text": {"content": piece[:2000]}}]},
        }
        for piece in text.split("\n\n")
        if piece
    ]
    more: list[Any] = given.get("children") or []
    children = [*paragraphs, *more][:100]
    properties: dict[str, Any] = title | (given.get("properties") or {})
    return {"parent": parent, "properties": properties} | ({"children": children} if children else {})


def _event(given: Given) -> dict[str, Any]:
    def at(name: str) -> dict[str, Any]:
        moment = str(given[name])
        zone = _without_none(timeZone=given.get("timezone"))
        return {"date": moment} if len(moment) == 10 else {"dateTime": moment} | zone

    invited: list[str] = given.get("attendees") or []
    attendees = [{"email": one} for one in invited]
    more = _take("summary", "description", "location")(given)
    return more | {"start": at("start"), "end": at("end")} | ({"attendees": attendees} if attendees else {})


async def _airtable_list(api: Api, given: Given) -> dict[str, Any]:
    params = {
        name: str(given[own])
        for name, own in (("view", "view"), ("filterByFormula", "filter"), ("maxRecords", "max_records"))
        if given.get(own)
    }
    records: list[Any] = []
    while len(records) < MAX_RECORDS:
        page = await api.ask("GET", _airtable(given), params=params)
        if not isinstance(page, dict) or not isinstance(cast("Any", page).get("records"), list):
            raise UpstreamFailed("Airtable answered in a shape that it should not have.", upstream_status=200)
        told = cast("dict[str, Any]", page)
        records += told["records"]
        if not told.get("offset") or not told["records"]:
            break
        params["offset"] = str(told["offset"])
    return {"records": records[:MAX_RECORDS]}


async def _airtable_update(api: Api, given: Given) -> dict[str, Any]:
    """Ten at once, each ten once. Raises IntegrationFailed that says how many were changed before."""
    records: list[Any] = given["records"]
    if not all(
        isinstance(one, dict) and {"id", "fields"} <= cast("dict[str, Any]", one).keys() for one in records
    ):
        raise InvalidInput("`records` are objects with `id` and `fields`.")
    changed: list[Any] = []
    for at in range(0, len(records), _AT_ONCE):
        piece = [{"id": one["id"], "fields": one["fields"]} for one in records[at : at + _AT_ONCE]]
        try:
            told = await api.ask("PATCH", _airtable(given), body={"records": piece})
        except (IntegrationFailed, TooBusy) as error:
            if changed:
                error.message += f" {len(changed)} of {len(records)} records were changed before."
            raise
        changed += told["records"]
    return {"records": changed}


def _airtable(given: Given) -> str:
    return f"/v0/{quote(str(given['base_id']), safe='')}/{quote(str(given['table']), safe='')}"


_GOOGLE = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_ACCESS_TOKEN")
_GOOGLE_HOW = (
    "Make a service account at console.cloud.google.com (IAM → Service accounts → Keys), share the {what} with its address, "
    "and store the key file's text."
)
SERVICES = {
    one.slug: one
    for one in (
        Service(
            "slack", "Slack", "https://slack.com", ("SLACK_BOT_TOKEN",),
            "Make an app at api.slack.com/apps with the scope chat:write and install it; its bot token begins with xoxb-.",
        ),
        Service(
            "github", "GitHub", "https://api.github.com", ("GITHUB_TOKEN",),
            "Make a token at github.com/settings/tokens that may write issues.",
            {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"},
        ),
        Service(
            "google_sheets", "Google Sheets", "https://sheets.googleapis.com", _GOOGLE, _GOOGLE_HOW.format(what="sheet"),
            scope="https://www.googleapis.com/auth/spreadsheets",
        ),
        Service(
            "google_calendar", "Google Calendar", "https://www.googleapis.com", _GOOGLE,
            _GOOGLE_HOW.format(what="calendar"), scope="https://www.googleapis.com/auth/calendar",
        ),
        Service(
            "airtable", "Airtable", "https://api.airtable.com", ("AIRTABLE_API_KEY",),
            "Make a personal access token at airtable.com/create/tokens with data.records:read and :write.",
        ),
        Service(
            "notion", "Notion", "https://api.notion.com", ("NOTION_TOKEN", "NOTION_API_KEY"),
            "Make an integration at notion.so/my-integrations and connect the pages to it.",
            {"notion-version": "2022-06-28"},
        ),
        Service(
            "hubspot", "HubSpot", "https://api.hubapi.com", ("HUBSPOT_ACCESS_TOKEN",),
            "Make a private app in HubSpot (Settings → Integrations) with the scopes for contacts and tickets.",
        ),
    )
}  # fmt: skip
_VALUES = _prop("values", "any", needed=True, about="Rows, each a list of cells.")
_SHEET = "/v4/spreadsheets/{spreadsheet_id}/values"
_TABLE = _need("base_id", "table")
NATIVE = (
    Native(
        "slack", "send-message", "Send a message",
        (*_need("channel", "text"), _prop("thread_ts"), _prop("blocks", "any"), _prop("mrkdwn", "boolean")),
        "/api/chat.postMessage", body=_take("channel", "text", "thread_ts", "blocks", "mrkdwn"),
        names=("post-message", "send-message-to-channel"), summary="The message was sent.",
    ),
    Native(
        "github", "create-issue", "Create an issue",
        (*_need("owner", "repo", "title"), _prop("body"), _prop("labels", "string[]"), _prop("assignees", "string[]")),
        "/repos/{owner}/{repo}/issues", body=_take("title", "body", "labels", "assignees"), summary="The issue was made.",
    ),
    Native(
        "google_sheets", "read-values", "Read values", _need("spreadsheet_id", "range"), f"{_SHEET}/{{range}}", "GET",
        names=("get-values", "get-values-in-range", "read-rows", "read"),
    ),
    Native(
        "google_sheets", "append-rows", "Append rows", (*_need("spreadsheet_id", "range"), _VALUES),
        f"{_SHEET}/{{range}}:append", body=lambda given: {"values": given["values"]},
        query=lambda _: {"valueInputOption": "USER_ENTERED"}, names=("append", "add-rows", "append-values"),
        summary="The rows were appended.",
    ),
    Native(
        "google_sheets", "update-values", "Update values",
        (*_need("spreadsheet_id"), _prop("updates", "any", needed=True, about="Objects with `range` and `values`.")),
        f"{_SHEET}:batchUpdate", body=lambda given: {"valueInputOption": "USER_ENTERED", "data": given["updates"]},
        names=("update", "batch-update"), summary="The values were updated.",
    ),
    Native(
        "airtable", "list-records", "List records",
        (*_TABLE, _prop("view"), _prop("filter", about="A formula."), _prop("max_records", "integer")),
        "", "GET", run=_airtable_list, names=("read-records", "list"),
    ),
    Native(
        "airtable", "update-records", "Update records",
        (*_TABLE, _prop("records", "any", needed=True, about="Objects with `id` and `fields`.")),
        "", "PATCH", run=_airtable_update, names=("update",), summary="The records were updated.",
    ),
    Native(
        "notion", "create-page", "Create a page",
        (*_need("title"), _prop("database_id"), _prop("page_id"), _prop("title_property", default="title"),
         _prop("content", about="Paragraphs."), _prop("properties", "object"), _prop("children", "any")),
        "/v1/pages", body=_page, summary="The page was made.",
    ),
    Native(
        "hubspot", "create-contact", "Create a contact",
        (*_need("email"), *map(_prop, ("firstName", "lastName", "phone", "company", "website")), _prop("properties", "object")),
        "/crm/v3/objects/contacts", body=_contact, summary="The contact was made.",
    ),
    Native(
        "hubspot", "update-ticket", "Update a ticket",
        (*_need("ticket_id"), _prop("properties", "object", needed=True)),
        "/crm/v3/objects/tickets/{ticket_id}", "PATCH",
        body=lambda given: {"properties": {name: _text(value) for name, value in given["properties"].items()}},
        summary="The ticket was updated.",
    ),
    Native(
        "google_calendar", "create-event", "Create an event",
        (*_need("summary", "start", "end"), _prop("calendar_id", default="primary"), _prop("timezone"),
         _prop("description"), _prop("location"), _prop("attendees", "string[]")),
        "/calendar/v3/calendars/{calendar_id}/events", body=_event, summary="The event was made.",
    ),
    Native(
        "http", "request", "HTTP request",
        (*_need("url"), _prop("method", default="GET"), _prop("headers", "object"), _prop("body", "any")),
        "", names=("send-request", "get", "post"),
    ),
)  # fmt: skip


def bases_of(settings: Settings) -> dict[str, str]:
    """Where apps are asked that the operator has put elsewhere."""
    usual = SERVICES["github"].base
    own = {"github": settings.github_base_url} if settings.github_base_url != usual else {}
    return own | settings.integration_base_urls


class NativeActions:
    """The actions of the table, and whose tokens they are made with. For one event loop."""

    def __init__(self, web: Web, secrets: SecretBook, bases: Mapping[str, str]) -> None:
        self._web = web
        self._secrets = secrets
        self._bases = bases
        self._google = GoogleTokens(web, bases.get("google_token", "https://oauth2.googleapis.com"))

    @property
    def apps(self) -> list[App]:
        """Those of the table, as a search knows them."""
        found = [App(slug=one.slug, name=one.name, auth="keys") for one in SERVICES.values()]
        return [*found, App(slug="http", name="HTTP", words="web url request api", auth="none")]

    def find(self, app: str, name: str) -> Native | None:
        """By key, by name, or by another name of it."""
        return next(
            (one for one in NATIVE if one.app == app and name in (one.key, one.name, *one.names)), None
        )

    def of(self, app: str) -> list[Native]:
        """All of an app."""
        return [one for one in NATIVE if one.app == app]

    async def account(self, owner: str, app: str) -> Account | None:
        """The token that is set for it, as an account; None where there is none."""
        service = SERVICES.get(app)
        if service is None:
            return None
        given = await self._given(owner, service)
        name = next((name for name in service.secrets if name in given), None)
        return None if name is None else Account(id=name, app=app, name=name, backend="native")

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
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = text
        return {"status": reply.status, "headers": dict(reply.headers), "body": body}

    async def _given(self, owner: str, service: Service) -> dict[str, str]:
        """The caller's own tokens; the environment's are the home's owner's."""
        names = list(service.secrets)
        if owner == HOME_OWNER:
            return await self._secrets.given(owner, names)
        return await self._secrets.values(owner, names)

    async def _api(self, owner: str, service: Service) -> Api:
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
        token = given[name]
        if name == "GOOGLE_SERVICE_ACCOUNT":
            token = await self._google.token(token, service.scope)
        return Api(self._web, service, base, {"authorization": f"Bearer {token}", **service.headers})

    async def _allowed(self, owner: str, name: str, host: str, service: Service) -> None:
        """A secret goes where its rule says, also from here."""
        rule = await self._secrets.rule_of(owner, name)
        # a service account's key never leaves: what goes out is a token made with it
        if rule is not None and name != "GOOGLE_SERVICE_ACCOUNT" and (host, HTTPS) not in rule.hosts:
            raise Forbidden(
                f"The host rule of {name} does not let it go to {host}, so {service.name} was not asked.",
                hint=f"`codewords secrets set {name} --host {host}` sets it with another rule.",
            )
