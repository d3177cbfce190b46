"""Text of a run for tools and prompts: status, result, log, diagnosis and the next call.

Text from the workflow is bounded and fenced.
"""

from __future__ import annotations

import json

from codewords_mcp.mcp_server.dry_run_format import held_text
from codewords_mcp.mcp_server.paging import WINDOW
from codewords_mcp.mcp_server.run_result import MAX_LOG_SHOWN, DiagnosisResult, RunResult
from codewords_mcp.mcp_server.text import compact, fence, utc_second
from codewords_mcp.runtime.model.run import FINISHED, NOT_STORED
from codewords_mcp.runtime.model.run_filter import RunTrigger
from codewords_mcp.runtime.model.status_words import status_words

_MAX_RESULT_SHOWN = WINDOW
_MAX_INPUT_SHOWN = 500
_MAX_DIAGNOSIS_SHOWN = 2_400
_MAX_TRACE_SHOWN = 1_200
STARTED_BY: dict[RunTrigger, str] = {
    "schedule": "a schedule",
    "event": "an event",
    "webhook": "a webhook",
    "run": "another run",
    "on_failure": "a failure of another workflow",
    "caller": "a call",
}
_EMPTY = 204
_ON_NO_RECORD = "Its answer may hold a secret, so it is on no record: only a workflow that calls it gets it."
_NO_TEXT = "The answer is empty, or it is not text and from before binary answers were kept as files."


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
        parts.append(fence(f"Last {len(data.logs)} log lines", "\n".join(data.logs), MAX_LOG_SHOWN))
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
        more = ""
        if data.next_offset:
            shown = f"get_run(run_id={json.dumps(data.run_id)}, offset={data.next_offset})"
            more = f" Read on: {shown}; the record has the first {data.total:,} characters."
        return [
            line,
            fence("Its beginning", compact(data.result)[:_MAX_RESULT_SHOWN], _MAX_RESULT_SHOWN) + more,
        ]
    if data.result is None:
        if data.http_status and data.status == "succeeded" and data.http_status != _EMPTY:
            return [_NO_TEXT]
        return []

    if data.result == NOT_STORED:
        return [_ON_NO_RECORD]
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
    if data.status in FINISHED:
        name = f"Run {data.run_id}"
    else:
        name = "The run is"
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


def _diagnosis_lines(diagnosis: DiagnosisResult) -> str:
    lines = [diagnosis.error, *diagnosis.at, diagnosis.around]
    if diagnosis.step:
        lines.insert(0, f"step {diagnosis.step}")
    if diagnosis.input:
        lines.append(f"input: {diagnosis.input}")
    lines.append(diagnosis.since)
    if diagnosis.routes:
        lines.append(f"routes: {', '.join(diagnosis.routes)}")
    return "\n".join(filter(None, lines))
