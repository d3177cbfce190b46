"""Names the operation of each message for the audit trail, and records how a tool's call ended."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

from codewords_mcp.common.instruments import OTHER
from codewords_mcp.errors import CodewordsError
from codewords_mcp.mcp_server.context import CALLER_KEY, RequestContext
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.model.audit import CURRENT, REFUSED_CODES, AuditedOperation, AuditOutcome
from codewords_mcp.runtime.model.caller import Caller

_NAMED: Final = (
    "workflow_id", "service_id", "draft_id", "run_id", "schedule_id", "trigger_id", "name", "app", "template_id",
)  # fmt: skip
"""Arguments that an entry names."""
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
        self.operation = AuditedOperation(
            "mcp",
            name=f"tool {name}" if name else ctx.method,
            address=scope["client"][0] if scope.get("client") else "",
            agent=_host_of(ctx, scope),
            caller=caller if isinstance(caller, Caller) else None,
            writes=self._is_call and (rule is None or rule.effect == "writes"),
            target=_target(params) if self._is_call else "",
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


def _target(params: Mapping[str, Any]) -> str:
    arguments = params.get("arguments")
    if not isinstance(arguments, dict):
        return ""
    values = cast("dict[str, Any]", arguments)
    found = [value for name in _NAMED if isinstance(value := values.get(name), str) and len(value) <= 80]
    return "/".join(found)


def _code_of(result: Mapping[str, Any]) -> str:
    """The code of a failed call's error, "" of one that succeeded. `result` is as the SDK serialized it."""
    match result:
        case {"isError": True, "_meta": {"codewords/error": {"code": str() as code}}}:
            return code
        case {"isError": True}:
            return "failed"
        case _:
            return ""
