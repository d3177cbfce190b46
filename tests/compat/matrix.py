"""What the page of clients says: one row for each thing that a published client can be asked, judged by what its driver saw.

What was last seen is `docs/reference/compatibility.json`; the tests of each client hold it to what they see, and
`CODEWORDS_UPDATE_SNAPSHOTS=1` writes it anew, before `docs/reference/generate.py` makes the page.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

KEPT = Path(__file__).parents[2] / "docs" / "reference" / "compatibility.json"
Outcome = Literal["yes", "no", "none"]
"""It works, it does not, the client has no such thing."""
Judge = Callable[[Any], bool]


@dataclass(frozen=True)
class Row:
    """`does`: what is asked, as Markdown. `step` and `node` name the steps of the drivers, and what is right there; `note`:
    why it does not work in some clients, and what to do instead."""

    does: str
    step: str | None
    right: Judge
    node: str | None = None
    node_right: Judge | None = None
    note: str = ""


def _greets(seen: Any) -> bool:
    return seen["json"]["message"] == "Hello Ada!" and seen["status"] == 200


def _uploads(seen: Any) -> bool:
    return seen["size"] > 0


def _raised(status: int) -> Judge:
    return lambda seen: seen["status"] == status and bool(seen["raised"])


def _record(seen: Any) -> bool:
    return seen["responseStatus"] == 200


ROWS = (
    Row(
        "the address is taken from `CODEWORDS_RUNTIME_URI`",
        "address",
        lambda seen: seen == {"named": True},
        note="Reads `RUNTIME_URI` only, and without it asks the public host, with your key. Set both, or pass `base_url`. "
        "In a workflow both are set.",
    ),
    Row("`run`", "run", _greets, "run", lambda seen: seen == {"message": "Hello Ada!"}),
    Row(
        "`run` with `path=`, and its query (npm: `queryParams`)",
        "run_with_marks",
        lambda seen: seen["json"]["x-correlation-id"] == "chain-1",
        "run_path_with_query",
        lambda seen: seen == {"name": "Ada", "page": 2},
    ),
    Row("`run` with `correlation_id=`, `run_as_template=`", "run_with_marks", lambda seen: bool(seen["json"])),
    Row("`run` with `method=`", "get", lambda seen: seen == {"pong": True}),
    Row(
        "`run(print_logs=True)`",
        "print_logs",
        lambda seen: seen == {"message": "Hello Ada, at last!"},
    ),
    Row("a workflow's own error raises with its status", "refused", _raised(422), "refused", _raised(422)),
    Row("an unknown workflow raises 404", "unknown", _raised(404)),
    Row(
        "`provision_request`, then `run(request_id=)`",
        "provisioned",
        lambda seen: seen["answered_as"] == seen["request_id"],
        "provisioned",
        lambda seen: seen["answer"] == {"message": "Hello Ada!"},
    ),
    Row(
        "`get_request_details`",
        "provisioned",
        lambda seen: _record(seen["details"]),
        "provisioned",
        lambda seen: _record(seen["details"]),
    ),
    Row(
        "`run(in_background=True)`, its `result()` (npm: `runAsync`, `pollResult`)",
        "background",
        _greets,
        "background",
        lambda seen: _record(seen["record"]),
    ),
    Row("its `details()`", "background", lambda seen: seen["details"]["id"] == seen["request_id"]),
    Row("`poll_result`", "poll_result", _greets),
    Row(
        "`start_service`",
        "start_service",
        _greets,
        note="It gets an id and never starts the run, so that its result does not come. Use `run(…, in_background=True)`.",
    ),
    Row(
        "`get_logs`, and the handle's `logs()`, live (npm: `streamLogs`)",
        "live_logs",
        lambda seen: [one for one in seen["messages"] if str(one).startswith("step")] == [f"step {n}" for n in range(3)],
        "live_logs",
        lambda seen: [one for one in seen if one.startswith("step")] == [f"step {n}" for n in range(3)],
    ),
    Row(
        "`stream_logs`",
        "stream_logs",
        lambda seen: "greeting Ada" in seen,
        note="It fails in the client's own code, whatever the server. Use `get_logs`, which streams too.",
    ),
    Row("`upload_file`", "upload_file", _uploads),
    Row(
        "`upload_file_content` (npm: `uploadFileAndGetUrl`)",
        "upload_content",
        _uploads,
        "upload",
        lambda seen: seen["text"] == "some bytes",
    ),
    Row("`create_file_upload`", "create_file_upload", lambda seen: {"upload_uri", "download_uri"} <= set(seen)),
    Row(
        "a streamed answer, event by event (npm: `runServiceStream`)",
        None,
        bool,
        "stream",
        lambda seen: len(seen) == 3,
    ),
)  # fmt: skip


def judged(steps: dict[str, Any], *, node: bool = False) -> dict[str, Outcome]:
    """The outcome of each row, by what a driver saw."""
    return {row.does: _judged(row, steps, node=node) for row in ROWS}


def _judged(row: Row, steps: dict[str, Any], *, node: bool) -> Outcome:
    step, right = (row.node, row.node_right) if node else (row.step, row.right)
    if step is None or right is None:
        return "none"
    seen = steps[step]
    if isinstance(seen, str) and seen.startswith("no "):
        return "none"
    try:
        return "yes" if right(seen) else "no"
    except (KeyError, TypeError):  # the step raised, or its answer is another one
        return "no"


def kept(client: str, seen: dict[str, Outcome]) -> dict[str, Outcome]:
    """What the page says of this client; written first where snapshots are renewed."""
    told: dict[str, dict[str, Outcome]] = (
        json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    )
    if os.environ.get("CODEWORDS_UPDATE_SNAPSHOTS") == "1":
        told[client] = seen
        KEPT.write_text(json.dumps(dict(sorted(told.items())), indent=1) + "\n", encoding="utf-8")
    return told[client]
