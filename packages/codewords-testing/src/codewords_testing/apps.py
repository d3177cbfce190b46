"""Apps that integrations reach without a broker, on loopback: Slack, GitHub, Google, Airtable, Notion and HubSpot.

    with loopback_apps(token="secret") as apps:
        Settings(integration_base_urls=apps.bases, …)

Each answers in its own protocol: Slack refuses in an answer of 200, Airtable pages by `offset` and takes ten records at once,
Google's token endpoint checks the signature of a service account. What was asked is in `requests`; `answer_next` scripts faults.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qs, unquote
from zoneinfo import ZoneInfo

from codewords_testing.app_records import (
    NOTION_SOURCE,
    github_issue,
    hubspot_record,
    notion_database,
    notion_page,
    notion_source_parent,
    slack_message,
)
from codewords_testing.providers.model import Request, StubReply, report_reply
from codewords_testing.providers.server import ServerConnection

__all__ = ["LoopbackApps", "Request", "StubReply", "loopback_apps"]

Json = dict[str, Any]
_NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
_GITHUB_HELP = "https://docs.github.com/rest"
_CORRELATION = "aeb5f871-7f07-4993-9211-075dc63e7cbf"
_GOOGLE_REFUSAL = {"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}}
_UNAUTHORISED: dict[str, Json] = {
    "github": {"message": "Bad credentials", "documentation_url": _GITHUB_HELP, "status": "401"},
    "google_sheets": _GOOGLE_REFUSAL,
    "google_calendar": _GOOGLE_REFUSAL,
    "airtable": {"error": {"type": "AUTHENTICATION_REQUIRED", "message": "Authentication required"}},
    "notion": {"object": "error", "status": 401, "code": "unauthorized", "message": "API token is invalid."},
    "hubspot": {
        "message": "Authentication credentials not found.",
        "category": "INVALID_AUTHENTICATION",
        "correlationId": _CORRELATION,
    },
}
# Records that Airtable's stand-in gives at once.
PAGE = 2


class LoopbackApps:
    """All of them on one port; the first part of the path is the app's. `token` is the only one that is accepted."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.port = 0
        self.requests: deque[Request] = deque(maxlen=5000)
        self.sheets: dict[str, list[list[Any]]] = {}
        """By spreadsheet: its one table of rows."""
        self.records: list[Json] = []
        """Airtable's, of every table."""
        self.events: list[Json] = []
        """GitHub's, of every repository, the newest first."""
        self.pages: list[Json] = []
        """Notion's, of every data source."""
        self.data_sources = {NOTION_SOURCE: "Tasks"}
        """Names of the data sources that each database of Notion's has, by their ids."""
        self.contacts: list[Json] = []
        """HubSpot's records, of every kind."""
        self.date: datetime | None = None
        """The time that every answer says, for apps whose clock is another."""
        self.account_key: Any = None
        """The public key of the service account whose assertions Google accepts."""
        self._scripted: deque[StubReply] = deque()
        self._lock = threading.Lock()

    @property
    def bases(self) -> dict[str, str]:
        """For `integration_base_urls`."""
        names = (
            "slack",
            "github",
            "google_sheets",
            "google_calendar",
            "google_token",
            "airtable",
            "notion",
            "hubspot",
        )
        return {name: f"http://127.0.0.1:{self.port}/{name}" for name in names}

    def answer_next(self, *replies: StubReply) -> None:
        """Answer the next requests with these replies instead."""
        with self._lock:
            self._scripted.extend(replies)

    def answer(self, request: Request) -> StubReply:
        """Serve one request."""
        with self._lock:
            self.requests.append(request)
            # Faults come first, before a token is looked at: a broken service refuses nobody.
            if self._scripted:
                return self._scripted.popleft()

            _, app, *rest = request.path.split("/")
            reply = self._reply(request, app, "/" + "/".join(rest))
            service = "google" if app in {"google_sheets", "google_calendar"} else app
            report_reply(service, request, reply)
            return reply

    def _reply(self, request: Request, app: str, path: str) -> StubReply:
        if app == "google_token":
            return self._google_token(request)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _unauthorised(app)

        reply = getattr(self, f"_{app}")(request, path)
        if self.date is not None:
            reply.headers.append(("Date", format_datetime(self.date, usegmt=True)))
        return reply

    def _slack(self, request: Request, path: str) -> StubReply:
        body = request.json
        if path != "/api/chat.postMessage":
            # Slack refuses in an answer of 200.
            return _json({"ok": False, "error": "unknown_method"})
        if not str(body.get("channel", "")).startswith(("#", "C")):
            return _json({"ok": False, "error": "channel_not_found"})
        message = slack_message(str(body.get("text", "")))
        return _json({"ok": True, "channel": "C1", "ts": message["ts"], "message": message})

    def _github(self, request: Request, path: str) -> StubReply:
        if re.fullmatch(r"/repos/[^/]+/[^/]+/events", path):
            return self._github_events(request)
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)/issues", path)
        if found is None:
            return _json({"message": "Not Found", "documentation_url": _GITHUB_HELP, "status": "404"}, 404)
        body = request.json
        if not body.get("title"):
            error = {"resource": "Issue", "code": "missing_field", "field": "title"}
            refusal = {"message": "Validation Failed", "errors": [error], "documentation_url": _GITHUB_HELP}
            return _json(refusal, 422)
        labels = [{"name": name} for name in body.get("labels", [])]
        return _json(github_issue(found[1], 7, body["title"], body=body.get("body"), labels=labels), 201)

    def _github_events(self, request: Request) -> StubReply:
        query = parse_qs(request.query)
        size, page = (int(query[name][0]) for name in ("per_page", "page"))
        listed = json.dumps(self.events[(page - 1) * size : page * size]).encode()
        etag = f'"{hashlib.sha256(listed).hexdigest()}"'
        headers = [("ETag", etag), ("X-Poll-Interval", "60")]
        if request.headers.get("if-none-match") == etag:
            return StubReply(304, headers=headers)
        return StubReply(200, listed, headers=headers)

    def _google_sheets(self, request: Request, path: str) -> StubReply:
        found = re.fullmatch(r"/v4/spreadsheets/([^/:]+)/values(?:/([^/]+?))?(:append|:batchUpdate)?", path)
        if found is None or found[1] not in self.sheets:
            return _json(
                {"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}},
                404,
            )

        rows, body = self.sheets[found[1]], request.json
        match found[3]:
            case ":append":
                rows.extend(body["values"])
                updates = {"spreadsheetId": found[1], "updatedRows": len(body["values"])}
                return _json({"spreadsheetId": found[1], "updates": updates})
            case ":batchUpdate":
                for update in body["data"]:
                    rows[: len(update["values"])] = update["values"]
                return _json(
                    {
                        "spreadsheetId": found[1],
                        "totalUpdatedRows": sum(len(update["values"]) for update in body["data"]),
                    }
                )
            case _:
                return _json({"range": unquote(found[2] or ""), "majorDimension": "ROWS", "values": rows})

    def _google_calendar(self, request: Request, _path: str) -> StubReply:
        times = {name: _with_offset(request.json[name]) for name in ("start", "end")}
        return _json({"kind": "calendar#event", "id": "evt1", "status": "confirmed"} | request.json | times)

    def _google_token(self, request: Request) -> StubReply:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        form = parse_qs(request.body.decode())
        signed, _, signature = form.get("assertion", [""])[0].rpartition(".")

        try:
            self.account_key.verify(_bytes(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
            claims = json.loads(_bytes(signed.partition(".")[2]))
        except (InvalidSignature, ValueError, AttributeError):
            return _json({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)

        # The address that the client must sign for is Google's, though the request came here.
        if claims["aud"] != "https://oauth2.googleapis.com/token" or claims["exp"] - claims["iat"] > 3600:
            return _json({"error": "invalid_grant"}, 400)

        return _json({"access_token": self.token, "expires_in": 3600, "token_type": "Bearer"})

    def _airtable(self, request: Request, _path: str) -> StubReply:
        if request.method == "GET":
            query = parse_qs(request.query)
            since = re.search(
                r'CREATED_TIME\(\), DATETIME_PARSE\("([^"]+)"', query.get("filterByFormula", [""])[0]
            )
            found = [
                record for record in self.records if since is None or str(record["createdTime"]) >= since[1]
            ]
            start = int(query.get("offset", ["0"])[0])
            more: Json = {"offset": str(start + PAGE)} if start + PAGE < len(found) else {}
            return _json({"records": found[start : start + PAGE]} | more)

        changed = cast("list[Json]", request.json["records"])
        # Airtable's own limit for one request.
        if len(changed) > 10:
            return _json({"error": {"type": "INVALID_REQUEST", "message": "10 records at most"}}, 422)

        known = {record["id"]: record for record in self.records}
        for change in changed:
            if change["id"] not in known:
                return _json(
                    {"error": {"type": "ROW_DOES_NOT_EXIST", "message": "Record does not exist"}}, 404
                )
            known[change["id"]]["fields"] |= change["fields"]

        return _json({"records": [known[change["id"]] for change in changed]})

    def _notion(self, request: Request, path: str) -> StubReply:
        # From this version on pages are in data sources, and a database is not asked for them.
        if request.headers.get("notion-version", "") < "2025-09-03":
            return _json(_notion_error(400, "missing_version"), 400)
        if found := re.fullmatch(r"/v1/databases/([0-9a-f]{32})", path):
            return _json(notion_database(found[1], self.data_sources))
        if found := re.fullmatch(r"/v1/data_sources/([0-9a-f-]{32,36})/query", path):
            if found[1].replace("-", "") not in self.data_sources:
                return _json(_notion_error(404, "object_not_found"), 404)
            return self._notion_pages(request.json)
        if path != "/v1/pages":
            return _json(_notion_error(400, "invalid_request_url"), 400)
        # A database with several of them is the parent of no page.
        if "database_id" in request.json["parent"] and len(self.data_sources) > 1:
            return _json(_notion_error(400, "validation_error"), 400)
        return _json(_page_made(request.json))

    def _notion_pages(self, body: Json) -> StubReply:
        order = body["sorts"][0]
        field, size = order["timestamp"], body["page_size"]
        # Its times are those of minutes.
        since = body.get("filter", {}).get(field, {}).get("on_or_after", "")[:16]
        found = sorted(
            (page for page in self.pages if page[field][:16] >= since),
            key=lambda page: page[field],
            reverse=order["direction"] == "descending",
        )
        whole: Json = {"object": "list", "type": "page_or_data_source", "page_or_data_source": {}}
        return _json(whole | _part_of(found, int(body.get("start_cursor", "0")), size))

    def _hubspot_search(self, body: Json) -> StubReply:
        field, size, start = body["sorts"][0]["propertyName"], body["limit"], int(body.get("after", "0"))
        conditions = [part for group in body.get("filterGroups", []) for part in group["filters"]]
        found = sorted(
            (
                record
                for record in self.contacts
                if all(
                    _ms(record["properties"][part["propertyName"]]) >= int(part["value"])
                    for part in conditions
                )
            ),
            key=lambda record: record["properties"][field],
            reverse=body["sorts"][0]["direction"] == "DESCENDING",
        )
        part = _part_of(found, start, size)
        if part["has_more"]:
            paging = {"paging": {"next": {"after": part["next_cursor"]}}}
        else:
            paging = {}
        return _json({"total": len(found), "results": part["results"]} | paging)

    def _hubspot(self, request: Request, path: str) -> StubReply:
        if path.endswith("/search"):
            return self._hubspot_search(request.json)
        properties = cast("Json", request.json.get("properties") or {})
        # HubSpot takes every property as text.
        if not all(isinstance(value, str) for value in properties.values()):
            refusal = {
                "message": "values are strings",
                "category": "VALIDATION_ERROR",
                "correlationId": _CORRELATION,
            }
            return _json(refusal, 400)
        if request.method == "PATCH":
            return _json(hubspot_record(path.rpartition("/")[2], _NOW, properties))
        return _json(hubspot_record("1", _NOW, properties), 201)


def _unauthorised(app: str) -> StubReply:
    # Slack refuses in an answer of 200.
    if app == "slack":
        return _json({"ok": False, "error": "invalid_auth"})
    return _json(_UNAUTHORISED[app], 401)


def _part_of(found: list[Json], start: int, size: int) -> Json:
    more = start + size < len(found)
    return {
        "results": found[start : start + size],
        "has_more": more,
        "next_cursor": str(start + size) if more else None,
    }


def _with_offset(time: Json) -> Json:
    """The time of an event as Google gives it back: with the offset of its zone."""
    at = datetime.fromisoformat(time.get("dateTime", "2026-02-01T00:00:00Z"))
    if at.tzinfo is not None:
        return time
    return time | {"dateTime": at.replace(tzinfo=ZoneInfo(time["timeZone"])).isoformat()}


def _page_made(body: Json) -> Json:
    """The page of a request that makes one, its properties as the service gives them back."""
    title = next(value["title"] for value in body["properties"].values() if "title" in value)
    [(kind, identifier)] = body["parent"].items()
    match kind:
        case "database_id":
            parent = notion_source_parent(NOTION_SOURCE, identifier)
        case "data_source_id":
            parent = notion_source_parent(identifier)
        case _:
            parent = {"type": kind, kind: identifier}
    page = notion_page("".join(part["text"]["content"] for part in title), _NOW, parent=parent)
    return page | {"id": "page1"}


def _notion_error(status: int, code: str) -> Json:
    return {"object": "error", "status": status, "code": code, "message": code.replace("_", " ")}


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _bytes(text: str) -> bytes:
    # A JWT leaves out the padding, on which Python insists.
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _json(value: Any, status: int = 200) -> StubReply:
    return StubReply(status, json.dumps(value).encode())


@contextmanager
def loopback_apps(token: str) -> Generator[LoopbackApps]:
    """The apps on a free port, in a thread of their own."""
    apps = LoopbackApps(token)
    ready, end = threading.Event(), threading.Event()

    async def serve() -> None:
        aborted: deque[Request] = deque(maxlen=100)
        loop = asyncio.get_running_loop()
        connection = partial(ServerConnection, apps.answer, aborted.append)
        server = await loop.create_server(connection, "127.0.0.1", 0)
        apps.port = server.sockets[0].getsockname()[1]
        ready.set()
        # The block ends in another thread, whose events this loop cannot await.
        await asyncio.to_thread(end.wait)
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="apps")
    thread.start()

    try:
        if not ready.wait(30):
            raise TimeoutError("the loopback apps did not start")
        yield apps
    finally:
        end.set()
        thread.join(30)
