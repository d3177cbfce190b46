"""The table of what needs no broker: well-known apps, and a few actions of each.

Whoever adds one adds a row, and a function only where one request is not enough.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import quote

from codewords_mcp.errors import InvalidInput, TooBusy, UpstreamFailed
from codewords_mcp.runtime.integrations.errors import IntegrationFailed
from codewords_mcp.runtime.integrations.native_api import Api, Given, Native, NativeApp
from codewords_mcp.runtime.model.integration import Prop

MAX_RECORDS = 10_000
_AT_ONCE = 10
"""Records that Airtable takes in one request."""


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
        if value:
            return "true"
        return "false"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


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
        if len(moment) == 10:
            return {"date": moment}
        return {"dateTime": moment} | zone

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
        NativeApp(
            "slack", "Slack", "https://slack.com", ("SLACK_BOT_TOKEN",),
            "Make an app at api.slack.com/apps with the scope chat:write and install it; its bot token begins with xoxb-.",
        ),
        NativeApp(
            "github", "GitHub", "https://api.github.com", ("GITHUB_TOKEN",),
            "Make a token at github.com/settings/tokens that may write issues.",
            {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"},
        ),
        NativeApp(
            "google_sheets", "Google Sheets", "https://sheets.googleapis.com", _GOOGLE, _GOOGLE_HOW.format(what="sheet"),
            scope="https://www.googleapis.com/auth/spreadsheets",
        ),
        NativeApp(
            "google_calendar", "Google Calendar", "https://www.googleapis.com", _GOOGLE,
            _GOOGLE_HOW.format(what="calendar"), scope="https://www.googleapis.com/auth/calendar",
        ),
        NativeApp(
            "airtable", "Airtable", "https://api.airtable.com", ("AIRTABLE_API_KEY",),
            "Make a personal access token at airtable.com/create/tokens with data.records:read and :write.",
        ),
        NativeApp(
            "notion", "Notion", "https://api.notion.com", ("NOTION_TOKEN", "NOTION_API_KEY"),
            "Make an integration at notion.so/my-integrations and connect the pages to it.",
            {"notion-version": "2022-06-28"},
        ),
        NativeApp(
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
