"""Tasks (SEP-2663): a call that takes longer than 0.5 s becomes a task that the client polls.

The server decides: a quick call gets its result directly. A task is stored before its client learns
its id, so that a restarted process or another replica can continue it. It belongs to the key or token
of its caller.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, cast

from mcp.server.context import HandlerResult
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp_types import (
    HEADER_MISMATCH,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from codewords_mcp.errors import NotFound
from codewords_mcp.mcp_server.context import RequestContext, caller_of, principal_of
from codewords_mcp.mcp_server.errors import to_codewords_error, to_protocol_error
from codewords_mcp.mcp_server.limits import ServerLimits
from codewords_mcp.mcp_server.task_session import TaskSession
from codewords_mcp.runtime.api.tasks import TTL, TaskRecord, TaskStore

TASKS = "io.modelcontextprotocol/tasks"
POLL_INTERVAL = 1.0
"""Seconds that a client should wait between two polls."""
TaskSupport = Literal["never", "optional", "required"]


class TaskParams(RequestParams):
    """Names a task."""

    task_id: str


class UpdateParams(TaskParams):
    """Input responses, by the key of their request."""

    input_responses: dict[str, Any]


class LongTool(Protocol):
    """A tool's properties for tasks. `retryable`: the tool may be called again with the same arguments."""

    name: str
    task: TaskSupport
    retryable: bool


Call = Callable[
    [RequestContext, CallToolRequestParams, Any], Coroutine[Any, Any, CallToolResult | InputRequiredResult]
]


class _Running:
    """A tool call that runs in this process."""

    def __init__(self, store: TaskStore, session: TaskSession) -> None:
        self.store = store
        self.session = session
        self.stored = False
        """Whether it is stored as a task; before that, it is a plain call."""
        self.input_requests: dict[str, Any] = {}
        self.responses: dict[str, Any] = {}
        self.all_answered = asyncio.Event()
        self.work: asyncio.Task[CallToolResult | InputRequiredResult]
        self.supervisor: asyncio.Task[None]

    def take(self, responses: Mapping[str, Any]) -> None:
        """Store input responses; after the last one the tool continues."""
        self.responses |= {key: value for key, value in responses.items() if key in self.input_requests}
        if self.input_requests.keys() <= self.responses.keys():
            self.all_answered.set()

    @property
    def open_requests(self) -> dict[str, Any]:
        """Return the input requests without a response."""
        return {key: request for key, request in self.input_requests.items() if key not in self.responses}


class Tasks(Extension):
    """The tasks extension: three methods, and the promotion of tool calls to tasks."""

    identifier = TASKS

    def __init__(
        self, find: Callable[[RequestContext, str], Awaitable[LongTool]], call: Call, limits: ServerLimits
    ) -> None:
        self._find_tool = find
        self._call = call
        self._limits = limits
        self._running: dict[str, _Running] = {}
        self._heartbeat_task: asyncio.Task[None] | None = None

    def methods(self) -> Sequence[MethodBinding]:
        """Return `tasks/get`, `tasks/update` and `tasks/cancel`, from protocol 2026-07-28 on."""
        versions = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [
            MethodBinding("tasks/get", TaskParams, self._get, versions),
            MethodBinding("tasks/update", UpdateParams, self._update, versions),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, versions),
        ]

    async def call(self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool) -> HandlerResult:
        """Run a call; promote it to a task if it takes longer and the client supports tasks."""
        declared = _declares_tasks(ctx)
        if tool.task == "required" and not declared:
            require_client_extension(ctx, TASKS)
        # Beyond the limit a call still works: its client waits for it.
        if tool.task == "never" or not declared or len(self._running) >= self._limits.max_tasks:
            return await self._call(ctx, params, tool)

        running = self._start(ctx, params, tool, self._store(ctx).new_id())
        try:
            # `wait` leaves the work running where its time is over, which `wait_for` would cancel.
            await asyncio.wait({running.work}, timeout=self._limits.immediate_timeout)
        except asyncio.CancelledError:
            running.work.cancel()
            raise

        if running.work.done():
            return running.work.result()

        return await self._promote(ctx, params, tool, running)

    def _start(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool, task_id: str
    ) -> _Running:
        # From the start, also while the call may still be answered directly: it can't be
        # exchanged later.
        session = TaskSession(task_id, ctx.session.client_capabilities)
        running = _Running(self._store(ctx), session)
        # A task of its own, which goes on after the request has been answered.
        running.work = asyncio.create_task(self._call(_with_session(ctx, session), params, tool))
        return running

    async def _promote(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool, running: _Running
    ) -> HandlerResult:
        """Promote a running call to a task: store it first, then return its id."""
        task_id = running.session.task_id
        try:
            record = await running.store.add(
                task_id,
                principal_of(caller_of(ctx)),
                params.name,
                # Stored only where a restarted process calls the tool again with them.
                (params.arguments or {}) if tool.retryable else {},
            )
        except BaseException:
            # The client has neither a result nor an id, so nobody would learn of the work.
            running.work.cancel()
            raise

        self._follow(ctx, params, tool, running)
        return {"resultType": "task", **_task_fields(record, running)}

    def _follow(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool, running: _Running
    ) -> None:
        running.stored = True
        self._running[running.session.task_id] = running
        running.supervisor = asyncio.create_task(self._supervise(ctx, params, tool, running))
        if self._heartbeat_task is None or self._heartbeat_task.done():
            self._heartbeat_task = asyncio.create_task(self._heartbeat(running.store))

    async def _supervise(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool, running: _Running
    ) -> None:
        task_id, store = running.session.task_id, running.store
        try:
            for number in range(1, 100):
                result = await running.work
                if not isinstance(result, InputRequiredResult):
                    await store.change(
                        task_id, "completed", message=running.session.message, outcome=_dump(result)
                    )
                    return

                params = await self._ask(running, params, result, number)
                running.work = asyncio.create_task(
                    self._call(_with_session(ctx, running.session), params, tool)
                )
        except asyncio.CancelledError:
            running.work.cancel()
            # Ended before the status says so: a client may call the tool again at once.
            await asyncio.wait({running.work})
            # Another process goes on with a task that is left behind.
            if not running.session.leaving:
                await store.change(task_id, "cancelled")
        except MCPError as error:
            await store.change(task_id, "failed", outcome=_dump(error.error))
        except Exception as error:  # noqa: BLE001  # the boundary: nobody awaits this
            protocol_error = to_protocol_error(to_codewords_error(error, params.name))
            await store.change(task_id, "failed", outcome=_dump(protocol_error.error))
        finally:
            self._running.pop(task_id, None)

    async def _ask(
        self, running: _Running, params: CallToolRequestParams, question: InputRequiredResult, number: int
    ) -> CallToolRequestParams:
        """Wait for the input responses; return the next call's parameters with them.

        Keys are new in each round, so that a late response can't be taken for another question's.
        """
        requests = question.input_requests or {}
        names = {f"{number}.{key}": key for key in requests}
        running.responses = {}
        running.input_requests = {name: _dump(requests[key]) for name, key in names.items()}
        running.all_answered.clear()
        task_id = running.session.task_id
        # On record before the wait: the responses may come to another replica.
        await running.store.change(task_id, "input_required", asks=running.input_requests)
        if running.input_requests:
            await running.all_answered.wait()
        responses = {names[name]: value for name, value in running.responses.items()}
        running.input_requests = {}
        await running.store.change(task_id, "working", message=running.session.message)
        plain = params.model_dump(by_alias=True, exclude_none=True, mode="json")
        plain |= {"inputResponses": responses, "requestState": question.request_state}

        return CallToolRequestParams.model_validate(
            {key: value for key, value in plain.items() if value is not None}
        )

    async def _heartbeat(self, store: TaskStore) -> None:
        """Renew the tasks of this process, and take cancellations and responses sent to other replicas."""
        while self._running:
            await asyncio.sleep(self._limits.heartbeat_interval)
            with suppress(Exception):  # the next heartbeat retries if the store is unavailable
                cancelled, responses = await store.beat(list(self._running))
                for task_id in cancelled & self._running.keys():
                    self._running[task_id].supervisor.cancel()
                for task_id in responses.keys() & self._running.keys():
                    self._running[task_id].take(responses[task_id])

    async def _get(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        record, running = await self._find(ctx, params.task_id)
        # Tasks are recovered when somebody asks for them; a task that nobody polls interests
        # nobody.
        if record.abandoned:
            record, running = await self._continue(ctx, record)
        fields = _task_fields(record, running)
        if record.status == "completed":
            fields["result"] = record.outcome
        elif record.status == "failed":
            fields["error"] = record.outcome
        elif record.status == "input_required":
            fields["inputRequests"] = running.open_requests if running else record.asks

        return {"resultType": "complete", **fields}

    async def _update(self, ctx: RequestContext, params: UpdateParams) -> HandlerResult:
        record, running = await self._find(ctx, params.task_id)
        if running is not None:
            running.take(params.input_responses)
        elif record.is_open:
            await self._store(ctx).answer(
                params.task_id, principal_of(caller_of(ctx)), params.input_responses
            )
        return {"resultType": "complete"}

    async def _cancel(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        record, running = await self._find(ctx, params.task_id)
        if running is not None:
            running.supervisor.cancel()
        elif record.is_open:
            await self._store(ctx).ask_cancel(params.task_id)
        return {"resultType": "complete"}

    async def _find(self, ctx: RequestContext, task_id: str) -> tuple[TaskRecord, _Running | None]:
        require_client_extension(ctx, TASKS)
        headers = getattr(ctx.request, "headers", None)
        # The protocol repeats the id in a header, and a proxy may have judged the request by it:
        # both have to agree.
        if headers is not None and headers.get("mcp-name") != task_id:
            raise MCPError(HEADER_MISMATCH, "The header Mcp-Name is not the task's id.")
        record = await self._store(ctx).get(task_id, principal_of(caller_of(ctx)))
        # Checks the tool again: this connection may be more restricted than the one that began the
        # task. The result of a tool that is no longer published stays readable.
        with suppress(NotFound):
            await self._find_tool(ctx, record.tool)
        return record, self._running.get(task_id)

    async def _continue(self, ctx: RequestContext, record: TaskRecord) -> tuple[TaskRecord, _Running | None]:
        """Continue a task of a process that is gone, on the first replica that gets a request for it."""
        store, principal = self._store(ctx), principal_of(caller_of(ctx))
        tool = await self._find_tool(ctx, record.tool)
        if await store.take_over(record.id, principal):
            if tool.retryable:
                params = CallToolRequestParams(name=record.tool, arguments=record.arguments)
                self._follow(ctx, params, tool, self._start(ctx, params, tool, record.id))
            else:
                await store.change(record.id, "completed", outcome=_dump(_interrupted(record.tool)))
        return await store.get(record.id, principal), self._running.get(record.id)

    @staticmethod
    def _store(ctx: RequestContext) -> TaskStore:
        return ctx.lifespan_context.runtime.tasks

    async def aclose(self) -> None:
        """Leave running tasks to the next process, and wait until they have stopped here."""
        all_running = list(self._running.values())
        for running in all_running:
            running.session.leaving = True
            running.supervisor.cancel()
        await asyncio.gather(*(running.supervisor for running in all_running), return_exceptions=True)
        if self._heartbeat_task is not None:
            self._heartbeat_task.cancel()
        if all_running:
            # Only now: others take the tasks over at once, and must not work beside this process.
            await all_running[0].store.leave()


def _declares_tasks(ctx: RequestContext) -> bool:
    can = ctx.session.client_capabilities
    return bool(
        ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        and can
        and can.extensions
        and TASKS in can.extensions
    )


def _with_session(ctx: RequestContext, session: TaskSession) -> RequestContext:
    return dataclasses.replace(ctx, session=cast("Any", session))


def _dump(model: Any) -> dict[str, Any]:
    plain = model.model_dump(by_alias=True, mode="json", exclude_none=True)
    if isinstance(model, CallToolResult):
        return {"resultType": "complete"} | plain
    return plain


def _task_fields(record: TaskRecord, running: _Running | None) -> dict[str, Any]:
    if running and record.is_open:
        message = running.session.message
    else:
        message = record.message

    fields = {
        "taskId": record.id,
        "status": record.status,
        "createdAt": _iso_time(record.created_at),
        "lastUpdatedAt": _iso_time(record.updated_at),
        "ttlMs": int(TTL * 1000),
        "pollIntervalMs": int(POLL_INTERVAL * 1000),
    }
    if message:
        fields["statusMessage"] = message
    return fields


def _iso_time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _interrupted(tool: str) -> CallToolResult:
    text = (
        f"interrupted: The runtime was restarted while {tool} was under way, and it is not begun again by itself, "
        "since it may have been carried out.\nLook what is there, then call it again."
    )
    return CallToolResult.model_validate({"content": [{"type": "text", "text": text}], "isError": True})
