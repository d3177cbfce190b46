"""What a run came to, as its record has it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from codewords_mcp.errors import CodewordsError, RunCancelled, RunInterrupted, RunTimedOut
from codewords_mcp.runtime.models import RunError
from codewords_mcp.runtime.runs.request_headers import Headers, value_of


@dataclass(slots=True)
class Answer:
    """Status and headers of the workflow's own answer."""

    status: int
    headers: Headers


@dataclass(slots=True)
class Kept:
    """The beginning of a response body, for the record."""

    room: int
    data: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def add(self, chunk: bytes) -> None:
        """Keep what fits."""
        free = self.room - len(self.data)
        self.data += chunk[:free]
        self.truncated = self.truncated or len(chunk) > free


def response_record(answer: Answer | None, kept: Kept) -> dict[str, Any]:
    """The record's columns of the answer; none where there was none."""
    if answer is None:
        return {}
    data = bytes(kept.data)
    content: str | None = None
    with suppress(UnicodeDecodeError):
        content = data.decode()
    if content is None and kept.truncated:
        content = data.decode("utf-8", "ignore")
    parsed: Any = None
    if content and not kept.truncated and "json" in (value_of(answer.headers, b"content-type") or ""):
        with suppress(ValueError):
            parsed = json.loads(content)
    return {
        "response_status": answer.status,
        "response_content": None
        if content is None
        else content.replace("\x00", "\ufffd"),  # PostgreSQL takes none
        "response_json": parsed,
        "response_truncated": kept.truncated,
    }


def final_status(error: CodewordsError | None, answer: Answer | None) -> str:
    """The status of a run that ended so."""
    if isinstance(error, RunTimedOut):
        return "timed_out"
    if isinstance(error, RunCancelled):
        return "cancelled"
    if isinstance(error, RunInterrupted):
        return "interrupted"
    return "succeeded" if error is None and answer is not None and 200 <= answer.status < 300 else "failed"


def error_record(error: CodewordsError | None, answer: Answer | None) -> dict[str, Any] | None:
    """The record's `error`, None for a run that succeeded."""
    if error is not None:
        return RunError(
            code=error.code, message=error.message, origin=error.origin, hint=error.hint
        ).model_dump()
    if answer is not None and not 200 <= answer.status < 300:
        return RunError(
            code="workflow_answered_error",
            message=f"The workflow answered {answer.status}.",
            origin="service",
        ).model_dump()
    return None
