"""A live runtime with a credential of every kind of caller, and a request for every row of the access table."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.integration.mcp.authorization_server import AuthorizationServer
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import ECHO, make_home
from tests.support.waiting import until

from codewords_mcp.runtime.auth.access import PUBLISHED_EXAMPLE, CallerKind, Rule, caller_kinds
from codewords_mcp.runtime.auth.access_table import PUBLISHED_EXAMPLE_RULES, TABLE, service_rule
from codewords_mcp.runtime.services.registry import Registry
from codewords_mcp.settings import Settings

SECRET_NAME = "A_SECRET_OF_THE_WALK"
REFUSED = {"unauthenticated", "forbidden", "insufficient_scope"}
"""Codes of what the table refuses."""
_TOKEN_TTL = 6 * 3600
"""Seconds; a long fuzz would else go on with a token that has expired."""
_CHANGES_BY_ITSELF = {
    "audit_entries",
    "audit_blocks",
    "alembic_version",
    "executors",
    "keys",
    "key_use",
    "slots",
    "usage_days",
    "logs",
}
"""Tables that a runtime writes without being asked: who lives, when a key was last used, who was refused."""
_SUMMED = "summed"
"""The column of an ended run that is set half a minute later, when it is added to the sums by day."""


@dataclass(slots=True)
class Walk:
    """The live runtime, what exists in it, and the key of each kind of caller."""

    door: Door
    keys: dict[str, str | None]
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def snapshot(self) -> dict[str, str]:
        """A digest of each table that only changes when something was done, once the failures so far have their alerts."""
        database = Path(self.door.settings.home) / "codewords.db"
        # In autocommit mode each statement sees what was written last.
        with closing(
            sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
        ) as connection:
            until(
                lambda: connection.execute("SELECT count(*) FROM alert_causes").fetchone() == (0,), "alerts"
            )
            names = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            return {
                name: _digest(connection.execute(f'SELECT * FROM "{name}"'))
                for name in names
                if name not in _CHANGES_BY_ITSELF and not name.startswith("sqlite_")
            }


def _digest(rows: sqlite3.Cursor) -> str:
    kept = [place for place, column in enumerate(rows.description) if column[0] != _SUMMED]
    found = sorted(repr([row[place] for place in kept]) for row in rows)
    return hashlib.sha256(repr(found).encode()).hexdigest()


def columns() -> tuple[CallerKind, ...]:
    """The kinds of callers that a request can be of by itself; of whom a run is, only the facade knows."""
    runs = {"run", "run: foreign", "run: outside", "sandbox"}
    return tuple(kind for kind in caller_kinds() if kind.name not in {"page session", "console", *runs})


def rules() -> list[Rule]:
    """Every operation: the table, the published tool of this walk, and the services."""
    services = [
        service_rule(service.name, one.path, one.effect)
        for service in Registry({}).all()
        for one in service.operations
    ]
    return [*TABLE, *PUBLISHED_EXAMPLE_RULES[:1], *services]


@contextmanager
def open_walk(folder: Path) -> Generator[Walk]:
    """Serve a home in which there is one of everything that an id can name."""
    with AuthorizationServer() as issuer:
        settings = Settings.model_validate(
            {
                "home": make_home(folder / "home"), "port": 0, "api_key": ADMIN_KEY,
                "oauth_issuer": issuer.issuer, "oauth_owners": {"ann": "local"},
            }
        )  # fmt: skip
        with Door(settings) as door:
            walk = Walk(door, _keys(door, issuer))
            _fill(walk)
            yield walk


def _keys(door: Door, issuer: AuthorizationServer) -> dict[str, str | None]:
    keys: dict[str, str | None] = {}
    for kind in columns():
        caller = kind.access.caller
        if caller is None:
            keys[kind.name] = None
        elif caller.by_token:
            scopes = " ".join(sorted(caller.scopes or ()))
            keys[kind.name] = issuer.token(f"{door.url}/mcp", scopes, exp=int(time.time()) + _TOKEN_TTL)
        elif kind.name == "admin":
            keys[kind.name] = ADMIN_KEY
        elif caller.member is not None:
            role = caller.member.role
            with door.client() as http:
                added = http.post("/members", json={"name": f"walk-{role}", "role": role})
                assert added.status_code == 201, added.text
            keys[kind.name] = door.make_key(kind=caller.kind, member=f"walk-{role}")
        else:
            keys[kind.name] = door.make_key(
                owner="local",
                kind=caller.kind,
                scopes=None if caller.scopes is None else sorted(caller.scopes),
                toolsets=None if caller.toolsets is None else sorted(caller.toolsets),
            )
    return keys


def _fill(walk: Walk) -> None:
    with walk.door.client() as http:

        def make(method: str, path: str, body: Any) -> Any:
            answer = http.request(method, path, json=body)
            assert answer.status_code < 300, (path, answer.text)
            return answer.json() if answer.content else None

        workflow = make("POST", "/deploy", {"code": ECHO, "name": "Echo", "allow": True})["service_id"]
        make("PUT", f"/secrets/{SECRET_NAME}", {"value": "kept"})
        published = {"tool": "a_published_tool", "toolset": PUBLISHED_EXAMPLE}
        make("POST", f"/workflows/{workflow}/publish", published)
        run = http.post(f"/run/{workflow}/", json={"a": 1}).headers["x-request-id"]
        http.get(f"/logs/{run}")  # to its end: nothing is written later
        schedule = make("POST", "/schedules", {"service_id": workflow, "cron": "0 9 * * *"})
        webhook = make("POST", "/webhooks", {"service_id": workflow})
        draft = make("POST", "/drafts", {"code": ECHO, "name": "A draft"})
        key = make("POST", "/keys", {"owner": "somebody"})
        member = make("POST", "/members", {"name": "somebody", "role": "viewer"})["member"]
    walk.ids |= {
        "service_id": workflow, "workflow_id": workflow, "run_id": run, "schedule_id": schedule["id"],
        "webhook_id": webhook["id"], "draft_id": str(draft.get("id") or draft.get("draft_id")), "key_id": key["id"], "member_id": member["id"],
        "name": SECRET_NAME, "tool": "a_published_tool", "scope": "total", "app": "slack", "topic": "errors",
        "account": "a", "delivery_id": "d", "path": "x", "toolset": "runs",
    }  # fmt: skip


_BODIES: dict[str, Any] = {
    "POST /deploy": {"code": ECHO, "name": "Another", "allow": True},
    "POST /validate": {"code": ECHO},
    "POST /drafts": {"code": ECHO},
    "POST /generate": {"description": "add two numbers"},
    "POST /keys": {"owner": "mallory", "kind": "admin"},
    "PUT /budgets/{scope}": {"usd": 1.0},
    "POST /members": {"name": "mallory", "role": "owner"},
    "PUT /members/{member_id}": {"role": "owner"},
    "PUT /secrets/{name}": {"value": "changed"},
    "POST /workflows/{service_id}/rollback": {"version": 1},
    "POST /workflows/{service_id}/publish": {"tool": "taken", "toolset": "other_set"},
    "DELETE /workflows/{service_id}": {"allow": True},
    "POST /drafts/{draft_id}/edits": {"code": ECHO + "\n"},
    "POST /workflows/{service_id}/edits": {"code": ECHO + "\n"},
}


def ask_http(walk: Walk, http: httpx.Client, rule: Rule, *, potent: bool) -> tuple[int, str]:
    """(status, message of the error) of a request for a route. `potent`: with real ids and a body that would be carried out."""
    if rule.kind == "service":
        name, _, path = rule.name.partition(" ")
        method, target = "POST", f"/run/{name}{path.replace('*', 'x')}"
    else:
        method, target = rule.name.split(" ", 1)
    if rule.kind == "websocket":
        return _ask_websocket(walk, http, target)
    for name, value in walk.ids.items():
        target = target.replace(f"{{{name}}}", value if potent else "unknown")
    target = (
        target.replace("{nonce}", "n")
        .replace("{token}", "t")
        .replace("{link}", "l")
        .replace("{endpoint}", "e")
    )
    if potent and rule.name == "POST /schedules":
        body: Any = {"service_id": walk.ids["service_id"], "cron": "* * * * *"}
    elif potent and rule.name == "POST /webhooks":
        body = {"service_id": walk.ids["service_id"]}
    else:
        body = _BODIES.get(rule.name, {}) if potent else {}
    methods = ("GET", "POST", "DELETE") if method == "*" and potent else ("GET" if method == "*" else method,)
    answers = [_answer(http, each, target, body) for each in methods]
    return next((answer for answer in answers if answer[0] < 400), answers[0])


def _answer(http: httpx.Client, method: str, target: str, body: Any) -> tuple[int, str]:
    with http.stream(
        method,
        target,
        json=None if method == "GET" else body,
        headers={"Accept": "application/json, text/event-stream"},
    ) as answer:
        if answer.status_code < 400:
            return answer.status_code, ""
        return answer.status_code, message_of(answer.read())


def _ask_websocket(walk: Walk, http: httpx.Client, target: str) -> tuple[int, str]:
    target = target.replace("{service_id}", "unknown").replace("{path}", "x").replace("{name}", "unknown")
    origin = (
        "chrome-extension://opplmjmflhldhomfocimjblknndohalp"
        if target == "/browser/connect"
        else walk.door.url
    )
    headers = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin,
    }  # fmt: skip
    with http.stream("GET", target, headers=headers) as answer:
        if answer.status_code < 400:
            return answer.status_code, ""
        return answer.status_code, message_of(answer.read())


SIGNED_IN = "This page is for a person who is signed in."


def message_of(body: bytes) -> str:
    """The error's message of an answer, in our shape or beside a provider's; a page where one signs in says it its way."""
    if b"<h1>Sign in to codewords</h1>" in body:
        return SIGNED_IN
    try:
        told: Any = json.loads(body)
    except ValueError:
        return ""
    match told:
        case {"codewords": {"message": message}} | {"error": {"message": message}}:
            return str(message)
        case _:
            return ""
