"""Tasks (SEP-2663): a call that takes longer than a moment becomes a task, which the client asks about as it likes.

The server decides: a call that ends at once is answered as ever. A task is in the store before its client hears of it,
so that a restart or another replica goes on with it. It belongs to who called, by their key or token.
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
    ClientCapabilities,
    InputRequiredResult,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from codewords_mcp.errors import NotFound
from codewords_mcp.mcp_server.context import RequestContext, caller_of, principal_of
from codewords_mcp.mcp_server.errors import known_or_masked, to_protocol_error
from codewords_mcp.runtime.api.tasks import TTL, TaskRecord, TaskStore

TASKS = "io.modelcontextprotocol/tasks"
IMMEDIATE_TIMEOUT = 0.5
"""Seconds within which a call is answered as if there were no tasks."""
POLL_INTERVAL = 1.0
"""Seconds that a client should wait between two questions."""
MAX_TASKS = 200
"""Tasks under way in this process; further calls are answered without one."""
TaskSupport = Literal["never", "optional", "required"]
_HEARTBEAT_INTERVAL = 2.0


class TaskParams(RequestParams):
    """Names a task."""

    task_id: str


class UpdateParams(TaskParams):
    """Answers, by the key of their question."""

    input_responses: dict[str, Any]


class LongTool(Protocol):
    """What a tool says of itself here. `again`: calling it once more with the same arguments is as good as going on."""

    name: str
    task: TaskSupport
    again: bool


Call = Callable[
    [RequestContext, CallToolRequestParams, Any], Coroutine[Any, Any, CallToolResult | InputRequiredResult]
]


class TaskSession:
    """What a tool has in place of its request's session, which may be over: progress is the task's message.

    `leaving`: the process ends and somebody else goes on, so a tool that is cancelled ends nothing else.
    """

    def __init__(self, task_id: str, capabilities: ClientCapabilities | None) -> None:
        self.task_id = task_id
        self.client_capabilities = capabilities
        self.can_send_request = False
        self.message: str | None = None
        self.leaving = False

    async def report_progress(self, _: float, __: float | None = None, message: str | None = None) -> None:
        """Keep the words; a task has no progress notifications."""
        self.message = message


def task_of(ctx: Any) -> TaskSession | None:
    """The task that a tool runs in; None in a plain call."""
    session = ctx.session
    if isinstance(session, TaskSession):
        return session
    return None


class _Running:
    """A tool at work in this process."""

    def __init__(self, book: TaskStore, session: TaskSession) -> None:
        self.book = book
        self.session = session
        self.kept = False
        """Whether it is a task already; before that, it is a call like any other."""
        self.asks: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}
        self.answered = asyncio.Event()
        self.work: asyncio.Task[CallToolResult | InputRequiredResult]
        self.keeper: asyncio.Task[None]

    def take(self, answers: Mapping[str, Any]) -> None:
        """Answers to what is asked; the last one lets the tool go on."""
        self.answers |= {key: value for key, value in answers.items() if key in self.asks}
        if self.asks.keys() <= self.answers.keys():
            self.answered.set()

    @property
    def unanswered(self) -> dict[str, Any]:
        """What is still asked."""
        return {key: ask for key, ask in self.asks.items() if key not in self.answers}


class Tasks(Extension):
    """The extension: its three methods, and how a tool call becomes a task."""

    identifier = TASKS

    def __init__(self, find: Callable[[RequestContext, str], Awaitable[LongTool]], call: Call) -> None:
        self._find_tool = find
        self._call = call
        self._running: dict[str, _Running] = {}
        self._beating: asyncio.Task[None] | None = None

    def methods(self) -> Sequence[MethodBinding]:
        """`tasks/get`, `tasks/update`, `tasks/cancel`, from 2026-07-28 on."""
        versions = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [
            MethodBinding("tasks/get", TaskParams, self._get, versions),
            MethodBinding("tasks/update", UpdateParams, self._update, versions),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, versions),
        ]

    # calls

    async def call(self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool) -> HandlerResult:
        """Answer a call, as a task where it takes longer and the client can have one."""
        declared = _declares_tasks(ctx)
        if tool.task == "required" and not declared:
            require_client_extension(ctx, TASKS)
        if tool.task == "never" or not declared or len(self._running) >= MAX_TASKS:
            return await self._call(ctx, params, tool)

        running = self._start(ctx, params, tool, self._book(ctx).new_id())
        try:
            await asyncio.wait({running.work}, timeout=IMMEDIATE_TIMEOUT)
        except asyncio.CancelledError:
            running.work.cancel()
            raise

        if running.work.done():
            return running.work.result()

        return await self._keep(ctx, params, tool, running)

    def _start(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool, task_id: str
    ) -> _Running:
        session = TaskSession(task_id, ctx.session.client_capabilities)
        running = _Running(self._book(ctx), session)
        running.work = asyncio.create_task(self._call(_with_session(ctx, session), params, tool))
        return running

    async def _keep(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool, running: _Running
    ) -> HandlerResult:
        """From now on it is a task: stored first, with what going on needs, then told."""
        task_id = running.session.task_id
        try:
            record = await running.book.add(
                task_id,
                principal_of(caller_of(ctx)),
                params.name,
                (params.arguments or {}) if tool.again else {},
            )
        except BaseException:
            running.work.cancel()
            raise

        self._follow(ctx, params, tool, running)
        return {"resultType": "task", **_task_fields(record, running)}

    def _follow(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool, running: _Running
    ) -> None:
        running.kept = True
        self._running[running.session.task_id] = running
        running.keeper = asyncio.create_task(self._to_the_end(ctx, params, tool, running))
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat(running.book))

    async def _to_the_end(
        self, ctx: RequestContext, params: CallToolRequestParams, tool: LongTool, running: _Running
    ) -> None:
        task_id, book = running.session.task_id, running.book
        try:
            for number in range(1, 100):
                result = await running.work
                if not isinstance(result, InputRequiredResult):
                    await book.change(
                        task_id, "completed", message=running.session.message, outcome=_dump(result)
                    )
                    return

                params = await self._ask(running, params, result, number)
                running.work = asyncio.create_task(
                    self._call(_with_session(ctx, running.session), params, tool)
                )
        except asyncio.CancelledError:
            running.work.cancel()
            await asyncio.wait({running.work})
            if not running.session.leaving:
                await book.change(task_id, "cancelled")
        except MCPError as error:
            await book.change(task_id, "failed", outcome=_dump(error.error))
        except Exception as error:  # noqa: BLE001  # the boundary: nobody awaits this
            protocol_error = to_protocol_error(known_or_masked(error, params.name))
            await book.change(task_id, "failed", outcome=_dump(protocol_error.error))
        finally:
            self._running.pop(task_id, None)

    async def _ask(
        self, running: _Running, params: CallToolRequestParams, question: InputRequiredResult, number: int
    ) -> CallToolRequestParams:
        """Wait for the answers; the call that gives them to the tool. Keys are new in each round."""
        requests = question.input_requests or {}
        names = {f"{number}.{key}": key for key in requests}
        running.answers = {}
        running.asks = {name: _dump(requests[key]) for name, key in names.items()}
        running.answered.clear()
        task_id = running.session.task_id
        await running.book.change(task_id, "input_required", asks=running.asks)
        if running.asks:
            await running.answered.wait()
        responses = {names[name]: value for name, value in running.answers.items()}
        running.asks = {}
        await running.book.change(task_id, "working", message=running.session.message)
        plain = params.model_dump(by_alias=True, exclude_none=True, mode="json")
        plain |= {"inputResponses": responses, "requestState": question.request_state}

        return CallToolRequestParams.model_validate(
            {key: value for key, value in plain.items() if value is not None}
        )

    async def _beat(self, book: TaskStore) -> None:
        """Say that what is here lives, and hear what other replicas were told for it."""
        while self._running:
            await asyncio.sleep(_HEARTBEAT_INTERVAL)
            with suppress(Exception):  # a store that is away for a while is the next beat's matter
                cancelled, answers = await book.beat(list(self._running))
                for task_id in cancelled & self._running.keys():
                    self._running[task_id].keeper.cancel()
                for task_id in answers.keys() & self._running.keys():
                    self._running[task_id].take(answers[task_id])

    # methods

    async def _get(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        record, running = await self._find(ctx, params.task_id)
        if record.abandoned:
            record, running = await self._go_on(ctx, record)
        fields = _task_fields(record, running)
        if record.status == "completed":
            fields["result"] = record.outcome
        elif record.status == "failed":
            fields["error"] = record.outcome
        elif record.status == "input_required":
            fields["inputRequests"] = running.unanswered if running else record.asks

        return {"resultType": "complete", **fields}

    async def _update(self, ctx: RequestContext, params: UpdateParams) -> HandlerResult:
        record, running = await self._find(ctx, params.task_id)
        if running is not None:
            running.take(params.input_responses)
        elif record.is_open:
            await self._book(ctx).answer(params.task_id, principal_of(caller_of(ctx)), params.input_responses)
        return {"resultType": "complete"}

    async def _cancel(self, ctx: RequestContext, params: TaskParams) -> HandlerResult:
        record, running = await self._find(ctx, params.task_id)
        if running is not None:
            running.keeper.cancel()
        elif record.is_open:
            await self._book(ctx).ask_cancel(params.task_id)
        return {"resultType": "complete"}

    async def _find(self, ctx: RequestContext, task_id: str) -> tuple[TaskRecord, _Running | None]:
        require_client_extension(ctx, TASKS)
        headers = getattr(ctx.request, "headers", None)
        if headers is not None and headers.get("mcp-name") != task_id:
            raise MCPError(HEADER_MISMATCH, "The header Mcp-Name is not the task's id.")
        record = await self._book(ctx).get(task_id, principal_of(caller_of(ctx)))
        # A connection may be narrower than the one that began the task. What is not published any more can still be read.
        with suppress(NotFound):
            await self._find_tool(ctx, record.tool)
        return record, self._running.get(task_id)

    async def _go_on(self, ctx: RequestContext, record: TaskRecord) -> tuple[TaskRecord, _Running | None]:
        """Go on with what a process that is gone had under way; by whichever replica is asked first."""
        book, principal = self._book(ctx), principal_of(caller_of(ctx))
        tool = await self._find_tool(ctx, record.tool)
        if await book.take_over(record.id, principal):
            if tool.again:
                params = CallToolRequestParams(name=record.tool, arguments=record.arguments)
                self._follow(ctx, params, tool, self._start(ctx, params, tool, record.id))
            else:
                await book.change(record.id, "completed", outcome=_dump(_interrupted(record.tool)))
        return await book.get(record.id, principal), self._running.get(record.id)

    @staticmethod
    def _book(ctx: RequestContext) -> TaskStore:
        return ctx.lifespan_context.runtime.tasks

    async def aclose(self) -> None:
        """Leave what is under way to whoever comes next, and wait until it has stopped here."""
        all_running = list(self._running.values())
        for one in all_running:
            one.session.leaving = True
            one.keeper.cancel()
        await asyncio.gather(*(one.keeper for one in all_running), return_exceptions=True)
        if self._beating is not None:
            self._beating.cancel()
        if all_running:
            await all_running[0].book.leave()


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
    return fields | ({"statusMessage": message} if message else {})


def _iso_time(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _interrupted(tool: str) -> CallToolResult:
    text = (
        f"interrupted: The runtime was restarted while {tool} was under way, and it is not begun again by itself, "
        "since it may have been carried out.\nLook what is there, then call it again."
    )
    return CallToolResult.model_validate({"content": [{"type": "text", "text": text}], "isError": True})
