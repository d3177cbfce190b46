"""The runtimes of a storm, one on SQLite or several on one PostgreSQL, and what strikes them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import psycopg
from tests.support.postgres import serving_postgres
from tests.support.processes import alive
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until

Target = Literal["runtime", "fork server", "sandbox", "connection", "database"]
TARGETS: tuple[Target, ...] = get_args(Target)
_KEY = "cwk-runtimes-of-a-storm-share-their-admin-key"
_GONE_SECONDS = 120.0


def tree(pid: int) -> list[tuple[int, int]]:
    """(process, depth) of all that descend from it, itself at depth 0. Whatever ends meanwhile is left out."""
    found = [(pid, 0)]
    for parent, depth in found:
        for thread in _threads(parent):
            with suppress(OSError):
                children = Path(f"/proc/{parent}/task/{thread}/children").read_text(encoding="ascii")
                found += [(int(child), depth + 1) for child in children.split()]
    return found


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


FORK_SERVER_DEPTH = 3
"""A runtime's launcher; the supervisor; the server, beside the first processes of sandboxes. Programs are deeper."""


@dataclass
class StormRuntimes:
    """`start` them all; `strike` one; `revive` those that died."""

    folder: Path
    url: str | None
    witness_port: int
    env: dict[str, str] = field(default_factory=dict[str, str])
    live: list[ServedRuntime] = field(default_factory=list[ServedRuntime])
    _dead: list[Path] = field(default_factory=list[Path])
    _stacks: dict[Path, ExitStack] = field(default_factory=dict[Path, ExitStack])

    def start(self, count: int) -> None:
        """So many, each with a home of its own."""
        for number in range(count):
            self._start(make_home(self.folder / f"home {number}"))

    def _start(self, home: Path) -> None:
        env = {
            "CODEWORDS_API_KEY": _KEY,
            "CODEWORDS_MASTER_KEY": "a1" * 32,
            "CODEWORDS_REPLICA_TTL": "3",
            "CODEWORDS_CONCURRENCY": "6",
            "CODEWORDS_GRACE_TIMEOUT": "0.2",
            "CODEWORDS_EGRESS_ALLOW_PRIVATE": f'["127.0.0.1:{self.witness_port}"]',
        }
        env |= self.env
        if self.url:
            env |= {"CODEWORDS_DATABASE_URL": self.url, "CODEWORDS_FILES": str(self.folder / "files")}
        stack = self._stacks[home] = ExitStack()
        self.live.append(stack.enter_context(start_runtime(home, **env)))

    def revive(self) -> None:
        """Start again, in its home, what was killed."""
        while self._dead:
            self._start(self._dead.pop())

    def close(self) -> None:
        """Stop all, in order: each must end with 0."""
        for stack in self._stacks.values():
            stack.close()

    def fences(self) -> int:
        """How often a runtime has let its runs go, since it could not renew its lease in time, or the others took it for
        dead: where the machine is that busy, a run may be interrupted though nothing was struck.
        """
        logs = [(home / "serve.log").read_text(encoding="utf-8") for home in self._stacks]
        return sum(log.count("lets its runs go") + log.count("replicas are gone") for log in logs)

    def unfinished(self) -> list[str]:
        """On PostgreSQL: what the tables tell of runs that have not ended, for whoever looks into it."""
        if not self.url:
            return []
        with self._database() as connection:
            columns = "id, status, executor, in_queue, deliveries, cancel_asked"
            found = connection.execute(
                f"SELECT {columns} FROM runs WHERE status IN ('queued', 'starting', 'running')"
            ).fetchall()
            alive = connection.execute("SELECT id, seen_at, now() FROM executors").fetchall()
            entries = connection.execute(
                "SELECT workflow_uuid, status, executor_id FROM dbos.workflow_status WHERE status IN ('PENDING', 'ENQUEUED')"
                " OR workflow_uuid LIKE ANY (%s)",
                [[f"{row[0]}%" for row in found]],
            ).fetchall()
        return [f"runs: {found}", f"executors: {alive}", f"line: {entries}"]

    def targets(self) -> list[Target]:
        """What there is to strike."""
        return [one for one in TARGETS if self.url or one not in ("connection", "database")]

    def strike(self, target: Target, chance: random.Random, runtime: ServedRuntime | None = None) -> str:
        """kill -9 one of these, of this runtime or of any, or cut its connection; what it was, in words."""
        if target in ("connection", "database"):
            return self._strike_database(target, chance)
        if not self.live:
            return "nothing: no runtime lives"
        runtime = runtime or chance.choice(self.live)
        below = tree(runtime.pid)
        if target == "runtime":
            self.kill(runtime)
            return f"runtime {runtime.pid}"
        fits = [pid for pid, depth in below if self._is(target, depth)]
        if not fits:
            return f"nothing: there is no {target}"
        pid = chance.choice(fits)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return f"{target} {pid} of runtime {runtime.pid}"

    @staticmethod
    def _is(target: Target, depth: int) -> bool:
        return depth > FORK_SERVER_DEPTH if target == "sandbox" else 0 < depth <= FORK_SERVER_DEPTH

    def kill(self, runtime: ServedRuntime) -> None:
        """kill -9 a runtime, and wait for the end of all that it started."""
        family = [pid for pid, _ in tree(runtime.pid)]
        runtime.kill()
        self.live.remove(runtime)
        self._stacks.pop(runtime.home).close()
        until(
            lambda: not any(alive(pid) for pid in family),
            f"the processes {family} of runtime {runtime.pid} to end",
            _GONE_SECONDS,
        )
        self._dead.append(runtime.home)

    def _database(self) -> psycopg.Connection[Any]:
        """A connection, as soon as the server takes one: it may still be getting over the last strike."""
        deadline = time.monotonic() + _GONE_SECONDS
        while True:
            try:
                return psycopg.connect(self.url or "", autocommit=True)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _strike_database(self, target: Target, chance: random.Random) -> str:
        with self._database() as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
            pids = [int(row[0]) for row in found]
            if not pids:
                return "nothing: no connection is open"
            pid = chance.choice(pids)
            if target == "connection":
                connection.execute("SELECT pg_terminate_backend(%s)", [pid])
            else:  # PostgreSQL then ends every connection and recovers, as after a crash
                os.kill(pid, signal.SIGKILL)
        return f"{target} {pid}"


@contextmanager
def storm_runtimes(folder: Path, database: str, witness_port: int, **env: str) -> Generator[StormRuntimes]:
    """One runtime on SQLite, three on PostgreSQL, with these settings. Stopped in order where the storm went well."""
    with ExitStack() as stack:
        url = stack.enter_context(serving_postgres()).url() if database == "postgres" else None
        those = StormRuntimes(folder, url, witness_port, env)
        stack.callback(those.close)
        those.start(3 if url else 1)
        yield those
