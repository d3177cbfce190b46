"""Environments on E2B: each a snapshot of a machine in which it was built, found by a name that says what is in it.

The first start that needs one builds it, from the pins of the environment on this host; later ones are made from the
snapshot, with a warm interpreter in its memory.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import structlog

from codewords_mcp import __version__
from codewords_mcp.common.cancellation import ignore_result
from codewords_mcp.errors import CodewordsError, SandboxFailed
from codewords_mcp.runtime.model.modules import MODULES_DISTRIBUTION, MODULES_FILE
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.e2b import protocol
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount, E2bMachine
from codewords_mcp.runtime.sandboxes.e2b.agent_connection import AgentConnection
from codewords_mcp.runtime.sandboxes.e2b.mux import Json, Stream

CLIENT: Final = "codewords-client"
_BUILD_SECONDS: Final = 900.0
_MARK: Final = "-env-"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pins:
    """The contents of an environment. `packages` are sorted `name==version`; `our_client`: the client is this product's.

    `modules` are the blocks of shared modules, as they stand in the code.
    """

    python: str
    packages: tuple[str, ...]
    our_client: bool
    modules: str = ""

    def name(self, template: str) -> str:
        """The snapshot's: the same for all who want the same, from the same template."""
        # All that may change what is in the snapshot, or how we talk to its agent.
        parts = (
            __version__,
            str(protocol.VERSION),
            self.python,
            str(self.our_client),
            *self.packages,
            self.modules,
        )
        digest = hashlib.sha256("\0".join(parts).encode()).digest()
        return f"{template}{_MARK}{base64.b32encode(digest)[:20].decode().lower()}"


def is_environment(name: str, template: str) -> bool:
    """Whether a snapshot's name is one that `Pins.name` gives."""
    return name.rpartition("/")[2].startswith(template + _MARK)


def read_pins(environment: EnvironmentRef) -> Pins:
    """From what is installed in an environment of this host. Blocks. Raises SandboxFailed where it is not there."""
    site = environment.path / "lib" / f"python{environment.python_version}" / "site-packages"
    try:
        metadata = [path for path in site.iterdir() if path.suffix == ".dist-info"]
        found = sorted(_pin(path) for path in metadata)
        modules = "".join(
            (path / MODULES_FILE).read_text(encoding="utf-8")
            for path in metadata
            if _pin(path)[0] == MODULES_DISTRIBUTION
        )
    except OSError as error:
        raise SandboxFailed(
            f"The environment cannot be read: {error.strerror}.",
            hint="Deploy the workflow again; that builds it anew.",
        ) from error

    # Tools that a venv may come with, and no packages of the lock.
    not_locked = ("pip", "setuptools", "wheel", MODULES_DISTRIBUTION)
    packages = [(name, version) for name, version in found if name not in not_locked]
    # A local version ("+") is our own build of the client, which no index has.
    ours = any(name == CLIENT and "+" in version for name, version in packages)
    pins = tuple(f"{name}=={version}" for name, version in packages)
    return Pins(environment.python_version, pins, ours, modules)


def _pin(path: Path) -> tuple[str, str]:
    name, _, version = path.stem.partition("-")
    return name.lower().replace("_", "-").replace(".", "-"), version


class Builder(Protocol):
    """Makes the machine that an environment is built in, from the base template, with a way to the package index."""

    async def __call__(self) -> E2bMachine:
        """Raises what renting one does."""
        ...


class MachineSnapshots:
    """Builds what is missing, once for all who wait for it."""

    def __init__(self, account: E2bAccount, template: str, make: Builder) -> None:
        self._account = account
        self._template = template
        self._make = make
        self._building: dict[str, asyncio.Task[None]] = {}

    async def build(self, pins: Pins) -> None:
        """Have a snapshot of this name. Raises EnvironmentFailed, and what making a machine does."""
        name = pins.name(self._template)
        task = self._building.get(name)
        if task is None:
            task = self._building[name] = asyncio.create_task(self._build(pins, name), name=f"e2b {name}")
            task.add_done_callback(partial(self._done, name))
        # One that waits may give up; the others still want the build.
        await asyncio.shield(task)

    async def close(self) -> None:
        """Give up builds that run."""
        tasks = list(self._building.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        del self._building[name]
        if not task.cancelled():
            # Each caller that waits gets the error.
            task.exception()

    async def _build(self, pins: Pins, name: str) -> None:
        log.info("E2B environment build started", name=name, packages=len(pins.packages))
        machine = await self._make()
        try:
            await self._install(machine, pins)
            await self._account.snapshot(machine, name)
        finally:
            # Shielded: a machine that is left behind costs money until its time is over.
            await asyncio.shield(self._kill(machine))
        log.info("E2B environment built", name=name)

    async def _kill(self, machine: E2bMachine) -> None:
        try:
            await self._account.kill(machine.id)
        except CodewordsError as error:
            log.warning(
                "E2B sandbox not ended, left to its timeout", sandbox=machine.id, reason=error.message
            )

    async def _install(self, machine: E2bMachine, pins: Pins) -> None:
        handler = _AgentReply()
        link = AgentConnection(self._account, machine, handler)
        await link.connect()

        try:
            link.say(
                {
                    "do": "environment",
                    "pins": list(pins.packages),
                    "python": pins.python,
                    "client": pins.our_client,
                    "modules": pins.modules,
                }
            )
            async with asyncio.timeout(_BUILD_SECONDS):
                await handler.answer
        except TimeoutError as error:
            raise SandboxFailed(
                f"The environment was not built on E2B within {_BUILD_SECONDS / 60:g} minutes."
            ) from error
        finally:
            # A snapshot keeps no connection.
            await link.close()


class _AgentReply:
    """Waits for one answer of the agent's."""

    have = 0

    def __init__(self) -> None:
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answer.add_done_callback(ignore_result)

    def on_message(self, message: Json) -> None:
        if "environment" in message and not self.answer.done():
            error = protocol.to_error(message["environment"])
            if error is None:
                self.answer.set_result(None)
            else:
                self.answer.set_exception(error)

    def on_output(self, number: int, data: bytes) -> None:
        """No program runs."""

    def on_stream(self, stream: Stream, what: Json) -> None:
        """No program runs."""
        del what
        stream.reset()

    def on_lost(self, error: CodewordsError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
