"""Format a run for tools and prompts: status, result, log, diagnosis and the next call.

Text from the workflow is bounded and fenced.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from codewords_mcp.errors.remedies import RemedyAction
from codewords_mcp.mcp_server.dry_run_format import apply_call, held_list, held_text, sent_count
from codewords_mcp.mcp_server.paging import WINDOW, TextWindow, at_path, text_window, without_base64
from codewords_mcp.mcp_server.remedies import worded
from codewords_mcp.mcp_server.text import clean, clean_json, compact, cut, fence, one_line, utc_second
from codewords_mcp.mcp_server.trace_format import trace_lines
from codewords_mcp.runtime.model.authoring import Diagnosis, refusals
from codewords_mcp.runtime.model.dry_run import DryRunInfo
from codewords_mcp.runtime.model.file_problems import file_problem
from codewords_mcp.runtime.model.log_text import is_server_line, readable
from codewords_mcp.runtime.model.media_types import is_type_of_text
from codewords_mcp.runtime.model.run import FINISHED, LogLine, Run, WaitsFor
from codewords_mcp.runtime.model.run_filter import RunTrigger, trigger_of
from codewords_mcp.runtime.model.status_words import status_words
from codewords_mcp.runtime.model.trace import RunTrace

_MAX_RESULT = 16_000
_MAX_RESULT_SHOWN = WINDOW
_MAX_INPUT, _MAX_INPUT_SHOWN = 2_000, 500
_LOG_LINE = 1_000
_MAX_REACHED = 40
_REFUSED = " (refused)"
_MAX_LOG_SHOWN = 12_000
_MAX_DIAGNOSIS_SHOWN = 2_400
_MAX_TRACE_SHOWN = 1_200
NextStep = Literal["wait", "again", "secret", "connect", "route", "input", "code"]
"""Wait for the end; run again; set a secret; connect an account; use another route; correct the input or the code."""
STARTED_BY: dict[RunTrigger, str] = {
    "schedule": "a schedule",
    "event": "an event",
    "run": "another run",
    "caller": "a call",
}
_UNFIT = 422
"""FastAPI's status for an invalid input: the input has to be corrected, not the code."""
_EMPTY = 204
_NO_TEXT = "The answer is empty, or it is not text and from before binary answers were kept as files."


class RunFailure(BaseModel):
    """The error of a run."""

    code: str
    message: str
    origin: str
    hint: str | None = None


class DiagnosisResult(BaseModel):
    """The place of a failure. `at`: the workflow's own frames, the innermost last; `around`: the code there.

    `since`: changes since the last successful run.
    """

    step: str | None = None
    error: str | None = None
    at: list[str] = []
    around: str | None = None
    input: str | None = None
    since: str | None = None
    routes: list[str] = []
    fix: str | None = None


class ResultFile(BaseModel):
    """A response as a file: a binary one, or text that is longer than the record keeps. `url` needs no key until
    `expires_at`; `problem` is why it is missing.
    """

    content_type: str
    size: int
    url: str | None = None
    expires_at: str | None = None
    problem: str | None = None


class RunResult(BaseModel):
    """A run as structured content.

    `result` is data from the workflow. Of a long one it is a window of its text; `total` is the number
    of characters, `next_offset` the next window. `asked` is the run's input. `held` is what a dry run did not send.
    """

    run_id: str
    workflow_id: str | None = None
    version: int | None = None
    status: str
    waits_for: WaitsFor | None = None
    http_status: int | None = None
    created_at: str | None = None
    started_by: RunTrigger | None = None
    seconds: float | None = None
    timings_ms: dict[str, float] = Field(default_factory=dict)
    isolation: str | None = None
    asked: str | None = None
    cost_usd: float | None = None
    result: Any = None
    result_cut: bool | None = None
    record_cut: bool | None = None
    total: int | None = None
    next_offset: int | None = None
    file: ResultFile | None = None
    error: RunFailure | None = None
    diagnosis: DiagnosisResult | None = None
    reached: list[str] = []
    refused: list[str] = []
    trace: list[str] = []
    logs: list[str] = []
    mode: str | None = None
    held: list[str] = []
    sent: int | None = None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run and its shown parts: last log lines, diagnosis, input.

    The result is shown at `path`, from `offset` on. `picture`: the bytes of a response that is shown
    as a picture. `held`: the list of a dry run. `question`: what it asks a
    person, for a model.
    """

    run: Run
    logs: list[LogLine] = field(default_factory=list[LogLine])
    diagnosis: Diagnosis | None = None
    path: str = ""
    offset: int = 0
    with_input: bool = False
    picture: bytes | None = None
    held: DryRunInfo | None = None
    trace: RunTrace | None = None
    question: str = ""


def run_result(view: RunView) -> RunResult:
    """Make the structured result of a view. Raises InvalidInput for a path that doesn't exist."""
    run, diagnosis = view.run, view.diagnosis
    result, part = _result(run, view.path, view.offset)

    if diagnosis is not None and diagnosis.frames and not view.path and not view.offset:
        # The response is the traceback, which the diagnosis has in fewer words.
        result, part = None, None

    return RunResult(
        run_id=run.id,
        workflow_id=run.service_id,
        version=run.version,
        status=run.status,
        waits_for=run.waits_for,
        http_status=run.response_status,
        created_at=run.created_at.isoformat(timespec="seconds") if view.with_input else None,
        started_by=trigger_of(run) if view.with_input else None,
        seconds=_seconds(run),
        timings_ms={name: round(value, 1) for name, value in run.timings_ms.items()},
        isolation=run.isolation,
        asked=_format_input(run) if view.with_input else None,
        cost_usd=run.usage.get("cost"),
        result=result,
        result_cut=run.response_truncated or (part is not None and part.total > _MAX_RESULT) or None,
        record_cut=run.response_truncated or None,
        total=part.total if part and not part.whole else None,
        next_offset=part.next if part else None,
        file=_file(run),
        error=_error(run),
        diagnosis=_for_model(diagnosis),
        reached=_reached(run),
        refused=[one_line(refusal, 400) for refusal in refusals(run)],
        trace=trace_lines(view.trace) if view.trace is not None else [],
        logs=_log(view.logs),
        mode=run.mode,
        held=held_list(view.held),
        sent=sent_count(view.held),
        next=apply_call(view.held) or _next_call(run, diagnosis),
    )


def _result(run: Run, path: str, offset: int) -> tuple[Any, TextWindow | None]:
    """Return the JSON result or text if it is short; else a window of it."""
    # A binary response is a link (`_file`); its bytes are nothing that a model reads.
    if run.response_file is not None and not is_type_of_text(run.response_file.content_type):
        return None, None

    value: Any = run.response_json if run.response_json is not None else run.response_content or ""
    if path:
        value = at_path(value, path)
    if not (path and isinstance(value, str)):  # a string named by its path is shown in full
        value = without_base64(value)
    part = text_window(value, offset)
    if part.total == 0:
        return None, None
    if offset == 0 and part.total <= _MAX_RESULT:
        return clean(value) if isinstance(value, str) else clean_json(value), part

    return part.text, part


def _file(run: Run) -> ResultFile | None:
    if (file := run.response_file) is None:
        return None
    return ResultFile(
        content_type=file.content_type,
        size=file.size,
        url=file.download_uri,
        expires_at=file.expires_at and file.expires_at.strftime("%Y-%m-%d %H:%M UTC"),
        problem=None if file.download_uri else file_problem(file.problem),
    )


def _format_input(run: Run) -> str | None:
    """Format a run's input: `POST /path {"its": "input"}`."""
    if run.input is None:
        return None
    content = run.input.content or (f"({run.input.bytes} bytes, not kept)" if run.input.bytes else "")
    return cut(clean(f"{run.input.method} {run.input.path} {content}".rstrip()), _MAX_INPUT)


def _seconds(run: Run) -> float | None:
    if run.started_at is None or run.completed_at is None:
        return None
    return round((run.completed_at - run.started_at).total_seconds(), 3)


def _error(run: Run) -> RunFailure | None:
    if run.error is None:
        return None
    error = run.error
    return RunFailure(
        code=error.code,
        message=one_line(error.message, 600),
        origin=error.origin,
        hint=one_line(worded(error.hint, error.remedy), 600) or None,
    )


def _reached(run: Run) -> list[str]:
    """Return `host:port` of the run's connections; refused ones are marked."""
    found: list[dict[str, Any]] = run.usage.get("egress", {}).get("reached", [])
    lines = [
        f"{address['host']}:{address['port']}{'' if address['allowed'] else _REFUSED}" for address in found
    ]
    if len(lines) > _MAX_REACHED:
        more = [f"{len(lines) - _MAX_REACHED} more"]
    else:
        more = []
    return lines[:_MAX_REACHED] + more


def diagnosis_result(diagnosis: Diagnosis | None) -> DiagnosisResult | None:
    """Return a diagnosis with text from outside cleaned and cut; None without a diagnosis."""
    if diagnosis is None:
        return None

    return DiagnosisResult(
        step=diagnosis.step,
        error=one_line(diagnosis.error or "", 200) or None,
        at=[f"line {f.line} in {f.function}: {one_line(f.text, 160)}" for f in diagnosis.frames],
        around=clean(diagnosis.around) if diagnosis.around else None,
        input=clean(diagnosis.input) if diagnosis.input else None,
        since=clean(diagnosis.since) if diagnosis.since else None,
        routes=[one_line(route, 100) for route in diagnosis.routes],
        fix=one_line(diagnosis.fix or "", 600) or None,
    )


def _for_model(diagnosis: Diagnosis | None) -> DiagnosisResult | None:
    """The diagnosis, with its remedy as a tool call."""
    if diagnosis is None:
        return None
    fix = worded(diagnosis.fix or "", diagnosis.remedy)
    return diagnosis_result(diagnosis.model_copy(update={"fix": fix}))


def _diagnosis_lines(diagnosis: DiagnosisResult) -> str:
    lines = [
        *([f"step {diagnosis.step}"] if diagnosis.step else []),
        *([diagnosis.error] if diagnosis.error else []),
        *diagnosis.at,
        *([diagnosis.around] if diagnosis.around else []),
        *([f"input: {diagnosis.input}"] if diagnosis.input else []),
        *([diagnosis.since] if diagnosis.since else []),
        *([f"routes: {', '.join(diagnosis.routes)}"] if diagnosis.routes else []),
    ]
    return "\n".join(lines)


def _log(lines: list[LogLine]) -> list[str]:
    """Return the last lines that fit, each cut, without those of the server's start and stop."""
    texts: list[str] = []
    remaining = _MAX_LOG_SHOWN

    # From the end: where a log is too long, its last lines tell why it failed.
    for line in reversed(lines):
        if is_server_line(line.stream, line.message):
            continue

        text = cut(_format_log_line(line), _LOG_LINE)
        remaining -= len(text) + 1
        if remaining < 0:
            break

        texts.append(text)

    return texts[::-1]


def _format_log_line(line: LogLine) -> str:
    """Format a log line: its stream unless stdout; of a JSON entry the message without its time."""
    text = clean(line.message)
    if entry := readable(text):
        level, message = entry
        # The level of an ordinary line tells a model nothing.
        if level in {None, "info"}:
            return message
        return f"[{level}] {message}"
    if line.stream == "stdout":
        return text
    return f"[{line.stream}] {text}"


def next_step(run: Run, diagnosis: Diagnosis | None) -> NextStep | None:
    """Return the next step; None for a failure of the platform, which has its own hint."""
    if run.status not in FINISHED:
        return "wait"
    if run.error is not None and run.error.code == "interrupted":
        return "again"
    if run.error is not None and run.error.code == "missing_credential":
        return "secret"
    # The code is not at fault where the platform failed, so no edit of it is proposed.
    if diagnosis is None or (run.error is not None and run.error.origin == "platform"):
        return None
    if diagnosis.secret:
        return "secret"
    if app_to_connect(diagnosis):
        return "connect"
    if diagnosis.routes:
        return "route"
    if run.response_status == _UNFIT:
        return "input"

    return "code"


def app_to_connect(diagnosis: Diagnosis | None) -> str | None:
    """Return the app whose account a person has to connect before the next run."""
    remedy = diagnosis.remedy if diagnosis is not None else None
    if remedy is None or remedy.action is not RemedyAction.CONNECT_INTEGRATION:
        return None
    return remedy.arguments["app"]


def secret_needed(run: Run, diagnosis: Diagnosis | None) -> str | None:
    """Return the name of the secret that has to be set before the next run."""
    if run.error is not None and run.error.code == "missing_credential":
        return run.error.remedy and run.error.remedy.secret
    if diagnosis is not None:
        return diagnosis.secret
    return None


def _next_call(run: Run, diagnosis: Diagnosis | None) -> str | None:
    workflow = f"workflow_id={json.dumps(run.service_id)}"
    secret = secret_needed(run, diagnosis)
    calls: dict[NextStep | None, str | None] = {
        None: None,
        "wait": f"get_run(run_id={json.dumps(run.id)}, wait_seconds=40)",
        "again": f"run_workflow({workflow}, input=…) again, if it may be done twice",
        "secret": f"set_secret(name={json.dumps(secret)}), then run it again" if secret else None,
        "connect": f"connect_integration(app={json.dumps(app_to_connect(diagnosis))}), then run it again",
        "route": f"run_workflow({workflow}, path=…, method=…) with one of these routes",
        "input": f"get_workflow({workflow})",
        "code": f"edit_workflow({workflow}, edits=[…])",
    }
    return calls[next_step(run, diagnosis)]


def format_run(data: RunResult) -> str:
    """Format the structured result as text."""
    parts = [_headline(data)]
    if data.error is not None:
        parts.append(
            f"{data.error.code} ({data.error.origin}): {data.error.message} {data.error.hint or ''}".rstrip()
        )

    if data.diagnosis is not None:
        if lines := _diagnosis_lines(data.diagnosis):
            parts.append(fence("Diagnosis", lines, _MAX_DIAGNOSIS_SHOWN))
        if data.diagnosis.fix:
            parts.append(f"Likely fix: {data.diagnosis.fix}")

    run_input = data.asked
    if run_input is not None and (data.diagnosis is None or data.diagnosis.input is None):
        parts.append(fence("Asked", run_input, _MAX_INPUT_SHOWN))
    parts += _result_lines(data)
    if data.refused:
        parts.append("Refused or failed connections:")
        parts += [f"- {refusal}" for refusal in data.refused]

    if data.mode in {"dry_run", "apply"}:
        parts += held_text(data.mode, data.held, data.sent)
    if data.trace:
        parts.append(fence("Trace", "\n".join(data.trace), _MAX_TRACE_SHOWN))
    if data.logs:
        parts.append(fence(f"Last {len(data.logs)} log lines", "\n".join(data.logs), _MAX_LOG_SHOWN))
    if data.next is not None:
        parts.append(f"Next: {data.next}")
    return "\n".join(parts)


def _result_lines(data: RunResult) -> list[str]:
    """Format the result as fenced data, with the call that reads the next part."""
    if (file := data.file) is not None:
        if file.url:
            link = f"{file.url} (needs no key, until {file.expires_at})"
        else:
            link = file.problem

        line = f"The answer is a file, {file.content_type}, {file.size:,} bytes: {link}"
        if data.result is None:
            return [line]
        shown = f"get_run(run_id={json.dumps(data.run_id)}, offset={data.next_offset})"
        more = (
            f" Read on: {shown}; the record has the first {data.total:,} characters."
            if data.next_offset
            else ""
        )
        return [
            line,
            fence("Its beginning", compact(data.result)[:_MAX_RESULT_SHOWN], _MAX_RESULT_SHOWN) + more,
        ]
    if data.result is None:
        if data.http_status and data.status == "succeeded" and data.http_status != _EMPTY:
            return [_NO_TEXT]
        return []

    parts = [fence("Result", compact(data.result)[:_MAX_RESULT_SHOWN], _MAX_RESULT_SHOWN)]
    if data.next_offset is not None:
        parts.append(
            f"{data.total} characters in all. Next part: get_run(run_id={json.dumps(data.run_id)}, "
            f'offset={data.next_offset}); path="items.0" reads what is there in the result.'
        )

    if data.result_cut:
        parts.append(
            "The answer was longer than a record keeps (CODEWORDS_MAX_RESPONSE_KEPT); have the workflow upload it as a file."
        )

    return parts


def _headline(data: RunResult) -> str:
    if data.seconds is not None:
        took = f" in {data.seconds:g} s"
    else:
        took = ""

    # The id of an unfinished run is in the next call.
    name = f"Run {data.run_id}" if data.status in FINISHED else "The run is"
    facts = [f"{name} {status_words(data.status, data.waits_for)}{took}"]
    if data.created_at is not None and data.started_by is not None:
        facts.append(f"started by {STARTED_BY[data.started_by]} at {utc_second(data.created_at)} UTC")
    if data.http_status is not None:
        facts.append(f"HTTP {data.http_status}")
    if data.version is not None:
        facts.append(f"version {data.version}")
    if data.isolation is not None:
        facts.append(f"isolation {data.isolation}")
    if data.cost_usd is not None:
        facts.append(f"model calls cost {data.cost_usd:.6g} USD")
    return ", ".join(facts) + "."
