"""A run as structured content of tools: its parts, bounded and cleaned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.dry_run_format import apply_call, held_list, sent_count
from codewords_mcp.mcp_server.next_step import next_call
from codewords_mcp.mcp_server.paging import TextWindow, at_path, text_window, without_base64
from codewords_mcp.mcp_server.remedies import worded
from codewords_mcp.mcp_server.text import clean, clean_json, cut, one_line
from codewords_mcp.mcp_server.trace_format import trace_lines
from codewords_mcp.runtime.model.authoring import Diagnosis, refusals
from codewords_mcp.runtime.model.dry_run import DryRunInfo
from codewords_mcp.runtime.model.file_problems import file_problem
from codewords_mcp.runtime.model.log_text import is_server_line, readable
from codewords_mcp.runtime.model.media_types import is_type_of_text
from codewords_mcp.runtime.model.run import NOT_STORED, LogLine, Run, WaitsFor
from codewords_mcp.runtime.model.run_filter import RunTrigger, trigger_of
from codewords_mcp.runtime.model.trace import RunTrace

_MAX_RESULT = 16_000
_MAX_INPUT = 2_000
_LOG_LINE = 1_000
_MAX_REACHED = 40
_REFUSED = " (refused)"
MAX_LOG_SHOWN = 12_000
"""Characters of a log."""


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
    cut_off = run.response_truncated and run.response_content != NOT_STORED

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
        result_cut=cut_off or (part is not None and part.total > _MAX_RESULT) or None,
        record_cut=cut_off or None,
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
        next=apply_call(view.held) or next_call(run, diagnosis),
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


def _log(lines: list[LogLine]) -> list[str]:
    """Return the last lines that fit, each cut, without those of the server's start and stop."""
    texts: list[str] = []
    remaining = MAX_LOG_SHOWN

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
