"""Names the operation of each message for the audit trail, and records how a tool's call ended."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

from codewords_mcp.common.instruments import OTHER
from codewords_mcp.errors import CodewordsError
from codewords_mcp.mcp_server.context import CALLER_KEY, RequestContext
from codewords_mcp.runtime.audit.subjects import SUBJECT_KINDS
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.model.audit import (
    CURRENT,
    REFUSED_CODES,
    AuditedOperation,
    AuditOutcome,
    Subject,
)
from codewords_mcp.runtime.model.caller import Caller

_CALL: Final = "tools/call"


class CallRecord:
    """The operation of one message. `result` is set once the tool has answered."""

    def __init__(self, ctx: RequestContext) -> None:
        self._ctx = ctx
        params = cast("Mapping[str, Any]", ctx.params or {})
        self._is_call = ctx.method == _CALL
        scope = _scope_of(ctx)
        state = ctx.lifespan_context
        caller = scope.get(CALLER_KEY) if ctx.request is not None else state.caller
        name = str(params.get("name", "")) if self._is_call else ""
        rule = TABLE.find("tool", name)
        self._began = time.perf_counter()
        # Published tools have names that their owners chose.
        self._label = name if rule is not None else OTHER
        if rule is not None:
            shown = f"tool {name}"
        else:
            shown = "tool"
        self.operation = AuditedOperation(
            "mcp",
            name=shown if self._is_call else ctx.method,
            address=scope["client"][0] if scope.get("client") else "",
            agent=_host_of(ctx, scope),
            caller=caller if isinstance(caller, Caller) else None,
            writes=self._is_call and (rule is None or rule.effect == "writes"),
            subject=_subject(params, known=rule is not None),
        )
        self.result: Mapping[str, Any] = {}

    def finish(self, failure: BaseException | None) -> None:
        """Count the message, and record a call unless its own changes tell it."""
        measures = self._ctx.lifespan_context.runtime.metrics.measures
        method = self._ctx.method
        measures.mcp_messages.add(method if TABLE.find("method", method) is not None else OTHER)
        if not self._is_call:
            return
        if isinstance(failure, CodewordsError):
            error = failure.code
        elif failure is not None:
            error = "interrupted"
        elif "content" not in self.result:
            # A question to a person, or a task: the call that answers or ends it is recorded.
            measures.tool_calls.add(self._label, "asked")
            return
        else:
            error = _code_of(self.result)

        outcome: AuditOutcome = "failed" if error else "done"
        if error in REFUSED_CODES:
            outcome = "refused"
        measures.tool_calls.add(self._label, outcome)
        measures.tool_seconds.observe(time.perf_counter() - self._began)
        caller = self.operation.caller
        if caller is not None and caller.kind == "run":
            return
        self._ctx.lifespan_context.runtime.audit.record(self.operation, outcome, error)


@contextmanager
def audited(ctx: RequestContext) -> Generator[CallRecord]:
    """Make a message's operation the current one, and record its end."""
    record = CallRecord(ctx)
    token = CURRENT.set(record.operation)
    failure: BaseException | None = None
    try:
        yield record
    # A call that is cancelled has an entry too.
    except BaseException as error:
        failure = error
        raise
    finally:
        CURRENT.reset(token)
        record.finish(failure)


def _scope_of(ctx: RequestContext) -> Mapping[str, Any]:
    """The ASGI scope of the message's request; empty for a connection within the process."""
    if ctx.request is None:
        return {}
    return cast("Mapping[str, Any]", ctx.request.scope)


def _host_of(ctx: RequestContext, scope: Mapping[str, Any]) -> str:
    """The chat host by its own name and version, else the program that sent the request."""
    params = getattr(ctx.session, "client_params", None)  # absent in a task, which outlives its session
    if params is not None and params.client_info is not None:
        return f"{params.client_info.name}/{params.client_info.version}"
    for name, value in scope.get("headers", ()):
        if name == b"user-agent":
            return value.decode("latin-1")
    return ""


def name_published(tool: str) -> None:
    """Name the current operation after a published tool, once it is found: until then its name is a caller's text."""
    if (operation := CURRENT.get()) is not None and operation.subject[:1] == (("tool", tool),):
        operation.name, operation.subject = f"tool {tool}", operation.subject[1:]


def _subject(params: Mapping[str, Any], *, known: bool) -> Subject:
    """The things that a call names. `known`: its tool is a built-in one."""
    named: list[tuple[str, str]] = []
    if isinstance(tool := params.get("name"), str) and not known:
        named.append(("tool", tool))
    arguments = params.get("arguments")
    if isinstance(arguments, dict):
        values = cast("dict[str, Any]", arguments)
        named += [(kind, value) for kind in SUBJECT_KINDS if isinstance(value := values.get(kind), str)]
    return tuple(named)


def _code_of(result: Mapping[str, Any]) -> str:
    """The code of a failed call's error, "" of one that succeeded. `result` is as the SDK serialized it."""
    match result:
        case {"isError": True, "_meta": {"codewords/error": {"code": str() as code}}}:
            return code
        case {"isError": True}:
            return "failed"
        case _:
            return ""
