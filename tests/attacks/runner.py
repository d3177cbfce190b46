"""Hostile programs in sandboxes of a driver, known by its protocol only."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from tests.attacks import landlock
from tests.attacks.bundle import bundle
from tests.attacks.hostile.attempts import Group
from tests.attacks.landlock import LANDLOCK
from tests.attacks.probes import Result

from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import (
    Driver,
    EnvironmentRef,
    Exit,
    Limits,
    Sandbox,
    SandboxSpec,
    Stream,
)

MAX_WAIT_S: Final = 90.0
"""Seconds for anything to happen; everything here takes a small part of that."""
LIMITS: Final = Limits(memory=256 << 20, disk=64 << 20, processes=64, files=256, start_timeout=90)
_numbers = itertools.count(1)
T = TypeVar("T")


async def within(work: Awaitable[T], seconds: float = MAX_WAIT_S) -> T:
    """Wait, but not for ever. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        return await work


@dataclass
class Hostile:
    """A program in a sandbox; its output is taken in as it comes, the last megabyte kept."""

    sandbox: Sandbox
    printed: dict[Stream, bytearray] = field(default_factory=dict[Stream, bytearray])
    total: int = 0
    _awaited: dict[bytes, asyncio.Event] = field(default_factory=dict[bytes, asyncio.Event])

    async def collect(self) -> None:
        """Until its end."""
        async for chunk in self.sandbox.output():
            kept = self.printed.setdefault(chunk.stream, bytearray())
            kept += chunk.data
            self.total += len(chunk.data)
            if chunk.stream == "stdout":
                self._notice(len(chunk.data))
            if len(kept) > 1 << 20:
                del kept[: len(kept) // 2]

    def _notice(self, added: int) -> None:
        """Look for what is awaited where it can be new: a bomb prints a hundred thousand times."""
        printed = self.printed["stdout"]
        for text, said in self._awaited.items():
            if printed.find(text, max(0, len(printed) - added - len(text) + 1)) >= 0:
                said.set()

    @property
    def stdout(self) -> str:
        """What it printed."""
        return self.printed.get("stdout", b"").decode(errors="replace")

    @property
    def stderr(self) -> str:
        """How it explains itself."""
        return self.printed.get("stderr", b"").decode(errors="replace")

    async def says(self, text: str) -> None:
        """Wait until it has printed this."""
        awaited = text.encode()
        if awaited not in self.printed.get("stdout", b""):
            await within(self._awaited.setdefault(awaited, asyncio.Event()).wait())

    async def ended(self) -> Exit:
        """How it ended, by itself."""
        return await within(self.sandbox.wait())

    async def ask(self, target: bytes = b"/") -> bytes:
        """One request to its server; the body."""

        async def exchange() -> bytes:
            reply = await http1.request(self.sandbox.socket_path, "GET", target, [], None)
            return b"".join([chunk async for chunk in reply.body])

        return await within(exchange())

    def records(self) -> list[dict[str, Any]]:
        """What its attempts reported."""
        lines = [line for line in self.stdout.splitlines() if line.startswith("{")]
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Stage:
    """A driver, the environment of its programs, and what they are told."""

    driver: Driver
    environment: EnvironmentRef
    way: str
    facts: dict[str, Any]

    def spec(self, program: str, limits: Limits = LIMITS, **facts: Any) -> SandboxSpec:
        """A sandbox of a hostile program."""
        told = json.dumps(self.facts | facts)
        return SandboxSpec(
            id=f"attack-{next(_numbers)}", environment=self.environment, code=bundle(program),
            env={"FACTS": told} | {name.upper(): str(value) for name, value in facts.items() if name.startswith("env_")},
            limits=limits,
        )  # fmt: skip

    @asynccontextmanager
    async def playing(self, spec: SandboxSpec) -> AsyncGenerator[Hostile]:
        """A running program, destroyed at the end."""
        hostile = Hostile(await within(self.driver.start(spec)))
        collecting = asyncio.create_task(hostile.collect())
        try:
            yield hostile
        finally:
            await within(hostile.sandbox.kill())
            await within(collecting)

    async def attempts(self, group: Group, **facts: Any) -> list[Result]:
        """Make a group's attempts in one sandbox."""
        async with self.playing(self.spec(group.name, **facts)) as hostile:
            with contextlib.suppress(TimeoutError):
                await hostile.ended()
        exit_ = await hostile.sandbox.wait()
        return judge(group, hostile, exit_, self.way)


def judge(group: Group, hostile: Hostile, exit_: Exit, way: str) -> list[Result]:
    """Each attempt's record against what was expected of it."""
    records = {record["id"]: record for record in hostile.records() if "id" in record}
    began = {record["began"] for record in hostile.records() if "began" in record}
    results: list[Result] = []
    for attempt in group.attempts:
        record = records.get(attempt.id)
        if record is None:
            what = "it was not through" if attempt.id in began else "it was not tried"
            results.append(
                Result(
                    attempt.id, way, False, f"{what} when the program ended: {exit_} {hostile.stderr[-500:]}"
                )
            )
            continue
        is_held = landlock.is_held(attempt, record) if way == LANDLOCK else attempt.expected.meets(record)
        results.append(Result(attempt.id, way, is_held, _told(record)))
    return results


def _told(record: dict[str, Any]) -> str:
    state = "gave" if record["state"] == "did" else record["state"]
    value = "" if record["value"] is None else json.dumps(record["value"])[:200]
    return " ".join(part for part in (state, record["error"], value) if part)
