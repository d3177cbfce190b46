"""The headers that pass between caller, runtime and workflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.recording.trace_context import (
    TRACE_PARENT,
    TRACE_STATE,
    parse_trace_parent,
)

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Credentials for the runtime; `cookie` too, since all workflows share the runtime's origin.
AUTH = frozenset({b"authorization", b"x-api-key", b"x-codewords-api-key", b"x-goog-api-key", b"cookie"})
_OWN = frozenset({b"authorization", b"cookie"})
"""Credentials that a workflow made itself, where it has an origin of its own."""
OURS = frozenset(
    {
        b"x-request-id",
        b"x-correlation-id",
        b"codewords-caller-id",
        b"x-scheduled-request-id",
        b"x-provisioned-request-id",
        b"idempotency-key",
        b"codewords-priority",
        b"codewords-delay",
        b"codewords-dry-run",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"forwarded",
        b"expect",
        b"error-origin",
        TRACE_PARENT,
    }
)

Headers = list[tuple[bytes, bytes]]
MAX_HEADERS, MAX_HEADER_CHARS = 50, 16384
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_FIXED = frozenset({b"content-length", b"host"})


def with_headers(headers: Headers, more: Mapping[str, str]) -> Headers:
    """Add headers that a caller gives by name, which replace those of the same name.

    Raises InvalidInput for names and values that no header can have, and for those that belong to the connection.
    """
    if (
        len(more) > MAX_HEADERS
        or sum(len(name) + len(value) for name, value in more.items()) > MAX_HEADER_CHARS
    ):
        raise InvalidInput(
            f"`headers` may be {MAX_HEADERS} at most, with {MAX_HEADER_CHARS} characters together."
        )
    added: dict[bytes, bytes] = {}
    for name, value in more.items():
        if not _NAME.fullmatch(name) or not value.isprintable() or not value.isascii():
            raise InvalidInput("`headers` must have names and values of printable ASCII text.")
        key = name.lower().encode()
        if key in HOP_BY_HOP or key in _FIXED:
            raise InvalidInput(f"The header {name} belongs to the connection, so it can't be given.")
        added[key] = value.encode()
    return [*((name, value) for name, value in headers if name not in added), *added.items()]


def target_of(request: RunRequest) -> bytes:
    """The target of the request line to the workflow: path and query."""
    # Characters that a path may have as they are; `%` among them, since what came encoded stays so.
    target = quote(request.path, safe="/%:@!$&'()*+,;=~-._").encode()
    if request.query:
        target += b"?" + request.query
    return target


def value_of(headers: Headers, name: bytes) -> str | None:
    """The first value of a lower-case name, as text."""
    for found, value in headers:
        if found == name:
            return value.decode("latin-1")
    return None


def to_workflow(
    headers: Headers,
    *,
    run_id: str,
    correlation_id: str,
    caller_id: str,
    plain: bool,
    trace_parent: str,
    schedule_id: str | None = None,
    own_origin: bool = False,
) -> Headers:
    """The caller's headers without hop-by-hop and auth, with ours. `plain` asks for an uncompressed answer, which
    is what secrets can be scrubbed from. `trace_parent` names the run's own span. `own_origin`: cookies are the workflow's.
    """
    auth = AUTH - _OWN if own_origin else AUTH
    dropped = HOP_BY_HOP | auth | OURS | _named_by_connection(headers)
    # A state belongs to the trace that came with it.
    if parse_trace_parent(value_of(headers, TRACE_PARENT)) is None:
        dropped |= {TRACE_STATE}
    passed = [(n, v) for n, v in headers if n not in dropped and not (plain and n == b"accept-encoding")]
    return [
        *passed,
        (b"x-request-id", run_id.encode()),
        (b"x-correlation-id", correlation_id.encode("latin-1", "replace")),
        (b"codewords-caller-id", caller_id.encode("latin-1", "replace")),
        (b"x-forwarded-for", b"127.0.0.1"),
        (TRACE_PARENT, trace_parent.encode()),
        *([(b"x-scheduled-request-id", schedule_id.encode())] if schedule_id else []),
    ]


def to_caller(headers: Headers, *, run_id: str, keep_length: bool, failed: bool) -> Headers:
    """The workflow's headers without hop-by-hop, with the run's id; an error is marked as the service's."""
    dropped = (
        HOP_BY_HOP
        | {b"x-request-id", b"error-origin"}
        | (frozenset[bytes]() if keep_length else {b"content-length"})
    )
    passed = [(n.lower(), v) for n, v in headers if n.lower() not in dropped]
    passed.append((b"x-request-id", run_id.encode()))
    if failed:
        passed.append((b"error-origin", b"service"))
    return passed


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    return frozenset(t.strip().lower() for n, v in headers if n == b"connection" for t in v.split(b","))
