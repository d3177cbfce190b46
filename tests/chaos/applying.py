"""Runs that apply a dry run, under kill -9 while a write is on its way: what was sent, what is unknown, what is left."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.replicas import StormRuntimes, storm_runtimes
from tests.chaos.storm import FINAL, Lost, ask
from tests.support.counting_host import CountingHost, counting_host
from tests.support.resumable_runs import resumable
from tests.support.served_runtime import ServedRuntime
from tests.support.waiting import until

_SECONDS = 180.0


@dataclass
class Applying:
    """A dry run of a workflow that writes `keys` one after the other, and the runtimes that apply it."""

    those: StormRuntimes
    host: CountingHost
    keys: list[str]
    service: str = ""
    run_id: str = ""
    answers: list[tuple[int, Any]] = field(default_factory=list[tuple[int, Any]])
    """The answers to requests to apply."""

    def prepare(self, retries: str) -> None:
        """Deploy and run it dry."""
        self.service = self.those.live[0].deploy(resumable(retries, title="Applied"), "applied")
        steps: list[list[Any]] = [[["GET", f"{self.host.url}/before"]]]
        steps += [[["POST", f"{self.host.url}/write", {"key": key, "at": "NOW"}]] for key in self.keys]
        path = f"/run_async/{self.service}/"
        _, started = ask(self.those.live[0], "POST", path, {"steps": steps}, Codewords_Dry_Run="yes")
        self.run_id = started["request_id"]
        assert self.end_of(self.run_id)["status"] == "succeeded"
        until(lambda: not self.listed()["problem"], "the recording of the dry run", _SECONDS)
        assert self.host.writes.total() == 0

    def apply(self) -> list[str]:
        """Agree once, and ask all runtimes at the same time; the ids of the runs that began."""
        _, asked = ask(self.those.live[0], "POST", f"/runs/{self.run_id}/apply", {})
        body = {"confirm": asked["error"]["confirm"]}

        def begin(runtime: ServedRuntime) -> tuple[int, Any]:
            return ask(runtime, "POST", f"/runs/{self.run_id}/apply", body, timeout=60)

        with ThreadPoolExecutor(len(self.those.live)) as pool:
            self.answers = list(pool.map(begin, self.those.live))
        return [answer["request_id"] for status, answer in self.answers if status == 200]

    @contextmanager
    def killed_at(self, key: str) -> Generator[None]:
        """kill -9 the runtime that sends this write, once it arrived and before it is answered."""
        arrived, killed = threading.Event(), threading.Event()

        def fate(one: str) -> int:
            if one != key or killed.is_set():
                return 200
            arrived.set()
            killed.wait(_SECONDS)
            return 0

        self.host.fate = fate
        yield
        assert arrived.wait(_SECONDS), f"{key} was never sent"
        self.those.kill(_connected_to(self.those.live, self.host.port))
        killed.set()
        self.those.revive()

    def end_of(self, run_id: str) -> Any:
        """The record of a run, once it has ended, by whichever runtime lives."""

        def look() -> Any:
            with suppress(Lost):
                _, record = ask(self.those.live[-1], "GET", f"/request/{run_id}")
                return record if record["status"] in FINAL else None
            return None

        return until(look, f"the end of {run_id}", _SECONDS)

    def listed(self) -> Any:
        """The list of the dry run."""
        return ask(self.those.live[-1], "GET", f"/runs/{self.run_id}/writes")[1]

    def states(self) -> list[str]:
        """The states of its writes, in their order."""
        return [write["state"] for write in self.listed()["writes"]]


def _connected_to(runtimes: list[ServedRuntime], port: int) -> ServedRuntime:
    """The runtime that has a connection to a port of loopback; Linux lists them by inode."""
    inodes = {
        inode
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
        if (inode := _inode(line, port))
    }
    for runtime in runtimes:
        folder = f"/proc/{runtime.pid}/fd"
        for name in os.listdir(folder):
            with suppress(OSError):
                if os.readlink(f"{folder}/{name}").removeprefix("socket:[").rstrip("]") in inodes:
                    return runtime
    raise AssertionError("no runtime is connected to the host")


def _inode(line: str, port: int) -> str:
    """The inode of an established connection to this port; "" for other lines."""
    parts = line.split()
    if len(parts) < 10 or not parts[2].endswith(f":{port:04X}") or parts[3] != "01":
        return ""
    return parts[9]


@contextmanager
def applying(database: str, count: int, retries: str) -> Generator[Applying]:
    """A dry run that holds `count` writes, on "sqlite" or with three replicas on "postgres"."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        counting_host() as host,
        storm_runtimes(Path(folder), database, host.port) as those,
    ):
        made = Applying(those, host, [f"key-{n}" for n in range(count)])
        made.prepare(retries)
        yield made
