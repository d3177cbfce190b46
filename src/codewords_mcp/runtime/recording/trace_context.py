"""W3C Trace Context: the trace that a run belongs to, and the ids of its spans.

Ids are derived from the run's own id, so that each process finds the same ones without asking another.
https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import Final

TRACE_PARENT: Final = b"traceparent"
TRACE_STATE: Final = b"tracestate"
RUN_SPAN: Final = "run"
_SAMPLED: Final = 1
_TRACE_PARENT: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace, which later spans belong to. Ids are lower-case hexadecimal."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def header(self) -> str:
        """The value of a `traceparent` header."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def parse_trace_parent(text: str | None) -> TraceContext | None:
    """The context of a `traceparent` header; None for an invalid one, which counts as absent."""
    found = _TRACE_PARENT.fullmatch(text.strip(" \t")) if text else None
    if found is None or found["version"] == "ff":
        return None
    # Only a later version of the format may have more fields.
    if found["version"] == "00" and found["more"]:
        return None
    if not int(found["trace"], 16) or not int(found["span"], 16):
        return None
    return TraceContext(found["trace"], found["span"], bool(int(found["flags"], 16) & _SAMPLED))


def context_of_run(run_id: str, trace_parent: str | None) -> TraceContext:
    """The context of a run's own span, in its caller's trace or in one of its own."""
    parent = parse_trace_parent(trace_parent)
    if parent is not None:
        return TraceContext(parent.trace_id, span_id(run_id, RUN_SPAN), parent.sampled)
    return TraceContext(_trace_id(run_id), span_id(run_id, RUN_SPAN))


def span_id(run_id: str, name: str) -> str:
    """The id of a run's span with this name, 16 hexadecimal digits."""
    digest = hashlib.sha256(f"{run_id}/{name}".encode()).hexdigest()[:16]
    # 0 is no id.
    if int(digest, 16):
        return digest
    return "0000000000000001"


def _trace_id(run_id: str) -> str:
    try:
        # As long and as random as a trace id.
        return uuid.UUID(run_id).hex
    except ValueError:
        return hashlib.sha256(run_id.encode()).hexdigest()[:32]
