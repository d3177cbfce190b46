"""The loopback cloud itself: creates, times out, pauses, snapshots and ends sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import time
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import structlog

import codewords_mcp
from codewords_testing.e2b.errors import MachineFailed
from codewords_testing.e2b.faults import Faults
from codewords_testing.e2b.internet import Internet, InternetGateway
from codewords_testing.e2b.machine import Machine
from codewords_testing.e2b.state import CloudSandbox, CloudTemplate, Options, Templates, new_id

_TICK: Final = 0.1
_READY_SECONDS: Final = 60.0
_READY_POLL: Final = 0.05
# Of this Python: machines use it too, also where it is somewhere that they would not see.
_PROGRAMS: Final = tuple({Path(sys.prefix), Path(sys.base_prefix), Path(codewords_mcp.__file__).parents[1]})
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

log = structlog.get_logger(__name__)


class ApiRefusal(Exception):
    """An error response of the API: a status, E2B's message, and more fields of the body."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": status, "message": message} | more


class Cloud:
    """Sandboxes and templates of one loopback E2B. For one event loop; `close` ends everything."""

    def __init__(self, folder: Path, options: Options, internet: Internet) -> None:
        self.options = options
        self.faults = Faults()
        self.templates = Templates()
        self.sandboxes: dict[str, CloudSandbox] = {}
        self.created = 0
        """Sandboxes made so far."""
        self._folder = folder
        self._internet = internet
        self._gateways: dict[str, InternetGateway] = {}
        self._replies: dict[tuple[str, str], dict[str, Any]] = {}
        self.refused = 0
        """Sandboxes that were not made, for want of room or for the rate."""
        self._recent: deque[float] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._booting = 0
        self.templates.add(CloudTemplate("base", ["base"]))
        self._clock = asyncio.create_task(self._expire())

    def set_internet(self, internet: Internet) -> None:
        """Set the internet that sandboxes made from now on can reach."""
        self._internet = internet

    async def create(self, body: dict[str, Any], key: str | None) -> dict[str, Any]:
        """The body of the reply. A repeated idempotency key gives the first reply again. Raises Refusal."""
        if key is not None:
            known = self._replies.get((key, repr(sorted(body.items()))))
            if known is not None:
                return known
            # The same key with another body is a mistake of the client, which E2B refuses.
            if any(known == key for known, _ in self._replies):
                raise ApiRefusal(
                    409,
                    "idempotency key was used for another request",
                    error_code="idempotency_request_mismatch",
                )

        template = self._admit(body)
        # A machine that boots counts already, else many requests at once would pass the limit.
        self._booting += 1
        try:
            sandbox = await self._boot(template, body)
        except MachineFailed as error:
            # The client is told no more than E2B tells it, so the reason must be in the log.
            log.error("machine not started", reason=str(error))
            raise ApiRefusal(500, "Failed to place sandbox") from error
        finally:
            self._booting -= 1

        self.created += 1
        reply = sandbox.created(self.options.domain)
        if key is not None:
            self._replies[key, repr(sorted(body.items()))] = reply
        return reply

    def _admit(self, body: dict[str, Any]) -> CloudTemplate:
        template = self.templates.find(str(body.get("templateID", "")))
        if template is None:
            raise ApiRefusal(404, f"template '{body.get('templateID')}' not found")
        if float(body.get("timeout", 300)) > self.options.longest:
            raise ApiRefusal(400, f"Timeout cannot be greater than {self.options.longest / 3600:g} hours")

        network: dict[str, Any] = body.get("network") or {}
        names = [host for host in network.get("allowOut", []) if not host[:1].isdigit()]
        # E2B refuses names without this, since they would restrict nothing.
        if names and "0.0.0.0/0" not in network.get("denyOut", []):
            raise ApiRefusal(
                400,
                "When specifying allowed domains in allow out, you must include 'ALL_TRAFFIC' in deny out",
            )

        running = sum(sandbox.state == "running" for sandbox in self.sandboxes.values())
        if running + self._booting >= self.options.sandboxes:
            most = self.options.sandboxes
            self.refused += 1
            raise ApiRefusal(429, f"you have reached the maximum number of concurrent E2B sandboxes ({most})")

        self._within_rate()
        return template

    def _within_rate(self) -> None:
        now = time.monotonic()
        while self._recent and now - self._recent[0] >= 1:
            self._recent.popleft()
        if self.options.creates is not None and len(self._recent) >= self.options.creates:
            self.refused += 1
            raise ApiRefusal(429, "too many sandboxes created, rate limit exceeded")
        self._recent.append(now)

    async def _boot(self, template: CloudTemplate, body: dict[str, Any]) -> CloudSandbox:
        network: dict[str, Any] = dict(body.get("network") or {})
        if body.get("allow_internet_access") is False:
            network["denyOut"] = [*network.get("denyOut", []), "0.0.0.0/0"]
        resuming: dict[str, Any] = body.get("autoResume") or {}
        sandbox_id = new_id()
        machine = await Machine.boot(
            self._folder / sandbox_id, template.layers, network=True, show=(*_PROGRAMS, *self.options.show)
        )
        machine.on_end = self.options.on_end
        sandbox = CloudSandbox(
            sandbox_id,
            template,
            machine,
            dict(body.get("metadata") or {}),
            dict(body.get("envVars") or {}),
            time.time() + float(body.get("timeout", 300)),
            auto_pause=bool(body.get("autoPause")),
            auto_resume=bool(resuming.get("enabled")),
            network=network,
            traffic_token=secrets.token_hex(16) if network.get("allowPublicTraffic") is False else None,
        )
        # Before the start command, which may need the internet.
        self._gateways[sandbox_id] = self._internet.serve(machine.network, network)

        try:
            if template.start:
                await self.start_command(sandbox)
        except BaseException:
            # A cancelled request too must not leave a machine.
            await self._destroy(sandbox)
            raise

        # Its time begins when it is up: a real one boots within a second, which this host may not.
        sandbox.end_at = time.time() + float(body.get("timeout", 300))
        self.sandboxes[sandbox_id] = sandbox
        self.background(self._remove_killed(sandbox))

        return sandbox

    async def start_command(self, sandbox: CloudSandbox) -> None:
        """Run the template's start command, and wait until its ready command succeeds. Raises MachineFailed."""
        template = sandbox.template
        started = await self.shell(sandbox, template.start)
        deadline = time.monotonic() + _READY_SECONDS

        while template.ready:
            probe = await self.shell(sandbox, template.ready)
            # The future belongs to the machine: a cancelled wait must not cancel it.
            if await asyncio.shield(probe) == 0:
                return
            # Asked after the ready command: a start command may set something up and end.
            if started.done():
                raise MachineFailed("the template's start command ended")
            if time.monotonic() > deadline:
                raise MachineFailed("the template's ready command did not succeed")

            await asyncio.sleep(_READY_POLL)

    async def shell(
        self, sandbox: CloudSandbox, command: str, out: Path | None = None
    ) -> asyncio.Future[int]:
        """Start a command as a build step, a start or a ready command; its exit code, when it has ended."""
        target = out or sandbox.machine.folder / "log"
        # The line break ends a comment, or a here-document, in the last line of the command.
        script = f"{{ {command}\n}} 2>&1"
        process = await sandbox.machine.run(
            ["/bin/bash", "-c", script], self.environment(sandbox) | sandbox.template.env, "/home/user"
        )
        self.background(_collect(process.output, target))
        return process.ended

    def environment(self, sandbox: CloudSandbox) -> dict[str, str]:
        """The variables that a process has before those of its own."""
        return {
            "PATH": PATH,
            "HOME": "/home/user",
            "USER": "user",
            "LOGNAME": "user",
            "E2B_SANDBOX": "true",
            "E2B_SANDBOX_ID": sandbox.id,
            "E2B_TEMPLATE_ID": sandbox.template.id,
            # The sandbox's own variables win.
            **self.options.env,
            **sandbox.env,
        }

    def get(self, sandbox_id: str) -> CloudSandbox:
        """Raises Refusal where it is not, or no more."""
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None:
            raise ApiRefusal(404, f"Sandbox '{sandbox_id}' not found")
        return sandbox

    async def kill(self, sandbox_id: str) -> None:
        """Raises Refusal."""
        sandbox = self.get(sandbox_id)
        del self.sandboxes[sandbox_id]
        await self._destroy(sandbox)

    def kill_soon(self, sandbox_id: str) -> None:
        """For faults: the sandbox is gone from this moment on."""
        # From this moment on no request finds it, though its machine takes a while to end.
        sandbox = self.sandboxes.pop(sandbox_id, None)
        if sandbox is not None:
            self.background(self._destroy(sandbox))

    def connect(self, sandbox_id: str, timeout: float) -> tuple[int, dict[str, Any]]:
        """Resume a paused one (201); a running one's time is only ever made longer (200). Raises Refusal."""
        sandbox = self.get(sandbox_id)
        if sandbox.state == "paused":
            sandbox.resume(timeout)
            return 201, sandbox.created(self.options.domain)
        sandbox.end_at = max(sandbox.end_at, time.time() + timeout)
        return 200, sandbox.created(self.options.domain)

    def set_timeout(self, sandbox_id: str, timeout: float) -> None:
        """Raises Refusal: not running, or past the longest that the plan allows."""
        sandbox = self.get(sandbox_id)
        if sandbox.state != "running":
            raise ApiRefusal(404, f"Sandbox '{sandbox_id}' is not running")
        if time.time() + timeout - sandbox.started_at > self.options.longest:
            raise ApiRefusal(400, "Max instance length exceeded")
        sandbox.end_at = time.time() + timeout

    def pause(self, sandbox_id: str) -> None:
        """Raises Refusal where it is paused already."""
        sandbox = self.get(sandbox_id)
        if sandbox.state == "paused":
            raise ApiRefusal(409, f"Error pausing sandbox - sandbox '{sandbox_id}' is already paused")
        sandbox.pause()

    async def snapshot(self, sandbox_id: str, name: str | None) -> CloudTemplate:
        """Its disk, as a template; sandboxes made from it boot and run the start command again. Raises Refusal."""
        sandbox = self.get(sandbox_id)
        old = sandbox.template
        made = new_id("s")
        # Files must not change while they are copied.
        sandbox.machine.freeze()

        try:
            layers = await sandbox.machine.keep(self._folder / f"layer-{made}")
        except MachineFailed as error:
            raise ApiRefusal(500, "Error creating snapshot") from error
        finally:
            sandbox.machine.thaw()

        return self.templates.add(
            CloudTemplate(
                made, [name] if name else [], layers, old.start, old.ready, dict(old.env), old.cpu_count, old.memory_mb,
                kind="snapshot", source=sandbox_id,
            )
        )  # fmt: skip

    def update_network(self, sandbox_id: str, network: dict[str, Any]) -> None:
        """Replace the egress rules. Raises Refusal."""
        sandbox = self.get(sandbox_id)
        sandbox.network = network
        self._gateways[sandbox_id].rules = network

    def wake(self, sandbox: CloudSandbox) -> bool:
        """Traffic has come: whether the sandbox takes it, resumed if it is one that resumes by itself."""
        if sandbox.state == "paused" and sandbox.auto_resume:
            sandbox.resume(300)
        return sandbox.state == "running"

    def background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something that `close` waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def folder(self, name: str) -> Path:
        """A place below the cloud's folder."""
        return self._folder / name

    async def close(self) -> None:
        """End every sandbox, and remove its files."""
        self._clock.cancel()
        for sandbox_id in list(self.sandboxes):
            self.kill_soon(sandbox_id)
        # A task may add another, such as the one that ends a sandbox.
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            now = time.time()
            # A copy, since the body changes what it walks over.
            for sandbox in list(self.sandboxes.values()):
                if sandbox.state == "running" and sandbox.end_at < now:
                    if sandbox.auto_pause:
                        sandbox.pause()
                    else:
                        self.kill_soon(sandbox.id)

    async def _remove_killed(self, sandbox: CloudSandbox) -> None:
        """A machine that ends by itself is a sandbox that is gone."""
        await sandbox.machine.ended.wait()
        # Whoever takes it out of the list destroys it: a kill may have come first.
        if self.sandboxes.pop(sandbox.id, None) is not None:
            await self._destroy(sandbox)

    async def _destroy(self, sandbox: CloudSandbox) -> None:
        gateway = self._gateways.pop(sandbox.id, None)
        if gateway is not None:
            await gateway.close()
        with contextlib.suppress(OSError):
            await sandbox.machine.destroy()


async def _collect(output: tuple[int, int], target: Path) -> None:
    """Write what a command prints to a file, in a thread."""

    def copy() -> None:
        # `shell` joins stderr to stdout, so nothing comes here.
        os.close(output[1])
        with contextlib.suppress(OSError), open(output[0], "rb") as source, target.open("ab") as file:  # noqa: PTH123
            shutil.copyfileobj(source, file, 4096)

    await asyncio.to_thread(copy)
