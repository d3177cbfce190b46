"""The E2B driver: programs in machines of e2b.dev, one each."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from codewords_mcp.errors import CodewordsError, SandboxFailed, SandboxUnavailable, StorageFailed
from codewords_mcp.runtime.sandboxes.base import (
    Capability,
    EnvironmentRef,
    Network,
    PolicedNetwork,
    SandboxSpec,
    Tier,
)
from codewords_mcp.runtime.sandboxes.e2b import failures
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount
from codewords_mcp.runtime.sandboxes.e2b.cost import MachineSize
from codewords_mcp.runtime.sandboxes.e2b.environments import Pins, read_pins
from codewords_mcp.runtime.sandboxes.e2b.leases import Leases, Mark, home_mark
from codewords_mcp.runtime.sandboxes.e2b.machine_pool import SPARE_SECONDS, MachinePool, MachineRequest
from codewords_mcp.runtime.sandboxes.e2b.mux import Json
from codewords_mcp.runtime.sandboxes.e2b.pooled_machine import PooledMachine
from codewords_mcp.runtime.sandboxes.e2b.program_egress import ProgramEgress, around, describe
from codewords_mcp.runtime.sandboxes.e2b.sandbox import E2BSandbox
from codewords_mcp.settings import Settings

_TITLE: Final = "A virtual machine of its own (E2B)"
_FACT: Final = (
    "Workflows run in machines of e2b.dev, one for each execution; their code and secrets go there."
)
_OWN: Final = frozenset({Capability.PAUSE, Capability.MEMORY_SNAPSHOT})
_URIS: Final = ("CODEWORDS_RUNTIME_URI", "RUNTIME_URI")
_CLOSE_SECONDS: Final = 60.0

log = structlog.get_logger(__name__)


class E2BDriver:
    """Implements `Driver`. Make it with `open`."""

    def __init__(
        self, account: E2bAccount, settings: Settings, network: Network | None, folder: Path, home: str
    ) -> None:
        self.account = account
        self.settings = settings
        self._network = network
        self._folder = folder
        self._live: dict[str, E2BSandbox] = {}
        self._starting: dict[str, asyncio.Task[Any]] = {}
        self._pins: dict[Path, tuple[int, Pins]] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        mark = Mark(home, uuid.uuid4().hex)
        self._renting = MachinePool(account, settings, mark, self._keep)
        self.leases = Leases(account, mark, settings.e2b_ttl, self._renting.machines, self._renting.knows)
        self.tier = Tier("V", _TITLE, (_FACT, *self._account_facts()))
        """The isolation of programs: the machine, and in it the local driver, as its first machine reports."""
        self.capabilities = _OWN
        """Of the machine; and, once one has told, of the local driver in it."""
        self._pauser = asyncio.create_task(self._rest_always())

    @classmethod
    async def open(cls, settings: Settings, network: Network | None, run_dir: Path) -> E2BDriver:
        """Find out whether the key works, and end what an earlier runtime of this home left there.

        Raises SandboxUnavailable: no key, a wrong key, no SDK, no template, E2B cannot be reached. StorageFailed: `run_dir`.
        """
        account = await E2bAccount.open(settings)
        if not await account.has_template(settings.e2b_template):
            raise failures.template_missing(settings.e2b_template)

        try:
            home, folder = await asyncio.to_thread(_prepare, run_dir)
        except OSError as error:
            raise StorageFailed(f"The sandboxes' folder cannot be used: {error.strerror}.") from error

        driver = cls(account, settings, network, folder, home)
        try:
            # Without a list of machines the driver still works: those of earlier runtimes end by
            # their leases.
            await driver.leases.sweep()
        except SandboxUnavailable:
            await driver.close()
            raise
        except CodewordsError as error:
            log.warning("E2B sandboxes of earlier runtimes not listed", reason=error.message)

        return driver

    @property
    def spares(self) -> int:
        """Sandboxes that wait for a program."""
        return self._renting.spares

    async def start(self, spec: SandboxSpec) -> E2BSandbox:
        """See `Driver.start`: returns once its machine stands, before the program in it is started."""
        if self._closed:
            raise SandboxFailed("The sandbox driver is closed.")
        if spec.id in self._live or spec.id in self._starting:
            raise SandboxFailed("This sandbox already runs.")

        task = self._starting[spec.id] = asyncio.create_task(self._start(spec), name=f"start {spec.id}")
        task.add_done_callback(partial(self._forget_start, spec.id))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Shielded: a machine that is being made must be ended, which takes the start's own
            # knowledge.
            task.cancel()
            self._keep(self._destroy_started(task))
            raise

    async def prepare(self, environment: EnvironmentRef) -> None:
        """See `Driver.prepare`: spares are on their way, where there are to be any."""
        if self._closed or not self.settings.e2b_spares or self._network is None:
            return
        with contextlib.suppress(CodewordsError):
            pins = await self._pins_of(environment)
            described = describe("", self._network, by_machine=self._by_machine)
            self._renting.stock(self._request(pins, described))

    async def close(self) -> None:
        """See `Driver.close`; machines that E2B does not end now, it ends when their time is over."""
        if self._closed:
            return

        self._closed = True
        self._pauser.cancel()
        try:
            # E2B may not answer: its machines then end by their leases.
            async with asyncio.timeout(_CLOSE_SECONDS):
                for task in list(self._starting.values()):
                    task.cancel()
                if self._starting:
                    await asyncio.wait(list(self._starting.values()))
                await asyncio.gather(*(sandbox.kill() for sandbox in list(self._live.values())))
                await self._renting.close()
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            log.warning("E2B sandboxes not ended in time, left to their timeout")

        await self.leases.close()
        with contextlib.suppress(CodewordsError):
            # Also those that were just being made: nothing is any more.
            await self.leases.sweep(everything=True)

    @property
    def _by_machine(self) -> bool:
        return self.settings.e2b_egress == "machine" and isinstance(self._network, PolicedNetwork)

    async def _start(self, spec: SandboxSpec) -> E2BSandbox:
        pins = await self._pins_of(spec.environment)
        egress: ProgramEgress | None = None
        if self._network is not None and spec.network:
            egress = await ProgramEgress.open(spec.id, self._network, by_machine=self._by_machine)
        try:
            rented = await self._renting.take(self._request(pins, egress and egress.described))
        except BaseException:
            # Cancelled or failed: the egress has listeners that nobody else closes.
            if egress is not None:
                await asyncio.shield(egress.close())
            raise

        self.leases.stir()
        self._hear_of(rented)
        sandbox = E2BSandbox(
            self._addressed(spec),
            self.account,
            rented.link,
            rented.meter,
            socket_path=self._folder / f"{next(self._numbers)}.sock",
            egress=egress,
            price=self._price,
            ttl=self.settings.e2b_ttl,
        )
        rented.sandbox = rented.link.handler = sandbox
        self._live[spec.id] = sandbox
        self._keep(self._follow(sandbox, rented))

        try:
            await sandbox.begin()
        except BaseException:
            await asyncio.shield(sandbox.kill())
            raise

        return sandbox

    def _forget_start(self, sandbox_id: str, _: object) -> None:
        self._starting.pop(sandbox_id, None)

    async def _destroy_started(self, task: asyncio.Task[E2BSandbox]) -> None:
        """A start was given up; it may have been through."""
        with contextlib.suppress(asyncio.CancelledError, CodewordsError):
            await (await task).kill()

    async def _follow(self, sandbox: E2BSandbox, rented: PooledMachine) -> None:
        """End the machine when its program's answers were read."""
        await sandbox.wait()
        self._live.pop(sandbox.id, None)
        # The caller may still read the program's last answer through the machine.
        await sandbox.disposed.wait()
        await self._renting.end(rented)

    def _request(self, pins: Pins, described: Json | None) -> MachineRequest:
        hosts, internet = around(described)
        if self.settings.public_url:
            public = urlsplit(self.settings.public_url).hostname
        else:
            public = None

        if described is not None and public is not None:
            if hosts is not None or not internet:
                hosts = (*(hosts or ()), public)
            else:
                hosts = None

            # The machine reaches the runtime by its public address, whatever the program may reach.
            internet = True

        return MachineRequest(pins, internet, hosts)

    def _addressed(self, spec: SandboxSpec) -> SandboxSpec:
        """With the public address of the runtime, where it has one; else the program reaches it inside its sandbox."""
        if self.settings.public_url is None or not spec.network:
            return spec
        own = {name: self.settings.public_url.rstrip("/") for name in _URIS if name in spec.env}
        return replace(spec, env={**spec.env, **own})

    def _price(self) -> float:
        return self._size().per_second(self.settings)

    def _size(self) -> MachineSize:
        return self.leases.size or MachineSize(self.settings.e2b_cpus, self.settings.e2b_memory_mb)

    def _account_facts(self) -> tuple[str, ...]:
        settings, size = self.settings, self._size()
        each = (
            f"{size.cpus} processors, {size.memory_mb} MiB, ${3600 * size.per_second(settings):.2f} an hour"
        )
        return (
            f"They are made from the template {settings.e2b_template}: {each} by the prices of the settings.",
            f"At most {settings.e2b_sandboxes} run at once, and {settings.e2b_creates:g} are made in a second.",
        )

    def _hear_of(self, rented: PooledMachine) -> None:
        hello = rented.link.hello
        inside = frozenset(
            capability for capability in Capability if capability.value in hello["capabilities"]
        )
        if not self._by_machine:
            # The runtime judges names, as a proxy does.
            inside -= {Capability.TRANSPARENT_EGRESS}
        within = f"In its machine a program runs under the local driver's tier {hello['tier']}."
        self.capabilities = inside | _OWN
        self.tier = Tier("V", _TITLE, (_FACT, *self._account_facts(), within, *hello["facts"]))

    async def _pins_of(self, environment: EnvironmentRef) -> Pins:
        """The environment's pins, read once for each build of it."""

        def read() -> tuple[int, Pins]:
            pins = read_pins(environment)
            return environment.path.stat().st_ino, pins

        # An environment that is built anew is another folder, with another inode.
        known = self._pins.get(environment.path)
        if known is not None and await asyncio.to_thread(_inode, environment.path) == known[0]:
            return known[1]

        self._pins[environment.path] = found = await asyncio.to_thread(read)
        return found[1]

    async def _rest_always(self) -> None:
        """Pause sandboxes that nobody asks anything, and end spares that nobody wants."""
        after = self.settings.e2b_pause_after
        loop = asyncio.get_running_loop()

        while True:
            await asyncio.sleep(min(after / 4, SPARE_SECONDS) if after else SPARE_SECONDS / 4)
            await self._renting.tidy()
            # A copy: a sandbox may end while another one is paused.
            for sandbox in list(self._live.values()):
                if after and sandbox.is_idle and loop.time() - sandbox.last_used > after:
                    try:
                        await sandbox.pause()
                    except CodewordsError as error:
                        log.warning("idle E2B sandbox not paused", sandbox=sandbox.id, reason=error.message)

    def _keep(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _prepare(run_dir: Path) -> tuple[str, Path]:
    """This home's mark, and an empty folder for sockets."""
    mark = home_mark(run_dir)
    folder = run_dir / "e2b"
    folder.mkdir(exist_ok=True, mode=0o700)
    # A runtime that was killed left them; a bind to an existing path fails.
    for left in folder.glob("*.sock"):
        left.unlink()
    return mark, folder
