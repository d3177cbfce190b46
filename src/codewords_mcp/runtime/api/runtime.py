"""The facade: everything that tools, routes and commands may ask of the runtime."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import structlog

from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound
from codewords_mcp.runtime.api.consents import ConsentCalls
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.deployments import DeploymentCalls
from codewords_mcp.runtime.api.models import ModelCalls
from codewords_mcp.runtime.api.published import PublishCalls
from codewords_mcp.runtime.api.schedules import ScheduleCalls
from codewords_mcp.runtime.api.status import StatusCalls
from codewords_mcp.runtime.api.tasks import TaskStore
from codewords_mcp.runtime.api.webhooks import WebhookCalls
from codewords_mcp.runtime.model.availability import Hosting
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller, Scope, refuse_run, require_admin
from codewords_mcp.runtime.model.change_events import Announcements
from codewords_mcp.runtime.model.file import FileLinks, StoredFile
from codewords_mcp.runtime.model.key import KeyInfo
from codewords_mcp.runtime.model.log_batch import LogBatch
from codewords_mcp.runtime.model.run import LogLine, Run, RunRequest, RunResponse
from codewords_mcp.runtime.model.usage import UsageBy, UsageSum
from codewords_mcp.runtime.model.workflow import WorkflowDetail, WorkflowSummary
from codewords_mcp.runtime.runs.log_followers import by_line
from codewords_mcp.runtime.store import runs as run_rows
from codewords_mcp.runtime.store import usage
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.settings import Settings

MAX_PAGE = 100
HOUSEKEEPING = 600.0
"""Seconds between removals of what is past its time."""
FILE_WAIT, FILE_LOOK = 3.0, 0.5
"""Seconds that who waits for a run, or looks at it, is held up for the link of a binary answer."""
log = structlog.get_logger(__name__)


class Runtime(
    ModelCalls, StatusCalls, ConsentCalls, PublishCalls, WebhookCalls, ScheduleCalls, DeploymentCalls
):
    """One home's runtime. Open it with `Runtime.open(settings)`; all methods are for that event loop.

    Every method raises `CodewordsError` subclasses only; what is not the caller's is `NotFound`.
    """

    def __init__(self, settings: Settings, house: Container) -> None:
        self.settings = settings
        self._house = house
        self._started = time.time()

    @property
    def tasks(self) -> TaskStore:
        """Calls that outlast their request."""
        return self._house.tasks

    @property
    def announcements(self) -> Announcements:
        """What has changed, as it changes."""
        return self._house.announcements

    @property
    def base_url(self) -> str:
        """How people reach this runtime: `http://127.0.0.1:8765`, no trailing slash. `serve` sets it after binding."""
        return self._house.base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        self._house.base_url = url

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        hosting: Hosting = Hosting(),  # noqa: B008  # immutable
    ) -> AsyncGenerator[Runtime]:
        """Open the home: migrate the store, mark runs a crash left as `interrupted`, find the sandbox tier.

        Raises StorageFailed when the home cannot be written, is damaged or is newer.
        """
        house = await Container.open(settings, hosting)
        keeper = asyncio.create_task(_keep_house(house, settings))

        try:
            yield cls(settings, house)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await house.close()

    async def drain(self) -> None:
        """See `Container.drain`."""
        await self._house.drain()

    async def stop_answering(self) -> None:
        """End the runs that somebody waits for, who is told so, and begin no more."""
        await self._house.dispatcher.stop_answering()

    # keys

    async def authenticate(self, key: str) -> Caller:
        """The caller behind a key. Raises Unauthenticated. A one-time key is spent by this call."""
        return await self._house.keyring.authenticate(key)

    async def create_key(
        self,
        caller: Caller,
        *,
        owner: str | None = None,
        kind: Literal["admin", "user"] = "user",
        one_time: bool = False,
        expires_in: float | None = None,
        models: list[str] | None = None,
        scopes: list[Scope] | None = None,
        toolsets: list[str] | None = None,
    ) -> tuple[str, KeyInfo]:
        """Make a key: (its text, shown once; its record). `models` are the only ones that it may ask, `scopes` all that it
        may do, `toolsets` all that it sees over MCP. Admin only. Raises InvalidInput.
        """
        require_admin(caller, "make keys")
        return await self._house.keyring.create(
            owner=owner or caller.owner,
            kind=kind,
            one_time=one_time,
            expires_in=expires_in,
            models=models,
            scopes=scopes,
            toolsets=toolsets,
        )

    async def list_keys(self, caller: Caller) -> list[KeyInfo]:
        """Every key of the home. Admin only."""
        require_admin(caller, "list keys")
        return await self._house.keyring.list()

    async def revoke_key(self, caller: Caller, key_id: str) -> None:
        """End a key at once. Admin only. Raises NotFound."""
        require_admin(caller, "revoke keys")
        await self._house.keyring.revoke(key_id)

    # workflows

    async def list_workflows(
        self, caller: Caller, *, query: str = "", limit: int = 20, cursor: str | None = None
    ) -> Page[WorkflowSummary]:
        """Last changed first."""
        only = self._house.authorities.of(caller).workflow
        return await self._house.deployments.list(
            caller, query=query, limit=_limit(limit), after=_cursor(cursor), only=only
        )

    async def get_workflow(
        self, caller: Caller, service_id: str, *, version: int | None = None, include_code: bool = False
    ) -> WorkflowDetail:
        """Routes, variables, versions and the last five runs. A run finds its own workflow only. Raises NotFound."""
        if not self._house.authorities.of(caller).finds(service_id):
            raise NotFound("There is no workflow of that id.", hint="A run finds its own workflow only.")
        detail = await self._house.deployments.get(
            caller, service_id, number=version, include_code=include_code
        )
        last = await self.list_runs(caller, service_id=service_id, limit=5)
        return detail.model_copy(update={"last_runs": last.items})

    # runs

    async def provision(self, caller: Caller) -> str:
        """A run id whose log can be followed before the run starts."""
        return await self._house.dispatcher.provision(caller)

    async def run(self, request: RunRequest) -> RunResponse:
        """Run and stream the answer. Cancelling the awaiting task, or closing the body early, cancels the run.

        Raises NotFound, TooBusy, RunTimedOut, ProgramFailed, ServiceNotAvailable, SandboxFailed …; the run's record
        has it too, and the error's `run_id` names it.
        """
        return await self._house.dispatcher.run(request)

    async def start_run(self, request: RunRequest) -> str:
        """Run in the background; the id at once."""
        return await self._house.dispatcher.start(request)

    async def call(
        self,
        caller: Caller,
        service_id: str,
        *,
        path: str = "/",
        data: Any = None,
        method: str = "POST",
        wait: float = 40.0,
        idempotency_key: str | None = None,
    ) -> Run:
        """`start_run` with JSON `data`, then wait up to `wait` seconds: the finished record, or the unfinished one.

        The same `idempotency_key` again finds the run that it began.
        """
        if data is None:
            body = b""
        else:
            body = json.dumps(data).encode()

        headers = [(b"accept", b"application/json"), (b"content-length", str(len(body)).encode())]
        if body:
            headers.append((b"content-type", b"application/json"))
        path, _, query = ("/" + path.lstrip("/")).partition("?")

        async def chunks() -> AsyncIterator[bytes]:
            yield body

        request = RunRequest(service_id, method.upper(), path, query.encode(), headers, chunks(), caller)
        request.idempotency_key = idempotency_key
        run_id = await self.start_run(request)

        return await self.get_run(caller, run_id, wait=wait)

    async def get_run(self, caller: Caller, run_id: str, *, wait: float = 0.0) -> Run:
        """The record; with `wait`, returns as soon as it is finished or the seconds are over."""
        run = await self._house.dispatcher.wait(caller, run_id, wait)
        if run.response_file is not None:
            address, patience = self._house.address_for_others(), FILE_WAIT if wait else FILE_LOOK
            run = await self._house.response_files.with_link(run, address, wait=patience)
        return (await self._house.gateway.ledger.with_costs([run]))[0]

    async def read_answer_file(self, caller: Caller, run: Run) -> bytes | None:
        """The bytes of a run's binary answer, which the caller has got the record of; None where they are not there."""
        if run.response_file is None or run.response_file.problem is not None or run.owner != caller.owner:
            return None
        return await self._house.response_files.read(run)

    async def list_runs(
        self,
        caller: Caller,
        *,
        service_id: str | None = None,
        status: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Run]:
        """Newest first. For a run's key: that run and its descendants."""
        size, before = _limit(limit), _cursor(cursor)
        own = self._house.authorities.of(caller).run_id
        items = await self._house.database.read(
            run_rows.page,
            caller.owner,
            service_id=service_id,
            status=status,
            limit=size + 1,
            before=before,
            below=own,
        )
        last = items[size - 1] if len(items) > size else None

        if last is None:
            micros = None
        else:
            micros = round(last.created_at.timestamp() * 1e6)

        items = await self._house.gateway.ledger.with_costs(items)
        return Page[Run](items=items[:size], next_cursor=None if last is None else f"{micros}.{last.id}")

    async def cancel_run(self, caller: Caller, run_id: str) -> Run:
        """Cancel; the sandbox is gone when this returns. A finished run: Conflict."""
        return await self._house.dispatcher.cancel(caller, run_id)

    def logs(
        self, caller: Caller, run_id: str, *, after: str | None = None, follow: bool = True
    ) -> AsyncIterator[LogLine | None]:
        """`log_batches`, line by line."""
        return by_line(self.log_batches(caller, run_id, after=after, follow=follow))

    def log_batches(
        self, caller: Caller, run_id: str, *, after: str | None = None, follow: bool = True
    ) -> AsyncIterator[LogBatch | None]:
        """Lines after the `created_at` given; None about every 5 s as a heartbeat while following. Ends soon after the run ends.

        Raises NotFound at the first step.
        """
        return self._house.dispatcher.follow(caller, run_id, after=after, follow=follow)

    async def tail(self, caller: Caller, run_id: str, *, limit: int = 50) -> list[LogLine]:
        """The last lines, without waiting."""
        return await self._house.dispatcher.tail(caller, run_id, limit)

    async def websocket(self, request: RunRequest, subprotocols: list[str]) -> Any:
        """Open a websocket to a workflow; returns a `WebSocketSession` (runs/websocket.py): `subprotocol`, `receive()`
        (None when the workflow closed, then `close_code`), `send()`, `close(code, reason)`.
        """
        return await self._house.dispatcher.websocket(request, subprotocols)

    async def usage(self, caller: Caller, *, by: UsageBy = "workflow", days: int = 30) -> list[UsageSum]:
        """What the caller's runs of the last days used, today included; for an admin, everybody's. Days are UTC."""
        refuse_run(caller, "see what was used")
        if caller.kind == "admin":
            owner = None
        else:
            owner = caller.owner
        since = (now() // usage.DAY - days + 1) * usage.DAY
        self._house.gateway.ledger.flush()
        rows = await self._house.database.read(usage.sums, owner, by=by, since=since)
        return [UsageSum.model_validate(row) for row in rows]

    # files

    async def create_file(self, caller: Caller, filename: str) -> FileLinks:
        """Room for a file, with signed links. Raises InvalidInput for names with path parts."""
        maker = self._house.authorities.of(caller).workflow
        return await self._house.files.create(caller, filename, maker=maker)

    async def write_file(self, token: str, chunks: AsyncIterator[bytes], content_type: str) -> int:
        """Store an upload by its signed token, once; its size. Raises Unauthenticated, Conflict, BodyTooLarge, StorageFailed."""
        return await self._house.files.write(token, chunks, content_type)

    async def find_file(self, token: str) -> StoredFile:
        """What a signed download token is good for. Raises Unauthenticated, NotFound."""
        return await self._house.files.find(token)

    async def read_file(self, stored: StoredFile, start: int, end: int) -> AsyncIterator[bytes]:
        """Its bytes `start` to `end` (exclusive). Raises NotFound, StorageFailed."""
        return await self._house.files.read(stored, start, end)

    # the house

    @property
    def awaits_schedule(self) -> bool:
        """Whether something is to run by itself, or may come: such a runtime does not end for want of callers."""
        return self._house.awaits_events

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last run or validation ended, 0 while one goes on."""
        busy = self._house.dispatcher.active or self._validating
        if busy:
            return 0.0
        return time.monotonic() - self._house.dispatcher.last_activity


async def _keep_house(house: Container, settings: Settings) -> None:
    """Find the tier and go on with runs that wait, at once; then remove now and then what is past its time."""
    with suppress(CodewordsError):
        await house.driver()
    try:
        await house.dispatcher.background.recover()
    except CodewordsError as error:
        log.error("waiting runs are not gone on with", reason=error.message)

    while True:
        try:
            await house.tidy(settings)
        except CodewordsError as error:
            log.warning("housekeeping failed", reason=error.message)

        await asyncio.sleep(HOUSEKEEPING)


def _limit(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"limit is 1 to {MAX_PAGE}.")
    return limit


def _cursor(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    micros, _, item = cursor.partition(".")
    if not (micros.isdecimal() and micros.isascii() and item and len(cursor) < 200):
        raise InvalidInput(
            "This cursor is not one that a list gave.", hint="Use next_cursor as it came, or leave it out."
        )
    return int(micros), item
