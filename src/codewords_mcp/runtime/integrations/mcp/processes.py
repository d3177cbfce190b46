"""Servers that come as packages: each a process in a sandbox of its own, with the hosts and secrets that a person allowed it."""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from codewords_mcp.common.cancellation import end
from codewords_mcp.errors import CodewordsError, ProgramFailed, SandboxUnavailable, TooBusy, UpstreamFailed
from codewords_mcp.errors.remedies import DIAGNOSE
from codewords_mcp.runtime.egress import Egress, EgressEvent
from codewords_mcp.runtime.egress.intercept import Interception, SandboxCredential
from codewords_mcp.runtime.integrations.mcp.package_environments import BuiltPackage
from codewords_mcp.runtime.integrations.mcp.session_faults import SessionFaults
from codewords_mcp.runtime.integrations.mcp.stdio_transport import stdio_streams
from codewords_mcp.runtime.model.mcp import ANY_HOST, ServerLaunch
from codewords_mcp.runtime.sandboxes.base import Capability, Driver, Limits, Sandbox, SandboxSpec
from codewords_mcp.runtime.secrets.placeholders import new_placeholder
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.secrets.service import Secret
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams

PROGRAM: Final = Path(__file__).with_name("program.py")
PORT: Final = 8000
PROCESSES: Final = 128
"""Processes and threads of one server."""
DISK: Final = 1 << 30
PROCESSORS: Final = 1.0
CRASHES: Final = 3
CRASH_WINDOW_S: Final = 120.0
"""Seconds within which a server may end by itself `CRASHES` times before it is left alone for as long."""
GRACE_S: Final = 2.0
"""Seconds for a server to end by itself once its input was closed."""
ERROR_BYTES_PER_S: Final = 1 << 20
"""Bytes that are read of a server's standard error in a second; beyond, its writes wait."""
_WORDS: Final = 4 << 10
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PreparedServer:
    """A server that can be started. Equal ones share a process."""

    owner: str
    app: str
    built: BuiltPackage
    launch: ServerLaunch
    secrets: tuple[tuple[str, Secret], ...] = field(default=(), repr=False)


class ServerProcesses:
    """The processes of all owners. For one event loop; `close` it."""

    def __init__(self, settings: Settings, driver: Callable[[], Awaitable[Driver]], egress: Egress) -> None:
        self._settings = settings
        self._driver = driver
        self._egress = egress
        self._running: dict[str, ServerProcess] = {}
        self._starting = 0
        self.make_room: Callable[[], Awaitable[object]] | None = None
        """Ends a process that nobody uses, where there is one."""
        self._ended: defaultdict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=CRASHES))
        self._words: dict[tuple[str, str], str] = {}
        self._refused: dict[tuple[str, str], str] = {}

    @property
    def running(self) -> int:
        """Number of processes."""
        return len(self._running)

    async def close(self) -> None:
        """End every process."""
        await asyncio.gather(*(process.close() for process in list(self._running.values())))

    def last_words(self, owner: str, app: str) -> str:
        """The end of what a server wrote to its standard error before it ended by itself the last time."""
        return self._words.get((owner, app), "")

    def refused_host(self, owner: str, app: str) -> str:
        """The host that a server tried last to reach and may not, as host:port; "" for none."""
        return self._refused.get((owner, app), "")

    def forget(self, owner: str, app: str) -> None:
        """Forget earlier ends of a server: a person changed how it is started."""
        for facts in (self._ended, self._words, self._refused):
            facts.pop((owner, app), None)

    def touch(self) -> None:
        """Note that the environments of running servers are used, so that they are not collected."""
        for process in self._running.values():
            with suppress(OSError):
                os.utime(process.server.built.environment.path.parent)

    def on_connection(self, sandbox_id: str, event: EgressEvent) -> None:
        """Record a connection that a server was refused."""
        process = self._running.get(sandbox_id)
        if process is not None and not event.allowed:
            self._refused[process.key] = f"{event.host}:{event.port}"

    async def require_isolation(self) -> Driver:
        """The driver, where it can hold a server. Raises SandboxUnavailable."""
        if self._settings.sandbox == "e2b":
            raise SandboxUnavailable(
                "Servers from packages do not run where sandboxes are machines of E2B.",
                hint="Set CODEWORDS_SANDBOX=local on a Linux machine, or connect a remote server.",
            )
        driver = await self._driver()
        if Capability.EGRESS_RULES not in driver.capabilities:
            raise SandboxUnavailable(
                "A server from a package needs a sandbox whose every connection passes the runtime, and this machine has "
                f"none (isolation {driver.tier.id}: {driver.tier.title}).",
                hint=driver.tier.fix,
                remedy=None if driver.tier.fix else DIAGNOSE,
            )
        return driver

    @asynccontextmanager
    async def connect(
        self, server: PreparedServer, faults: SessionFaults
    ) -> AsyncGenerator[TransportStreams]:
        """Start a server and speak with it; it ends with the block.

        Raises SandboxUnavailable, SandboxFailed, TooBusy, UpstreamFailed for one that ended too often.
        """
        process = await self._start(server)
        try:
            reader, writer = await asyncio.open_unix_connection(process.sandbox.socket_path)
            async with stdio_streams(
                reader, writer, faults, Scrubber(_values(server)), process.explain_end
            ) as streams:
                yield streams
            # Only after an orderly end: a server whose session broke off is not waited for.
            process.closing = True
        finally:
            # A caller that gives up must not leave the process behind.
            await asyncio.shield(process.close())

    async def _start(self, server: PreparedServer) -> ServerProcess:
        self._require_calm(server)
        if self._full and self.make_room is not None:
            await self.make_room()
        if self._full:
            raise TooBusy(
                f"{self._settings.mcp_processes} MCP servers run on this machine, which is the limit "
                "(CODEWORDS_MCP_PROCESSES).",
                retry_after=30,
            )
        # Counted before the first wait, so that servers which start at once do not pass the limit together.
        self._starting += 1
        try:
            driver = await self.require_isolation()
            spec, interception = await self._spec(server)
            policy = self._egress.policy.for_server(
                server.app, server.launch.hosts, everywhere=ANY_HOST in server.launch.hosts
            )
            # Registered before the start: the network is attached while the sandbox is made.
            self._egress.expect(spec.id, policy, interception, runtime=False)
            try:
                sandbox = await driver.start(spec)
            finally:
                self._egress.forget(spec.id)
            process = ServerProcess(server, sandbox, self._on_end)
            self._running[spec.id] = process
            self.touch()
        finally:
            self._starting -= 1
        return process

    @property
    def _full(self) -> bool:
        return len(self._running) + self._starting >= self._settings.mcp_processes

    def _require_calm(self, server: PreparedServer) -> None:
        """Raise UpstreamFailed where it ended by itself too often to be started again now."""
        ends = self._ended[server.owner, server.app]
        if len(ends) < CRASHES or (passed := time.monotonic() - ends[0]) >= CRASH_WINDOW_S:
            return
        raise UpstreamFailed(
            f"{server.app} ended by itself {CRASHES} times within {CRASH_WINDOW_S:g} s, so it was not started again.",
            upstream_said=self.last_words(server.owner, server.app),
            hint=f"It is started again in {CRASH_WINDOW_S - passed:.0f} s, or once a person changes how it is started.",
        )

    async def _spec(self, server: PreparedServer) -> tuple[SandboxSpec, Interception | None]:
        launch, package = server.launch, server.built.package
        credentials = [
            SandboxCredential(name, new_placeholder(secret.value), secret.value, secret.rule)
            for name, secret in server.secrets
            if secret.rule is not None
        ]
        interception = Interception(credentials) if credentials else None
        started = {"registry": package.registry, "name": package.name, "arguments": launch.arguments}
        spec = SandboxSpec(
            id=f"mcp-{uuid.uuid4().hex[:12]}",
            environment=server.built.environment,
            code=await asyncio.to_thread(PROGRAM.read_text, encoding="utf-8"),
            env=_values(server)
            | {credential.name: credential.placeholder for credential in credentials}
            | {"MCP_LAUNCH": json.dumps(started)},
            limits=Limits(
                memory=self._settings.mcp_memory,
                disk=DISK,
                processes=PROCESSES,
                start_timeout=self._settings.start_timeout,
                # V8 reserves far more addresses than it uses.
                address_space=package.registry != "npm",
                processors=PROCESSORS,
            ),
            port=PORT,
            own_interpreter=True,
            authority=interception.authority.pem if interception is not None else "",
        )
        return spec, interception

    def _on_end(self, process: ServerProcess, *, crashed: bool) -> None:
        self._running.pop(process.sandbox.id, None)
        if crashed:
            self._ended[process.key].append(time.monotonic())
            self._words[process.key] = process.last_words


class ServerProcess:
    """One running server."""

    def __init__(self, server: PreparedServer, sandbox: Sandbox, on_end: Callable[..., object]) -> None:
        self.server = server
        self.sandbox = sandbox
        self.key = (server.owner, server.app)
        self.closing = False
        self._on_end = on_end
        self._scrubber = Scrubber(_values(server))
        self._tail = b""
        self._crash: CodewordsError | None = None
        self._reader = asyncio.create_task(self._read_errors())

    @property
    def last_words(self) -> str:
        """The end of its standard error, without secrets."""
        return self._scrubber.text(self._tail.decode("utf-8", "replace")).strip()

    async def explain_end(self) -> CodewordsError:
        """The error for callers, after the server hung up."""
        if self._crash is None:
            # Its processes may outlive its output, by accident or on purpose.
            exit_ = await self.sandbox.stop(GRACE_S)
            await asyncio.wait([self._reader], timeout=GRACE_S)
            cause = self.sandbox.failure()
            if isinstance(cause, ProgramFailed) and exit_.reason in {"out_of_memory", "disk_full"}:
                how = f"it ended: {cause.message}"
            elif exit_.reason == "exited":
                how = f"it ended with code {exit_.code}"
            else:
                how = "it ended"
            self._crash = UpstreamFailed(
                f"The process of {self.server.app} broke off: {how.rstrip('.')}.",
                upstream_said=self.last_words[-2_000:],
                hint="The end of what it wrote to its standard error is in `upstream_said`. The next call starts it again; "
                "this one may have been done.",
            )
            log.info("server process ended", app=self.server.app, sandbox=self.sandbox.id, reason=how)
        return self._crash

    async def close(self) -> None:
        """End it: every process of its sandbox."""
        if self._crash is None and self.closing:
            await self.sandbox.stop(GRACE_S)
        await self.sandbox.kill()
        await end([self._reader])
        self._on_end(self, crashed=self._crash is not None)

    async def _read_errors(self) -> None:
        """Keep the end of its standard error. Read all the time, since a full pipe would stop it, but not at any speed."""
        began, count = time.monotonic(), 0
        async for chunk in self.sandbox.output():
            self._tail = (self._tail + chunk.data)[-_WORDS:]
            count += len(chunk.data)
            ahead = count / ERROR_BYTES_PER_S - (time.monotonic() - began)
            if ahead > 1:
                await asyncio.sleep(ahead)


def _values(server: PreparedServer) -> dict[str, str]:
    """Values of its secrets that it gets as they are, by name."""
    return {name: secret.value for name, secret in server.secrets if secret.rule is None}
