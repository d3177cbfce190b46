"""A run as a person reads it: its request, its response, the reason of a failure, and the next command."""

from __future__ import annotations

import json
import shlex
from typing import Any

from codewords_mcp.cli import _output
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._remedies import worded
from codewords_mcp.cli._times import localized, to_second
from codewords_mcp.runtime.model.file_problems import file_problem
from codewords_mcp.runtime.model.status_words import status_words

STYLES = {
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "cancelled": "yellow",
    "interrupted": "yellow",
}
_SHOWN = 2_000
"""Characters of an input or answer; the rest is counted."""


def print_run(record: Json, found: Json) -> None:
    """The record, and the answer of `/runs/ID/diagnosis`."""
    why: Json = found.get("diagnosis") or {}
    if record.get("responseStatus"):
        answered = [f"HTTP {record['responseStatus']}"]
    else:
        answered = []

    status = str(record["status"])
    head = ", ".join(
        [
            f"{record['id']}  {status_words(status, record.get('waitsFor'))}",
            *answered,
            *filter(None, [seconds(record)]),
        ]
    )
    _output.line(head, STYLES.get(status, ""))
    error: Json = record.get("error") or {}
    facts = {
        "workflow": f"{record.get('serviceId') or ''} version {record.get('version') or '-'}",
        "mode": _mode(record),
        "created": to_second(record["createdAt"]),
        "asked": request_summary(record),
        "step": why.get("step"),
        "error": why.get("error") or error.get("message"),
        "at": "\n".join(why.get("at") or []),
        "code": why.get("around"),
        "since": why.get("since") and localized(why["since"]),
        "fix": worded(why.get("fix"), found.get("remedy")) or worded(error.get("hint"), error.get("remedy")),
        "answer": None if why.get("at") or record.get("responseFile") else answer(record),
        "file": file(record),
        "reached": reached(record),
        "refused": "\n".join(found.get("refused") or []),
    }

    for label, text in facts.items():
        if text:
            _output.labelled("", "red" if label == "error" else "", label, str(text))

    for line in next_commands(record, found):
        _output.note(line, whole=True)


def _mode(record: Json) -> str:
    """The words for a run that is none of the ordinary ones."""
    if record.get("mode") == "dry_run":
        return "dry run: what it would write was held"
    if record.get("mode") == "apply":
        return f"sends what the dry run {record.get('modeOf')} held"
    return ""


def seconds(record: Json) -> str:
    """Format the duration of a run; `…` while it runs."""
    from datetime import datetime

    start, end = record.get("startedAt"), record.get("completedAt")
    if not start or not end:
        # A run that was cancelled in the queue has ended without having started.
        if record["status"] in STYLES:
            return ""
        return "…"
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds():.2f} s"


def request_summary(record: Json) -> str:
    """`POST /path {"its": "input"}`; of an older run nothing."""
    if not record.get("requestMethod"):
        return ""

    content, size = record.get("requestContent"), record.get("requestBytes") or 0
    if content is None:
        content = f"({size} bytes, not kept)" if size else ""
    if record.get("requestTruncated"):
        more = f" … of {size} bytes"
    else:
        more = ""

    return _cut(f"{record['requestMethod']} {record['requestPath']} {content}".rstrip()) + more


def answer(record: Json) -> str:
    """Return the stored response as text."""
    value = record.get("responseJson")
    if value is None:
        text = record.get("responseContent")
    else:
        text = json.dumps(value, ensure_ascii=False)
    if text:
        return _cut(str(text))
    return ""


def file(record: Json) -> str:
    """The link, type and size of a binary answer, or why there is no link."""
    found: Json | None = record.get("responseFile")
    if not found:
        return ""
    link = found["downloadUri"] or file_problem(found["problem"])
    return f"{found['contentType']}, {found['size']:,} bytes: {link}"


def _cut(text: str) -> str:
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]} … {len(text) - _SHOWN} characters more: --json"


def reached(record: Json) -> str:
    """`host:port (3 times)` of each destination that the run's policy allowed."""
    found: list[Json] = record["usage"].get("egress", {}).get("reached", [])
    return "\n".join(
        f"{destination['host']}:{destination['port']}"
        + (f" ({destination['count']} times)" if destination["count"] > 1 else "")
        for destination in found
        if destination["allowed"]
    )


def next_commands(record: Json, found: Json) -> list[str]:
    """Return commands that a person may want to type next."""
    step = found.get("next_step")
    run, workflow = record["id"], shlex.quote(str(record.get("serviceId")))
    if step == "wait":
        return [f"Follow it: codewords logs {run} -f"]

    first = {
        "secret": f"Set it: codewords secrets set {found['secret']}" if found.get("secret") else None,
        "connect": f"Connect it: codewords integrations connect {_app(found)}" if _app(found) else None,
        "route": f"Its routes: codewords show {workflow}",
        "input": f"What it takes: codewords show {workflow}",
        "code": f"Its code: codewords show {workflow} --code; corrected: codewords deploy FILE --id {workflow}",
    }.get(step or "")
    logs = f"What it wrote: codewords logs {run}"
    return [*filter(None, [first]), logs, *filter(None, [_again(record, workflow)])]


def _app(found: Json) -> str | None:
    """The app whose account a diagnosis asks a person to connect."""
    remedy: Json = found.get("remedy") or {}
    arguments: Json = remedy.get("arguments") or {}
    if not arguments.get("app"):
        return None
    return shlex.quote(str(arguments["app"]))


def _again(record: Json, workflow: str) -> str | None:
    """The command that asks the same again; None where not all of it is known."""
    content: Any = record.get("requestContent")
    method, path = record.get("requestMethod"), str(record.get("requestPath") or "/")
    # A command that repeats a part of the input would be another request.
    if (
        record.get("mode") == "apply"
        or not method
        or record.get("requestTruncated")
        or content is None
        or len(content) > _SHOWN
    ):
        return None

    words = ["codewords run", workflow]
    if record.get("mode") == "dry_run":
        words.append("--dry-run")
    if method != "POST":
        words += ["--method", shlex.quote(str(method))]
    if path != "/":
        words += ["--path", shlex.quote(path)]
    if content:
        words += ["-i", shlex.quote(content)]
    return f"The same again: {' '.join(words)}"
