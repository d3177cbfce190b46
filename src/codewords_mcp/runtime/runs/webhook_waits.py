"""Addresses of running workflows: who posts to one answers the wait for it.

::

    new_webhook ──▶ row `new`: the address works, the run does not wait for it yet
                       │  for_webhook ──▶ `open`: the run waits, and may give its sandbox back
                       ▼                    ▼
                  a request ──────────▶ `answered`, with headers, query and body
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import AttemptOver, Conflict, NotFound, Unauthenticated
from codewords_mcp.runtime.model.run import FINISHED
from codewords_mcp.runtime.model.run_wait import NewWait, RunWait
from codewords_mcp.runtime.model.webhook import Arrival
from codewords_mcp.runtime.store import run_waits as rows
from codewords_mcp.runtime.store import runs
from codewords_mcp.runtime.store.clock import to_datetime, to_micros
from codewords_mcp.runtime.store.executors import clock
from codewords_mcp.runtime.triggers.webhook_receiver import stored_headers
from codewords_mcp.runtime.triggers.webhook_signatures import VERIFY, SignatureInvalid

PREFIX: Final = "hook_"
"""Begins the ids of addresses, which are the last part of their URLs."""
MOST_ADDRESSES: Final = 100
"""Addresses of one run."""


def make(connection: Connection, owner: str, run_id: str, key: str, question: dict[str, Any]) -> RunWait:
    """The address that a call of a run makes: a new one, or that of the same call in an earlier attempt."""
    rows.lock_run(connection, run_id)
    if found := rows.find(connection, run_id, key):
        return found
    run = runs.get(connection, run_id)
    if run is None or run.status in FINISHED:
        raise AttemptOver
    if rows.count(connection, run_id, "webhook") >= MOST_ADDRESSES:
        raise Conflict(f"This run has {MOST_ADDRESSES} addresses already.", hint="Use one of them.")

    at = to_datetime(clock(connection))
    wait = RunWait(
        id=PREFIX + secrets.token_hex(16),
        kind="webhook",
        owner=owner,
        run_id=run_id,
        service_id=run.service_id or "",
        title="A request to its address",
        question=question,
        created_at=at,
        due_at=at,
        status="new",
    )
    # Nothing waits for it yet, so there is no news that the run would have to learn of.
    rows.add(connection, wait, key, resumable=False, due_at=to_micros(at), taken=True)
    return wait


def begin(connection: Connection, run_id: str, new: NewWait, *, resumable: bool) -> tuple[RunWait, bool]:
    """Wait for an address of a run. Returns the wait, and whether it begins now.

    Raises NotFound for an address that the run has not made, AttemptOver for one that is gone.
    """
    run = rows.lock_run(connection, run_id)
    wait = rows.get(connection, new.wait_id)
    if run is None or wait is None or wait.kind != "webhook" or wait.run_id != run_id:
        raise NotFound(
            "This run has made no such address.", hint='Make one first: {"new_webhook": true} gives its id.'
        )
    if wait.status == "withdrawn" or run.status in FINISHED:
        raise AttemptOver
    if wait.status != "new":
        return wait, False

    due_at = to_datetime(clock(connection)) + timedelta(seconds=new.seconds)
    rows.begin(connection, wait.id, due_at=to_micros(due_at), resumable=resumable)
    return rows.get(connection, wait.id) or wait, True


def take(
    connection: Connection, wait_id: str, answer: dict[str, Any]
) -> tuple[RunWait, rows.WaitingRun | None, bool]:
    """Answer the wait for an address. Returns it with its run, and whether the same request came before.

    Raises NotFound; Conflict where another request came before, or it is too late.
    """
    found = rows.get(connection, wait_id)
    if found is None or found.kind != "webhook":
        raise NotFound("No webhook has this address.")
    run = rows.lock_run(connection, found.run_id)
    # Read again under the lock: another request may have been first.
    wait = rows.get(connection, wait_id) or found
    if wait.status == "answered":
        # Senders repeat a request whose response they missed. The digest tells that from another request.
        if wait.answer is not None and wait.answer["digest"] == answer["digest"]:
            return wait, run, True
        raise Conflict("This address has taken a request already; it takes one.")
    if wait.status == "withdrawn" or run is None or run.is_over:
        raise Conflict("The run that this address belongs to has ended, so it takes no request any more.")
    if wait.status == "timed_out" or (
        wait.status == "open" and wait.due_at <= to_datetime(clock(connection))
    ):
        raise Conflict(f"The run waited for this until {wait.due_at.isoformat(timespec='seconds')}.")

    rows.receive(connection, wait_id, answer)
    return rows.get(connection, wait_id) or wait, run, False


def verify(wait: RunWait, secret: str | None, arrival: Arrival) -> None:
    """Check the signature of a request to an address that asks for one. Raises Unauthenticated."""
    try:
        if secret is None:
            raise SignatureInvalid("The secret is not set.")
        VERIFY[wait.question["signed_as"]](secret, arrival.headers, arrival.body, time.time())
    except SignatureInvalid:
        raise Unauthenticated("The signature is missing or invalid.") from None


def content_of(arrival: Arrival) -> dict[str, Any]:
    """A request as its run gets it: `headers` without credentials, `query`, and `body` as JSON or text; `body_base64`
    for bytes that are neither.
    """
    content: dict[str, Any] = {
        "headers": stored_headers(arrival.headers),
        "query": dict(arrival.query),
        "digest": _digest(arrival.query, arrival.body),
    }
    try:
        text = arrival.body.decode()
    except UnicodeDecodeError:
        return content | {"body": None, "body_base64": base64.b64encode(arrival.body).decode()}
    if "\0" in text:
        # PostgreSQL stores no text with it.
        return content | {"body": None, "body_base64": base64.b64encode(arrival.body).decode()}
    try:
        return content | {"body": parse(text)}
    except (ValueError, RecursionError):
        return content | {"body": text}


def _digest(query: Mapping[str, str], body: bytes) -> str:
    return hashlib.sha256(repr(sorted(query.items())).encode() + b"\n" + body).hexdigest()
