"""The local driver: sandboxes by Linux namespaces, as root or as an ordinary user."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from codewords_mcp.errors import SandboxFailed, SandboxUnavailable, StorageFailed, TooBusy
from codewords_mcp.runtime.sandboxes.base import (
    Capability,
    EnvironmentRef,
    Limits,
    Network,
    SandboxSpec,
    Tier,
)
from codewords_mcp.runtime.sandboxes.forkserver.fork_isolation import ForkIsolation
from codewords_mcp.runtime.sandboxes.forkserver.fork_server import DriverResources
from codewords_mcp.runtime.sandboxes.forkserver.pool import ForkServerPool
from codewords_mcp.runtime.sandboxes.forkserver.snapshots import Refusal, Snapshots
from codewords_mcp.runtime.sandboxes.host import cgroups, paths, processors
from codewords_mcp.runtime.sandboxes.host.host_users import HostUsers
from codewords_mcp.runtime.sandboxes.host.watchdog import Watchdog
from codewords_mcp.runtime.sandboxes.namespaces import selftest
from codewords_mcp.runtime.sandboxes.namespaces.isolation import ExecIsolation, Isolation, IsolationResources
from codewords_mcp.runtime.sandboxes.namespaces.sandbox import LocalSandbox

# For what blocks while sandboxes start: process creation, cgroup moves. They live as long as the
# driver: a launcher dies with the thread that made it.
_THREADS = 16

# Programs that start by exec at once: each takes half a second of a processor until it stands.
_EXECS_AT_ONCE = max(4, 2 * processors.COUNT)

_UNTESTED = Tier("D", "Not tested yet")

logger = structlog.get_logger(__name__)


class LocalDriver:
    """Implements `Driver`. Make it with `open`."""

    def __init__(
        self,
        instance: paths.DriverFolder,
        slice_: cgroups.Slice | None,
        network: Network | None,
        *,
        forking: bool,
        max_warm: int,
        busy: Callable[[], bool],
    ) -> None:
        self.tier = _UNTESTED
        self.capabilities: frozenset[Capability] = frozenset()
        self._instance = instance
        self._slice = slice_
        self._exact = slice_ is not None
        self._network = network
        self._host_users = HostUsers.for_this_user()
        self._live: dict[str, LocalSandbox] = {}
        self._starting: set[str] = set()
        self._discarding: list[asyncio.Task[None]] = []
        self._exec_turns = asyncio.Semaphore(_EXECS_AT_ONCE)
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="sandbox")
        self.forks = ForkServerPool(
            DriverResources(
                instance, self._host_users, self._make_group, self._holds_memory, self._executor, busy
            ),
            max_warm,
        )
        self.snapshots = Snapshots(self._start_in)
        self._watchdog = Watchdog(asyncio.get_running_loop())
        self._closed = False
        self._forking = forking
        self._testing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        network: Network | None,
        run_dir: Path,
        *,
        forking: bool = True,
        max_warm: int = 4,
        busy: Callable[[], bool] = processors.busy,
    ) -> LocalDriver:
        """Clean up after earlier runtimes, find what this machine offers, run the self-test unless its answer is known.

        Without `forking` every program is started by exec. `max_warm` is how many sandboxes may wait for a program in an
        environment that is used much. `busy` tells whether all processors have work.
        Raises StorageFailed where `run_dir` cannot be used.
        """
        try:
            instance, slice_, known = await asyncio.to_thread(_prepare, run_dir)
        except OSError as error:
            raise StorageFailed(f"The sandboxes' folder cannot be used: {error.strerror}.") from error

        driver = cls(instance, slice_, network, forking=forking, max_warm=max_warm, busy=busy)
        if known is not None:
            driver._believe(known)
        try:
            await driver.self_test()
        except BaseException:
            # Also cancelled: nobody has the driver then, and its self-test would outlive the loop.
            await asyncio.shield(driver.close())
            raise

        return driver

    @property
    def cgroups(self) -> list[Path]:
        """The folders below which each sandbox has its cgroup; empty where there are none."""
        if self._slice:
            return list(self._slice.folders.values())
        return []

    @property
    def reserved_names(self) -> set[str]:
        """Names of cgroups and folders that are no running sandbox's: fork servers', and of what is ready for the next."""
        return self.forks.names

    async def self_test(self) -> Tier:
        """The tier that the self-test proved, waiting for it where it still runs. A failed one is tried again."""
        if self._testing is None and self.tier.id == "D" and not self._closed:
            # One test for all callers, shielded below: a start that is cancelled must not end the
            # test that others wait for.
            self._testing = asyncio.create_task(self._test())
        if self._testing is not None:
            await asyncio.shield(self._testing)
        return self.tier

    async def start(self, spec: SandboxSpec) -> LocalSandbox:
        """See `Driver.start`. Cancelling it destroys the sandbox."""
        tier = await self.self_test()
        if tier.id == "D":
            raise SandboxUnavailable(" ".join(tier.facts) or "No isolation here.", hint=tier.fix)
        self._refuse_if_closed()
        # The id is taken before the first await, so two calls with one id cannot both pass the
        # check.
        if spec.id in self._starting or spec.id in self._live:
            raise SandboxFailed("This sandbox already runs.")

        self._starting.add(spec.id)
        try:
            return await self._start(spec)
        finally:
            self._starting.discard(spec.id)

    async def prepare(self, environment: EnvironmentRef) -> None:
        """See `Driver.prepare`: a fork server is on its way when this returns."""
        if self._forking and not self._closed and self.tier.id != "D":
            self.forks.prepare(environment)

    async def close(self) -> None:
        """See `Driver.close`."""
        if self._closed:
            return
        self._closed = True
        # Those that take snapshots, too.
        await self.snapshots.close()
        # Sandboxes first: the fork servers that their programs were forked from must outlive them.
        await asyncio.gather(*(sandbox.kill() for sandbox in list(self._live.values())))
        await self.forks.close()
        if self._testing is not None:
            # Not awaited by `await`: an error of the test would keep the folders from being
            # removed.
            await asyncio.wait({self._testing})
        await asyncio.gather(*self._discarding)
        await asyncio.to_thread(self._close)

    async def _test(self) -> None:
        # An earlier finding may have given the cgroup up; a new test has to try it again.
        self._exact = self._slice is not None
        finding = await selftest.run(self._start_by_exec, self._instance.path, self._slice)
        self._believe(finding)
        self._testing = None
        await asyncio.to_thread(selftest.remember, self._instance.tier_path, self._slice, finding)

    def _believe(self, finding: selftest.IsolationFinding) -> None:
        self.tier = finding.tier
        self._exact = finding.tier.id == "A"  # a cgroup that did not hold is worse than the watchdog
        found: set[Capability] = set()

        if finding.tier.id in ("A", "B"):
            found |= {
                Capability.EXACT_PROCESS_LIMIT,
                Capability.EGRESS_RULES,
                Capability.PRIVATE_ROOT,
                Capability.UNIX_SOCKETS,
                Capability.UNPRIVILEGED_USER,
            }

        if finding.tier.id == "A":
            found.add(Capability.EXACT_MEMORY_LIMIT)
        if finding.transparent:
            found.add(Capability.TRANSPARENT_EGRESS)
        self.capabilities = frozenset(found)

    async def _start(self, spec: SandboxSpec) -> LocalSandbox:
        forked = await self._start_by_fork(spec)
        if forked is not None:
            return forked

        # One after the other: of many that start by exec at once none would be ready in time.
        waits = self._exec_turns.locked()
        async with self._exec_turns:
            # A fork server may have come up meanwhile.
            if waits and (forked := await self._start_by_fork(spec)) is not None:
                return forked
            return await self._start_by_exec(spec)

    async def _start_by_fork(self, spec: SandboxSpec) -> LocalSandbox | None:
        """The program, forked from its environment's server; None if it has to be started by exec."""
        if self._forking:
            isolation = await self.forks.take(spec)
        else:
            isolation = None

        if isolation is not None:
            restored = self._restore(isolation, spec)
            try:
                sandbox = await self._start_in(isolation, spec)
                if restored:
                    sandbox.on_end(functools.partial(self._after_restore, sandbox, isolation))
                return sandbox
            except (SandboxFailed, TooBusy) as error:
                # A program that has begun may have acted already. Started again, it would act
                # twice. Where this process has run out of something, exec takes more of it.
                own = isinstance(error, TooBusy) and isolation.broken is None
                if isolation.program_started or self._closed or own:
                    raise
                logger.warning("fork failed, starting by exec", sandbox=spec.id, reason=error.message)
                self.forks.suspect(isolation)

        return None

    async def judge_snapshot(self, spec: SandboxSpec) -> tuple[str, ...] | None:
        """The reasons why this program starts without a snapshot, in clauses about it; None if nothing is known of it."""
        server = await self.forks.server(spec) if self._forking else None
        if server is None:
            return None
        found = await self.snapshots.judge(server, spec)
        return found.reasons if isinstance(found, Refusal) else ()

    def _restore(self, isolation: ForkIsolation, spec: SandboxSpec) -> bool:
        """Have the program go on from a snapshot, if it asks for that and there is one."""
        # One with authorities of its own has them in the memory of what its packages made at import; proxies are variables
        # that the snapshot has not seen.
        has_own = spec.authority not in {"", isolation.server.authority}
        has_proxies = spec.network and Capability.TRANSPARENT_EGRESS not in self.capabilities
        if spec.snapshot is None or has_own or has_proxies:
            return False
        found = self.snapshots.find(isolation.server, spec)
        if found is not None:
            isolation.use_snapshot(found.file)
        return found is not None

    def _after_restore(self, sandbox: LocalSandbox, isolation: ForkIsolation) -> None:
        if sandbox.failed_to_restore:
            self.snapshots.failed(isolation.server, sandbox.spec)

    async def _start_by_exec(self, spec: SandboxSpec) -> LocalSandbox:
        self._refuse_if_closed()
        return await self._start_in(ExecIsolation(self._make_resources(), spec), spec)

    async def _start_in(self, isolation: Isolation, spec: SandboxSpec) -> LocalSandbox:
        if self._closed:
            # Its start was under way. It may have processes already, for whose end the fork servers wait.
            self._discarding.append(asyncio.create_task(isolation.discard()))
        self._refuse_if_closed()

        sandbox = LocalSandbox(spec, isolation, self._network if spec.network else None)
        self._live[spec.id] = sandbox
        # Registered before anything can fail, so that a failed start is taken out too.
        sandbox.on_end(functools.partial(self._live.pop, spec.id, None))
        self._watchdog.watch(sandbox)

        try:
            await sandbox.started()
        except BaseException:
            await asyncio.shield(sandbox.kill())
            raise

        return sandbox

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise SandboxFailed("The sandbox driver is closed.")

    def _make_resources(self) -> IsolationResources:
        folders = self._instance.next_folders()
        uid = self._host_users.take()
        return IsolationResources(
            folders=folders,
            uid=uid,
            discard=self._instance.discard,
            make_group=functools.partial(self._make_group, folders.top.name),
            exact_memory=self._holds_memory(),
            release=functools.partial(self._host_users.release, uid),
            executor=self._executor,
        )

    def _make_group(self, name: str, limits: Limits) -> cgroups.Group | None:
        if self._slice is not None and self._exact:
            return self._slice.create(name, limits)
        return None

    def _holds_memory(self) -> bool:
        return self._slice is not None and self._exact

    def _close(self) -> None:
        self._watchdog.close()
        # Waits for threads that still make processes: their launchers die with the thread, and the
        # cgroups below can be removed only when they are empty.
        self._executor.shutdown()
        if self._slice is not None:
            self._slice.remove()
        self._instance.close()


def _prepare(
    run_dir: Path,
) -> tuple[paths.DriverFolder, cgroups.Slice | None, selftest.IsolationFinding | None]:
    instance = paths.DriverFolder(run_dir)
    paths.clean(run_dir, instance.remover)
    slice_ = cgroups.find(f"codewords-{instance.name}", instance.record)
    return instance, slice_, selftest.recall(instance.tier_path, slice_)
