"""Inject errors into chosen requests, a chosen number of times."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Part = Literal["before", "after"]


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong with requests whose label matches.

    A label is `api POST /v2/sandboxes`, `envd POST /process.Process/Start` or `port:8000 GET /path`.
    status: answer this, with `body` and `headers`, without doing what was asked. delay: seconds to wait first. drop: do
    nothing and close the connection. kill: end the sandbox that the request is for, `before` it is passed on or `after`
    its answer. times: how many requests; 0 is all of them.
    """

    match: str
    status: int = 0
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    drop: bool = False
    kill: Part | None = None
    times: int = 1
    seen: int = 0


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Faults:
    """Faults to inject, and a record of every request that came."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        """Labels of all requests, in their order, so that round trips can be counted."""
        self._faults: list[Fault] = []
        self._waiting: list[tuple[re.Pattern[str], asyncio.Event]] = []

    def add(self, match: str, **what: Any) -> Fault:
        """Make the next requests that match (a regular expression) go wrong; fields as those of `Fault`."""
        fault = Fault(match, **what)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    async def wait_for_request(self, match: str) -> None:
        """Wait for a request that matches, from now on."""
        event = asyncio.Event()
        self._waiting.append((re.compile(match), event))
        await event.wait()

    async def apply(self, label: str, kill: Callable[[], None] | None = None) -> Fault | None:
        """Record a request. Returns its fault, if any, after the fault's delay. Raises Dropped."""
        self.requests.append(label)
        # Before the delay, so that a test can act while the request waits.
        for pattern, event in self._waiting:
            if pattern.search(label):
                event.set()

        fault = self._next_fault(label)
        if fault is None:
            return None

        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.kill == "before" and kill is not None:
            kill()
        if fault.drop:
            raise Dropped

        return fault

    def _next_fault(self, label: str) -> Fault | None:
        for fault in self._faults:
            if re.search(fault.match, label):
                fault.seen += 1
                if fault.times and fault.seen >= fault.times:
                    self._faults.remove(fault)
                return fault
        return None
