"""Apps that integrations reach without a broker, on loopback: Slack, GitHub, Google, Airtable, Notion and HubSpot.

    with loopback_apps(token="secret") as apps:
        Settings(integration_base_urls=apps.bases, …)

Each answers in its own protocol: Slack refuses in an answer of 200, Airtable pages by `offset` and takes ten records at once,
Google's token endpoint checks the signature of a service account. What was asked is in `requests`; `answer_next` scripts faults.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast
from urllib.parse import parse_qs, unquote

from codewords_testing.providers.model import Request, StubReply
from codewords_testing.providers.server import ServerConnection

__all__ = ["LoopbackApps", "Request", "StubReply", "loopback_apps"]

Json = dict[str, Any]
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
            path = "/" + "/".join(rest)
            if app == "google_token":
                return self._google_token(request)
            if request.headers.get("authorization") != f"Bearer {self.token}":
                return _unauthorised(app)

            return getattr(self, f"_{app}")(request, path)

    def _slack(self, request: Request, path: str) -> StubReply:
        body = request.json
        if path != "/api/chat.postMessage":
            # Slack refuses in an answer of 200.
            return _json({"ok": False, "error": "unknown_method"})
        if not str(body.get("channel", "")).startswith(("#", "C")):
            return _json({"ok": False, "error": "channel_not_found"})
        return _json(
            {"ok": True, "channel": "C1", "ts": "1700000000.000100", "message": {"text": body.get("text")}}
        )

    def _github(self, request: Request, path: str) -> StubReply:
        if re.fullmatch(r"/repos/[^/]+/[^/]+/issues", path) is None:
            return _json({"message": "Not Found"}, 404)
        if not request.json.get("title"):
            return _json({"message": "Validation Failed", "errors": [{"field": "title"}]}, 422)

        return _json(
            {
                "number": 7,
                "title": request.json["title"],
                "html_url": "https://github.com/ann/tools/issues/7",
            },
            201,
        )

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
                return _json({"spreadsheetId": found[1], "updates": {"updatedRows": len(body["values"])}})
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
        return _json({"id": "evt1", "status": "confirmed"} | request.json)

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
            start = int(parse_qs(request.query).get("offset", ["0"])[0])
            more: Json = {"offset": str(start + PAGE)} if start + PAGE < len(self.records) else {}
            return _json({"records": self.records[start : start + PAGE]} | more)

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
        if path != "/v1/pages" or "notion-version" not in request.headers:
            return _json(
                {"object": "error", "status": 400, "code": "missing_version", "message": "no version"}, 400
            )
        return _json({"object": "page", "id": "page1", "properties": request.json["properties"]})

    def _hubspot(self, request: Request, path: str) -> StubReply:
        properties = cast("Json", request.json.get("properties") or {})
        # HubSpot takes every property as text.
        if not all(isinstance(value, str) for value in properties.values()):
            return _json({"status": "error", "message": "values are strings"}, 400)
        return _json(
            {"id": path.rpartition("/")[2], "properties": properties},
            200 if request.method == "PATCH" else 201,
        )


def _unauthorised(app: str) -> StubReply:
    # Slack refuses in an answer of 200.
    if app == "slack":
        return _json({"ok": False, "error": "invalid_auth"})
    return _json({"message": "Bad credentials"}, 401)


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
