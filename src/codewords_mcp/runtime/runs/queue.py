"""The queue in which background runs wait, in the store's own database: `dbos` behind a few verbs.

dbos gives what is hard to get right: entries written in the caller's transaction, claimed once among competing
processes, of each part of the queue no more at a time than allowed, by priority, and not before their time. An entry only says
"carry out this run"; the truth about a run is its row (store/recovery.py), so an entry that comes twice, or late, does
no harm. No private name of dbos is used.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from codewords_mcp.errors import CodewordsError, StorageFailed

if TYPE_CHECKING:
    from dbos import DBOSClient, WorkflowStatus

NAME = "codewords"
QUEUE = "runs"
WORKFLOW = "codewords.run.v1"
VERSION = "1"
"""dbos hands work only to executors of the same application version; ours means the shape of `WORKFLOW`, not a release."""
THREADS = 1
"""Threads in which dbos hands runs over. It takes no time, and one thread keeps their order."""
POLL = 0.1
AHEAD = 32
"""Entries of one partition claimed beyond the limit, so that a slot that becomes free need not wait for the next poll."""
ORPHANED_AFTER = 5.0
"""Seconds after which an entry that was given to this process has not come, and will not."""
RETENTION = 86400.0
"""Seconds that entries stay that were taken back, for the diagnosis of a problem."""
PAGE = 1000
GATHER_INTERVAL, RETRY_INTERVAL = 0.02, 1.0
"""Seconds over which finished entries are gathered before they are removed; between two attempts at that."""
log = structlog.get_logger(__name__)


def log_as_we_do() -> None:
    """Let dbos write to the runtime's own log. It would print plain text beside it, unless its logger has a handler."""
    logger = logging.getLogger("dbos")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.addHandler(logging.NullHandler())
    logger.propagate = True


def _accept(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Accept arguments as they are. dbos would read the function's type hints anew for each run."""
    return args, kwargs


class _HandedOver(BaseException):
    """Ends what dbos calls, of which dbos then records nothing."""


class RunQueue:
    """Runs that wait for their turn. `execute(run_id)` is awaited, on the loop that opened the queue, for each in turn."""

    def __init__(
        self,
        engine: Engine,
        executor: str,
        *,
        limit: int,
        execute: Callable[[str], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._limit = limit + AHEAD
        self._execute = execute
        self._opening = asyncio.Lock()
        self._client: DBOSClient | None = None
        self._here: set[str] = set()
        """Entries of runs that are being carried out, or have ended and are still to be removed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished: list[str] = []
        """Entries of runs that have ended, to be removed."""
        self._removing: asyncio.Task[None] | None = None
        self.failed: set[str] = set()
        """Entries that were given to this process and whose runs were not carried out."""
        self._orphaned_since: dict[str, float] = {}
        """Entries given to this process that it does not carry out: when that was first seen."""

    @property
    def is_open(self) -> bool:
        """Whether this process takes part: it enqueues and receives runs."""
        return self._client is not None

    async def open(self) -> None:
        """Start to enqueue and consume. Idempotent. Raises StorageFailed."""
        async with self._opening:
            if self._client is not None:
                return

            # When the first run has to wait, not before: dbos takes half a second, 55 MB and
            # some threads, and most homes never have a queue.
            loop, started = asyncio.get_running_loop(), time.monotonic()
            try:
                self._client = await asyncio.to_thread(self._launch, loop)
            except CodewordsError:
                raise
            except Exception as error:
                log.exception("the queue did not open")
                raise StorageFailed(
                    "The queue of waiting runs could not be opened.",
                    hint="The runtime's log has the details.",
                ) from error

            log.debug("queue opened", seconds=round(time.monotonic() - started, 2))

    def _launch(self, loop: asyncio.AbstractEventLoop) -> DBOSClient:
        # In a thread without a loop, so that dbos keeps to a loop and threads of its own and leaves ours alone.
        from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

        log_as_we_do()
        global _taken  # noqa: PLW0603  # dbos is one per process, and so is its queue
        if _taken is not None:
            raise StorageFailed("Another runtime of this process has a queue open; one process has one.")

        serializer = DBOSPortableJSONSerializer()
        DBOS(
            config={
                "name": NAME,
                "system_database_engine": self._engine,
                "executor_id": self._executor,
                "application_version": VERSION,
                "serializer": serializer,
                "log_level": "ERROR",
                "max_executor_threads": THREADS,
            }
        )
        _taken = self

        def hand_over(run_id: str) -> None:
            # dbos calls in a thread of its own; runs belong to the runtime's loop.
            loop.call_soon_threadsafe(self._begin, str(DBOS.workflow_id), run_id)
            # No outcome: the entry stays claimed and counts for its partition until `_remove_finished`.
            raise _HandedOver

        # How often a run is tried is decided by its row, not by dbos.
        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None, validate_args=_accept)(hand_over)
        # dbos serves the queues that it finds when it starts, and looks for others a second later. So the queue is there
        # first, but in a database of a server: its tables are made by the start.
        is_local = self._engine.dialect.name == "sqlite"
        if is_local:
            DBOS.migrate(self._engine.url.render_as_string(hide_password=False))
        else:
            DBOS.launch()
        client = DBOSClient(system_database_engine=self._engine, serializer=serializer, application_name=NAME)
        client.register_queue(QUEUE, partition_concurrency=self._limit, polling_interval_sec=POLL)
        if is_local:
            DBOS.launch()

        return client

    def _begin(self, entry: str, run_id: str) -> None:
        self._here.add(entry)
        task = asyncio.get_running_loop().create_task(
            self._execute_entry(entry, run_id), name=f"entry {entry}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute_entry(self, entry: str, run_id: str) -> None:
        try:
            await self._execute(run_id)
        except Exception:
            # The entry stays claimed, so that the run is queued again whatever becomes of this process.
            log.exception("a queued run was not carried out", run_id=run_id)
            self.failed.add(entry)
            return

        self._finished.append(entry)
        if self._removing is None or self._removing.done():
            self._removing = asyncio.get_running_loop().create_task(self._remove_finished())

    async def _remove_finished(self) -> None:
        """Remove the entries of runs that have ended, those of a moment in one transaction."""
        while self._finished:
            await asyncio.sleep(GATHER_INTERVAL)
            entries, self._finished = self._finished[:PAGE], self._finished[PAGE:]
            try:
                await asyncio.to_thread(self._open_client.delete_workflows, entries)
            except SQLAlchemyError as error:
                log.warning("finished entries remain in the queue", entries=len(entries), reason=str(error))
                self._finished[:0] = entries
                await asyncio.sleep(RETRY_INTERVAL)
            else:
                self._here.difference_update(entries)

    def put(
        self,
        connection: Connection,
        run_id: str,
        delivery: int,
        *,
        partition: str,
        priority: int,
        delay: float,
    ) -> None:
        """Add a run in the caller's transaction, the `delivery`th time; partitions do not wait for each other. Needs
        the queue open; blocking.
        """
        options: Any = {
            "queue_name": QUEUE,
            "workflow_name": WORKFLOW,
            "workflow_id": f"{run_id}/{delivery}",
            "queue_partition_key": partition,
            # A new run goes behind those of the same partition and priority. One that an
            # executor had before was at the head, and goes there again: by its own time it
            # would be the last.
            "priority": 2 * priority + (0 if delivery > 1 else 1),
        }
        if delay > 0:
            options["delay_seconds"] = delay
        self._open_client.enqueue_in_transaction(connection, options, run_id)

    @property
    def _open_client(self) -> DBOSClient:
        if self._client is None:
            raise StorageFailed("The queue of waiting runs is not open.")
        return self._client

    def withdraw(self, run_id: str, deliveries: int) -> None:
        """Remove the entry of a run that has ended. Blocking."""
        self._open_client.cancel_workflow(f"{run_id}/{deliveries}")

    def orphaned(self, alive: Collection[str]) -> list[str]:
        """Return entries claimed by executors that are not alive, and entries claimed by this one that never arrived
        (a broken connection may have carried them). Blocking.
        """
        entries = self._claimed_entries()
        mine = {e.workflow_id for e in entries if e.executor_id == self._executor}
        return [e.workflow_id for e in entries if e.executor_id not in alive] + self._orphaned_here(mine)

    def remove(self, entries: Collection[str]) -> None:
        """Remove entries, so that no executor claims them. Blocking."""
        self._open_client.cancel_workflows(list(entries))

    def _orphaned_here(self, mine: Collection[str]) -> list[str]:
        """Return entries claimed by this process that it has not executed for `ORPHANED_AFTER` seconds."""
        at = time.monotonic()
        idle = [entry for entry in mine if entry not in self._here]
        self._orphaned_since = {entry: self._orphaned_since.get(entry, at) for entry in idle}
        return [entry for entry, since in self._orphaned_since.items() if at - since > ORPHANED_AFTER]

    def purge(self) -> int:
        """Delete entries that were taken back long ago; how many. Blocking."""
        before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - RETENTION))
        gone = 0

        while True:
            entries = self._open_client.list_workflows(
                status=["SUCCESS", "ERROR", "CANCELLED"],
                queue_name=QUEUE,
                end_time=before,
                limit=PAGE,
                load_input=False,
                load_output=False,
            )
            self._open_client.delete_workflows([e.workflow_id for e in entries])
            gone += len(entries)
            if len(entries) < PAGE:
                return gone

    async def stop_consuming(self) -> list[str]:
        """Stop consuming from the queue; enqueuing goes on. Returns the ids of entries that this process claimed and has
        not finished. Idempotent.
        """
        async with self._opening:
            if self._client is None:
                return []
            return await asyncio.to_thread(self._stop_consuming)

    def _stop_consuming(self) -> list[str]:
        # A second for what it is just claiming. The client is no part of it.
        self._destroy(completion_timeout=1)
        return [entry.workflow_id for entry in self._claimed_entries() if entry.executor_id == self._executor]

    def _claimed_entries(self) -> list[WorkflowStatus]:
        return self._open_client.list_workflows(
            status="PENDING", queue_name=QUEUE, load_input=False, load_output=False
        )

    async def close(self) -> None:
        """Take part no more; what waits goes on waiting."""
        async with self._opening:
            if self._client is None:
                return

            await asyncio.to_thread(self._destroy)
            tasks = [*self._tasks, *([self._removing] if self._removing else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self._leave, self._client)
            self._client = None

    def _destroy(self, completion_timeout: int = 0) -> None:
        from dbos import DBOS

        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=completion_timeout)

    def _leave(self, client: DBOSClient) -> None:
        global _taken  # noqa: PLW0603
        # What cannot be removed now is removed by the next process that opens the queue.
        with suppress(SQLAlchemyError):
            client.delete_workflows(self._finished)
        client.destroy()
        _taken = None


_taken: RunQueue | None = None
