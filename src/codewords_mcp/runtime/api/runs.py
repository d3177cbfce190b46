"""Runs of workflows and library services."""

from __future__ import annotations

import builtins
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.form_uploads import form_of
from codewords_mcp.runtime.api.paging import check_limit, parse_cursor
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.run import Run, RunRequest, RunResponse, TriggerRef
from codewords_mcp.runtime.model.run_filter import RunConditions
from codewords_mcp.runtime.model.run_listing import ListedRun, RunPage, Searched
from codewords_mcp.runtime.model.usage import UsageBy, UsageSum
from codewords_mcp.runtime.runs.request_headers import with_headers
from codewords_mcp.runtime.store import run_list, usage
from codewords_mcp.runtime.store import runs as run_rows
from codewords_mcp.runtime.store.clock import now, to_datetime

if TYPE_CHECKING:
    from codewords_mcp.runtime.runs.websocket import WebSocketSession

FILE_WAIT, FILE_LOOK = 3.0, 0.5
"""Seconds to wait for the link of a binary result: for a caller that waits for the run, and for one that reads it."""


class RunApi:
    """Runs: start, wait for, read, list and cancel them."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def provision(self, caller: Caller) -> str:
        """Make a run id whose log can be followed before the run starts."""
        return await self._container.dispatcher.provision(caller)

    async def execute(self, request: RunRequest) -> RunResponse:
        """Run and stream the response. Cancelling the task, or closing the body early, cancels the run.

        Raises NotFound, TooBusy, RunTimedOut, ProgramFailed, ServiceNotAvailable, SandboxFailed and
        others. The run's record has the same error, and the error's `run_id` names the run.
        """
        return await self._container.dispatcher.run(request)

    async def start(self, request: RunRequest) -> str:
        """Start a background run and return its id at once."""
        return await self._container.dispatcher.start(request)

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
        dry_run: bool = False,
        files: Mapping[str, str] | None = None,
        file_fields: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        trigger: TriggerRef | None = None,
    ) -> Run:
        """Start a background run with JSON `data` and wait for it up to `wait` seconds. Returns its record.

        A `dry_run` sends reads and holds writes. With `files` the request is a form whose fields for files are
        `file_fields`; see `form_of`. `headers` come beside
        those of the body. Raises InvalidInput for a header that none can be.

        A repeated `idempotency_key` returns the run that it started the first time.
        """
        kind, body = b"application/json", b""
        if files:
            kind, body = await form_of(self._container.web, data, files, file_fields)
        elif data is not None:
            body = json.dumps(data).encode()

        sent = [(b"accept", b"application/json"), (b"content-length", str(len(body)).encode())]
        if body:
            sent.append((b"content-type", kind))
        sent = with_headers(sent, headers or {})
        # Tools take a path with a query; a request has them apart.
        path, _, query = ("/" + path.lstrip("/")).partition("?")

        async def chunks() -> AsyncIterator[bytes]:
            yield body

        request = RunRequest(service_id, method.upper(), path, query.encode(), sent, chunks(), caller)
        request.idempotency_key = idempotency_key
        request.mode = "dry_run" if dry_run else None
        request.trigger = trigger
        run_id = await self.start(request)

        return await self.get(caller, run_id, wait=wait)

    async def get(self, caller: Caller, run_id: str, *, wait: float = 0.0) -> Run:
        """Return the record; with `wait`, once the run is finished or the seconds are over."""
        run = await self._container.dispatcher.wait(caller, run_id, wait)
        if run.response_file is not None:
            address, file_timeout = self._container.address_for_others(), FILE_WAIT if wait else FILE_LOOK
            run = await self._container.response_files.with_link(run, address, wait=file_timeout)
        if caller.kind != "run":
            address = self._container.address_for_others()
            run = await self._container.response_files.with_stored_file_link(run, address)
        return (await self._container.gateway.ledger.with_costs([run]))[0]

    async def read_result_file(self, caller: Caller, run: Run) -> bytes | None:
        """Read the binary answer of a run that the caller has the record of; None where there is none."""
        if run.response_file is None or run.response_file.problem is not None or run.owner != caller.owner:
            return None
        return await self._container.response_files.read(run)

    async def cancel(self, caller: Caller, run_id: str) -> Run:
        """Cancel the run and wait until its sandbox is gone. Raises Conflict for a finished run."""
        return await self._container.dispatcher.cancel(caller, run_id)

    async def open_websocket(self, request: RunRequest, subprotocols: list[str]) -> WebSocketSession:
        """Open a websocket to a workflow. `receive()` of the session gives None once the workflow closed it."""
        return await self._container.dispatcher.websocket(request, subprotocols)

    async def usage(self, caller: Caller, *, by: UsageBy = "workflow", days: int = 30) -> list[UsageSum]:
        """Sum the usage of the caller's runs of the last days, today included; for an admin, everybody's. Days are UTC."""
        refuse_run(caller, "see what was used")
        if caller.kind == "admin":
            owner = None
        else:
            owner = caller.owner
        since = (now() // usage.DAY - days + 1) * usage.DAY
        # Costs are written in batches; the sum must contain the calls of a moment ago.
        self._container.gateway.ledger.flush()
        return await self._container.database.read(usage.sums, owner, by=by, since=since)

    async def list(
        self,
        caller: Caller,
        *,
        limit: int = 20,
        cursor: str | None = None,
        **matching: Unpack[RunConditions],
    ) -> Page[Run]:
        """List runs, newest first, without replays unless they are asked for. A run's key sees that run and its descendants."""
        size, before = check_limit(limit), parse_cursor(cursor)
        own = self._own_run(caller)
        items = await self._container.database.read(
            run_rows.page,
            caller.owner,
            # One more than asked for shows whether there is a next page.
            limit=size + 1,
            before=before,
            below=own,
            **matching,
        )
        next_cursor = _cursor_after(items, size)
        items = await self._container.gateway.ledger.with_costs(items)
        return Page[Run](items=items[:size], next_cursor=next_cursor)

    async def rows(
        self, caller: Caller, *, limit: int = 20, cursor: str | None = None, **matching: Unpack[RunConditions]
    ) -> RunPage:
        """List runs as `list` does, without what only a run's page shows."""
        size, before = check_limit(limit), parse_cursor(cursor)
        read = self._container.database.read
        items = await read(
            run_list.rows,
            caller.owner,
            limit=size + 1,
            before=before,
            below=self._own_run(caller),
            **matching,
        )
        next_cursor = _cursor_after([item.run for item in items], size)
        return RunPage(items=await self._with_costs(items[:size]), next_cursor=next_cursor)

    async def search(
        self,
        caller: Caller,
        *,
        words: str | None,
        key: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
        **matching: Unpack[RunConditions],
    ) -> RunPage:
        """List runs with these words in their input or path, and of the key with this id.

        Each call looks through a bounded number of runs and says how far it came; `next_cursor` goes on from there.
        """
        size, before = check_limit(limit), parse_cursor(cursor)
        read = self._container.database.read
        found = await read(
            run_list.search, caller.owner, limit=size, before=before, below=self._own_run(caller), words=words, key=key,
            **matching,
        )  # fmt: skip
        items = await read(run_list.by_ids, [id_ for _, id_ in found.places])

        searched = Searched(
            runs=found.looked, until=to_datetime(found.last[0]) if found.last else None, whole=not found.more
        )
        if found.more and found.last:
            next_cursor = f"{found.last[0]}.{found.last[1]}"
        else:
            next_cursor = None
        return RunPage(items=await self._with_costs(items), next_cursor=next_cursor, searched=searched)

    def _own_run(self, caller: Caller) -> str | None:
        return self._container.authorities.of(caller).run_id

    async def _with_costs(self, items: Sequence[ListedRun]) -> builtins.list[ListedRun]:
        costed = await self._container.gateway.ledger.with_costs([item.run for item in items])
        return [item._replace(run=run) for item, run in zip(items, costed, strict=True)]


def _cursor_after(items: Sequence[Run], size: int) -> str | None:
    """The cursor of the next page, where there are more runs than a page holds."""
    if len(items) <= size:
        return None
    last = items[size - 1]
    return f"{round(last.created_at.timestamp() * 1e6)}.{last.id}"
