"""The table of native actions: well-known apps, and a few actions of each.

A new action is a row; it needs a function only if one request is not enough.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import quote

from codewords_mcp.errors import InvalidInput, TooBusy, UpstreamFailed
from codewords_mcp.runtime.integrations.errors import IntegrationFailed
from codewords_mcp.runtime.integrations.native_api import AppApi, NativeAction, NativeApp, PropValues
from codewords_mcp.runtime.integrations.pipedream_client import as_object
from codewords_mcp.runtime.model.integration import Prop

MAX_RECORDS = 10_000
# Airtable's limit of records in one request.
_RECORDS_PER_REQUEST = 10


def _prop(
    name: str, kind: str = "string", *, needed: bool = False, about: str = "", default: Any = None
) -> Prop:
    return Prop(name=name, type=kind, required=needed, description=about, default=default)


def _required(*names: str) -> tuple[Prop, ...]:
    return tuple(_prop(name, needed=True) for name in names)


def _without_none(**props: Any) -> dict[str, Any]:
    return {name: value for name, value in props.items() if value is not None}


def _pick(*names: str) -> Callable[[PropValues], dict[str, Any]]:
    def take(props: PropValues) -> dict[str, Any]:
        return {name: props[name] for name in names if props.get(name) is not None}

    return take


def _hubspot_text(value: Any) -> str:
    """Convert a value to text: HubSpot accepts only strings."""
    # str(True) is "True".
    if isinstance(value, bool):
        if value:
            return "true"
        return "false"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _contact_body(props: PropValues) -> dict[str, Any]:
    fields = {name: props.get(name) for name in ("email", "phone", "company", "website")}
    fields |= {"firstname": props.get("firstName"), "lastname": props.get("lastName")}
    more: dict[str, Any] = props.get("properties") or {}
    return {
        "properties": {
            name: _hubspot_text(value) for name, value in (fields | more).items() if value is not None
        }
    }


def _page_body(props: PropValues) -> dict[str, Any]:
    parent = {name: props[name] for name in ("database_id", "data_source_id", "page_id") if props.get(name)}
    if len(parent) != 1:
        raise InvalidInput(
            "A page needs one of `database_id`, `data_source_id` and `page_id`.",
            hint="A database with several data sources needs the `data_source_id` of one.",
        )

    title: dict[str, Any] = {
        props.get("title_property") or "title": {"title": [{"text": {"content": props["title"]}}]}
    }
    # Notion takes 2,000 characters in one text and 100 blocks in one page.
    text: str = props.get("content") or ""
    paragraphs: list[Any] = [
        {
            "object": "block",
            "type": "paragraph",
            "paragraph": {"rich_text": [{"text": {"content": chunk[:2000]}}]},
        }
        for chunk in text.split("\n\n")
        if chunk
    ]
    more: list[Any] = props.get("children") or []
    children = [*paragraphs, *more][:100]
    properties: dict[str, Any] = title | (props.get("properties") or {})

    body: dict[str, Any] = {"parent": parent, "properties": properties}
    if children:
        body["children"] = children
    return body


def _event_body(props: PropValues) -> dict[str, Any]:
    def at(name: str) -> dict[str, Any]:
        moment = str(props[name])
        zone = _without_none(timeZone=props.get("timezone"))
        # A date without a time is a whole day.
        if len(moment) == 10:
            return {"date": moment}
        return {"dateTime": moment} | zone

    invited: list[str] = props.get("attendees") or []
    attendees = [{"email": element} for element in invited]
    more = _pick("summary", "description", "location")(props)
    body = more | {"start": at("start"), "end": at("end")}
    if attendees:
        body["attendees"] = attendees
    return body


def _as_typed(_: PropValues) -> dict[str, str]:
    # Values are read as if a person had typed them, so that dates and formulas become such.
    return {"valueInputOption": "USER_ENTERED"}


def _updates_body(props: PropValues) -> dict[str, Any]:
    return _as_typed(props) | {"data": props["updates"]}


def _ticket_body(props: PropValues) -> dict[str, Any]:
    properties: dict[str, Any] = props["properties"]
    return {"properties": {name: _hubspot_text(value) for name, value in properties.items()}}


async def _airtable_list(api: AppApi, props: PropValues) -> dict[str, Any]:
    params = {
        name: str(props[fields])
        for name, fields in (("view", "view"), ("filterByFormula", "filter"), ("maxRecords", "max_records"))
        if props.get(fields)
    }
    records: list[Any] = []
    while len(records) < MAX_RECORDS:
        page = await api.request("GET", _airtable_path(props), params=params)
        if not isinstance(page, dict) or not isinstance(cast("Any", page).get("records"), list):
            raise UpstreamFailed("Airtable's response has an unexpected format.", upstream_status=200)

        body = cast("dict[str, Any]", page)
        records += body["records"]
        # A page without records ends the loop even where there is an offset.
        if not body.get("offset") or not body["records"]:
            break

        params["offset"] = str(body["offset"])

    return {"records": records[:MAX_RECORDS]}


async def _airtable_update(api: AppApi, props: PropValues) -> dict[str, Any]:
    """Update in requests of ten records, each sent once.

    Raises IntegrationFailed, whose message has the number of records changed before the failure.
    """
    records: list[Any] = props["records"]
    if not all(
        isinstance(element, dict) and {"id", "fields"} <= cast("dict[str, Any]", element).keys()
        for element in records
    ):
        raise InvalidInput("`records` are objects with `id` and `fields`.")

    changed: list[Any] = []
    for at in range(0, len(records), _RECORDS_PER_REQUEST):
        chunk = [
            {"id": element["id"], "fields": element["fields"]}
            for element in records[at : at + _RECORDS_PER_REQUEST]
        ]
        try:
            body = await api.request("PATCH", _airtable_path(props), body={"records": chunk})
        except (IntegrationFailed, TooBusy) as error:
            # Earlier requests cannot be undone, so the caller must know of them.
            if changed:
                error.message += f" {len(changed)} of {len(records)} records were changed before."
            raise

        changed += as_object(body).get("records", [])

    return {"records": changed}


def _airtable_path(props: PropValues) -> str:
    return f"/v0/{quote(str(props['base_id']), safe='')}/{quote(str(props['table']), safe='')}"


_GOOGLE = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_ACCESS_TOKEN")
_GOOGLE_HOW = (
    "Make a service account at console.cloud.google.com (IAM → Service accounts → Keys), share the {what} with its address, "
    "and store the key file's text."
)
SERVICES = {
    app.slug: app
    for app in (
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
            {"notion-version": "2025-09-03"},
        ),
        NativeApp(
            "hubspot", "HubSpot", "https://api.hubapi.com", ("HUBSPOT_ACCESS_TOKEN",),
            "Make a private app in HubSpot (Settings → Integrations) with the scopes for contacts and tickets.",
        ),
    )
}  # fmt: skip
_VALUES = _prop("values", "any", needed=True, about="Rows, each a list of cells.")
_SHEET = "/v4/spreadsheets/{spreadsheet_id}/values"
_TABLE = _required("base_id", "table")
NATIVE = (
    NativeAction(
        "slack", "send-message", "Send a message",
        (*_required("channel", "text"), _prop("thread_ts"), _prop("blocks", "any"), _prop("mrkdwn", "boolean")),
        "/api/chat.postMessage", body=_pick("channel", "text", "thread_ts", "blocks", "mrkdwn"),
        names=("post-message", "send-message-to-channel"), summary="The message was sent.",
    ),
    NativeAction(
        "github", "create-issue", "Create an issue",
        (*_required("owner", "repo", "title"), _prop("body"), _prop("labels", "string[]"), _prop("assignees", "string[]")),
        "/repos/{owner}/{repo}/issues", body=_pick("title", "body", "labels", "assignees"), summary="The issue was made.",
    ),
    NativeAction(
        "google_sheets", "read-values", "Read values", _required("spreadsheet_id", "range"), f"{_SHEET}/{{range}}", "GET",
        names=("get-values", "get-values-in-range", "read-rows", "read"),
    ),
    NativeAction(
        "google_sheets", "append-rows", "Append rows", (*_required("spreadsheet_id", "range"), _VALUES),
        f"{_SHEET}/{{range}}:append", body=_pick("values"), query=_as_typed, names=("append", "add-rows", "append-values"),
        summary="The rows were appended.",
    ),
    NativeAction(
        "google_sheets", "update-values", "Update values",
        (*_required("spreadsheet_id"), _prop("updates", "any", needed=True, about="Objects with `range` and `values`.")),
        f"{_SHEET}:batchUpdate", body=_updates_body,
        names=("update", "batch-update"), summary="The values were updated.",
    ),
    NativeAction(
        "airtable", "list-records", "List records",
        (*_TABLE, _prop("view"), _prop("filter", about="A formula."), _prop("max_records", "integer")),
        "", "GET", run=_airtable_list, names=("read-records", "list"),
    ),
    NativeAction(
        "airtable", "update-records", "Update records",
        (*_TABLE, _prop("records", "any", needed=True, about="Objects with `id` and `fields`.")),
        "", "PATCH", run=_airtable_update, names=("update",), summary="The records were updated.",
    ),
    NativeAction(
        "notion", "create-page", "Create a page",
        (*_required("title"), _prop("database_id"), _prop("data_source_id"), _prop("page_id"),
         _prop("title_property", default="title"),
         _prop("content", about="Paragraphs."), _prop("properties", "object"), _prop("children", "any")),
        "/v1/pages", body=_page_body, summary="The page was made.",
    ),
    NativeAction(
        "hubspot", "create-contact", "Create a contact",
        (
            *_required("email"), *map(_prop, ("firstName", "lastName", "phone", "company", "website")),
            _prop("properties", "object"),
        ),
        "/crm/v3/objects/contacts", body=_contact_body, summary="The contact was made.",
    ),
    NativeAction(
        "hubspot", "update-ticket", "Update a ticket",
        (*_required("ticket_id"), _prop("properties", "object", needed=True)),
        "/crm/v3/objects/tickets/{ticket_id}", "PATCH",
        body=_ticket_body,
        summary="The ticket was updated.",
    ),
    NativeAction(
        "google_calendar", "create-event", "Create an event",
        (*_required("summary", "start", "end"), _prop("calendar_id", default="primary"), _prop("timezone"),
         _prop("description"), _prop("location"), _prop("attendees", "string[]")),
        "/calendar/v3/calendars/{calendar_id}/events", body=_event_body, summary="The event was made.",
    ),
    NativeAction(
        "http", "request", "HTTP request",
        (*_required("url"), _prop("method", default="GET"), _prop("headers", "object"), _prop("body", "any")),
        "", names=("send-request", "get", "post"),
    ),
)  # fmt: skip
