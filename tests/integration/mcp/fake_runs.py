"""Runs and their logs in memory, of the fake runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Unpack

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.api.logs import LogApi
from codewords_mcp.runtime.api.runs import RunApi
from codewords_mcp.runtime.model.base import Page
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import FINISHED, LogLine, Run, TriggerRef
from codewords_mcp.runtime.model.run_filter import RunConditions

if TYPE_CHECKING:
    from tests.integration.mcp.fake_runtime import FakeRuntime


class FakeRunApi(RunApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

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
        del dry_run, files, file_fields, headers, trigger
        if idempotency_key in self._fake.run_ids:
            return self._fake.recorded[self._fake.run_ids[idempotency_key]]
        if self._fake.crash is not None:
            raise self._fake.crash
        self._fake.find_workflow(caller, service_id)
        run = Run(
            id=f"run-{next(self._fake.ids)}",
            owner=caller.owner,
            service_id=service_id,
            version=1,
            status="running",
            created_at=datetime.now(UTC),
            started_at=datetime.now(UTC),
            isolation="A",
        )
        self._fake.recorded[run.id] = run
        if idempotency_key is not None:
            self._fake.run_ids[idempotency_key] = run.id
        self._fake.ended[run.id] = asyncio.Event()
        if self._fake.gate is None:
            self._fake.finish(run.id, data if self._fake.result is None else self._fake.result)
        return await self.get(caller, run.id, wait=wait)

    async def get(self, caller: Caller, run_id: str, *, wait: float = 0.0) -> Run:
        run = self._fake.recorded.get(run_id)
        if run is None or run.owner != caller.owner:
            raise NotFound("There is no run of that id.", hint="run_workflow answers with one.")
        if wait and run.status not in FINISHED:
            if self._fake.gate is not None:
                self._fake.gate.started.set()
            with_limit = asyncio.wait_for(self._fake.ended[run_id].wait(), wait)
            with suppress(TimeoutError):
                await with_limit
        return self._fake.recorded[run_id]

    async def cancel(self, caller: Caller, run_id: str) -> Run:
        self._fake.finish(run_id, None, "cancelled")
        if self._fake.gate is not None:
            self._fake.gate.cancelled.set()
        return self._fake.recorded[run_id]

    async def list(
        self,
        caller: Caller,
        *,
        limit: int = 20,
        cursor: str | None = None,
        **matching: Unpack[RunConditions],
    ) -> Page[Run]:
        return Page(items=[run for run in self._fake.recorded.values() if run.owner == caller.owner][:limit])


class FakeLogApi(LogApi):
    def __init__(self, fake: FakeRuntime) -> None:
        self._fake = fake

    async def tail(self, caller: Caller, run_id: str, *, limit: int = 50) -> list[LogLine]:
        return [
            LogLine(created_at=f"2026-01-01T00:00:0{n}.000000Z", stream="stdout", message=text)
            for n, text in enumerate(self._fake.log_text.splitlines())
        ][-limit:]

    async def final(self, caller: Caller, run: Run, *, limit: int) -> list[LogLine]:
        return await self.tail(caller, run.id, limit=limit)

    async def lines(
        self, caller: Caller, run_id: str, *, after: str | None = None, follow: bool = True
    ) -> AsyncIterator[LogLine | None]:
        lines = self._fake.printed.setdefault(run_id, asyncio.Queue())
        while self._fake.recorded[run_id].status not in FINISHED:
            yield await lines.get()
