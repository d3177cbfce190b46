"""Requests to E2B's control plane, by its SDK. Every call is bounded and raises errors of ours."""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from codewords_mcp.runtime.sandboxes.e2b import failures
from codewords_mcp.runtime.sandboxes.e2b.protocol import AGENT_PORT
from codewords_mcp.settings import Settings

T = TypeVar("T")
_REQUEST_SECONDS: Final = 30.0
# Of one call with the SDK's own retries; a request that the SDK bounds by 30 s may take twice that.
_CALL_SECONDS: Final = 100.0
_SNAPSHOT_SECONDS: Final = 300.0
# A thread of the SDK's HTTP client needs microseconds to be through with a request that was answered.
_THREADS_END_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class E2bMachine:
    """A sandbox of E2B's. `host` is the name under which its agent's port is reached."""

    id: str
    host: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ListedMachine:
    """A sandbox in E2B's list."""

    id: str
    metadata: Mapping[str, str]
    started_at: datetime
    cpu_count: int
    memory_mb: int


class E2bAccount:
    """One key's E2B. Make it with `open`."""

    def __init__(self, settings: Settings) -> None:
        options = {
            "domain": settings.e2b_domain,
            "api_url": settings.e2b_api_url,
            "sandbox_url": settings.e2b_sandbox_url,
            "proxy": settings.e2b_proxy,
        }
        self.options: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
        self.options |= {"api_key": os.environ["E2B_API_KEY"], "request_timeout": _REQUEST_SECONDS}
        self._sandbox_url = settings.e2b_sandbox_url or os.environ.get("E2B_SANDBOX_URL")
        self.proxy = settings.e2b_proxy

    @classmethod
    async def open(cls, settings: Settings) -> E2bAccount:
        """Import the SDK, which takes a second. Raises SandboxUnavailable: no key, no SDK."""
        if not os.environ.get("E2B_API_KEY"):
            raise failures.no_key()
        try:
            await asyncio.to_thread(_import)
        except ImportError as error:
            raise failures.no_sdk() from error
        return cls(settings)

    async def create(
        self,
        template: str,
        *,
        ttl: int,
        metadata: dict[str, str],
        network: dict[str, Any],
        internet: bool,
        key: str,
    ) -> E2bMachine:
        """A machine that lives `ttl` seconds unless it is extended, reachable with its token only.

        `network` are E2B's egress rules. With the same `key` the same machine is given, where the SDK can say so.
        Raises TemplateMissing, TooBusy, SandboxUnavailable, SandboxFailed.
        """
        import e2b

        # Older SDKs have no idempotency keys: a retried create may then make two, and one is swept.
        more: dict[str, Any] = {}
        if "idempotency_key" in inspect.signature(e2b.AsyncSandbox.create).parameters:
            more["idempotency_key"] = key
        # Reachable with its token only.
        rules: Any = {"allow_public_traffic": False, **network}
        making = e2b.AsyncSandbox.create(
            template, timeout=ttl, metadata=metadata, network=rules, allow_internet_access=internet, secure=True,
            **more, **self.options,
        )  # fmt: skip
        try:
            # Our own bound: the SDK's covers one request, and it retries.
            async with asyncio.timeout(_CALL_SECONDS):
                sandbox = await making
        except Exception as error:
            if _is_missing(error):
                raise failures.template_missing(template) from error
            raise failures.translate(error, "making a sandbox") from error

        return _machine(sandbox)

    async def resume(self, machine: E2bMachine, ttl: int) -> E2bMachine:
        """Let a paused one go on, for `ttl` seconds. Raises Gone, TooBusy, SandboxUnavailable, SandboxFailed."""
        import e2b

        connecting = e2b.AsyncSandbox.connect(machine.id, timeout=ttl, **self.options)
        return _machine(await self._call(connecting, "resuming a sandbox"))

    async def extend(self, machine: E2bMachine, ttl: int) -> None:
        """Have it live `ttl` seconds from now. Raises as `resume`."""
        import e2b

        extending = e2b.AsyncSandbox.set_timeout(machine.id, ttl, **self.options)
        await self._call(extending, "extending a sandbox's time")

    async def pause(self, machine: E2bMachine) -> None:
        """Freeze it with its memory; what is paused costs no processor time. Raises as `resume`."""
        import e2b

        await self._call(e2b.AsyncSandbox.pause(machine.id, **self.options), "pausing a sandbox")

    async def kill(self, sandbox_id: str) -> None:
        """End it; that it is gone already is no error. Raises TooBusy, SandboxUnavailable, SandboxFailed."""
        import e2b

        await self._call(e2b.AsyncSandbox.kill(sandbox_id, **self.options), "ending a sandbox")

    async def listed(self, metadata: dict[str, str]) -> AsyncIterator[ListedMachine]:
        """Sandboxes, running and paused, that have this metadata. Raises as `kill`."""
        import e2b

        states = [e2b.SandboxState.RUNNING, e2b.SandboxState.PAUSED]
        pages = e2b.AsyncSandbox.list(query=e2b.SandboxQuery(metadata=metadata, state=states), **self.options)

        while pages.has_next:
            for listed in await self._call(pages.next_items(), "listing sandboxes"):
                # Older SDKs give times without a zone, in UTC.
                started = listed.started_at
                if not started.tzinfo:
                    started = started.replace(tzinfo=UTC)

                yield ListedMachine(
                    listed.sandbox_id, listed.metadata, started, listed.cpu_count, listed.memory_mb
                )

    async def snapshot(self, machine: E2bMachine, name: str) -> None:
        """Keep it, with its memory, as a template of this name. Raises as `resume`."""
        import e2b

        taking = e2b.AsyncSandbox.create_snapshot(machine.id, name=name, **self.options)
        await self._call(taking, "keeping an environment", _SNAPSHOT_SECONDS)

    async def snapshots(self) -> AsyncIterator[tuple[str, list[str]]]:
        """Ids and names of every snapshot. Raises as `kill`; SandboxFailed where this E2B has none to list."""
        import e2b

        pages = e2b.AsyncSandbox.list_snapshots(**self.options)

        while pages.has_next:
            try:
                items = await self._call(pages.next_items(), "listing environments")
            except failures.MachineGone as error:
                # The route is missing, not a sandbox.
                raise failures.no_snapshots() from error

            for snapshot in items:
                yield snapshot.snapshot_id, list(getattr(snapshot, "names", None) or [])

    async def forget_snapshot(self, snapshot_id: str) -> None:
        """Remove one. Raises as `kill`."""
        import e2b

        removing = e2b.AsyncSandbox.delete_snapshot(snapshot_id, **self.options)
        await self._call(removing, "removing an environment")

    async def has_template(self, name: str) -> bool:
        """Whether there is one of this name. Raises as `kill`."""
        import e2b

        return await self._call(e2b.AsyncTemplate.exists(name, **self.options), "looking for the template")

    async def build(self, template: Any, name: str, *, cpus: int, memory_mb: int, on_line: Any) -> None:
        """Build a template, as long as that takes; its log goes to `on_line`. Raises as `kill`."""
        import e2b

        # A build takes minutes: the bound for one request would end it.
        options = {key: value for key, value in self.options.items() if key != "request_timeout"}
        try:
            await e2b.AsyncTemplate.build(
                template, name, cpu_count=cpus, memory_mb=memory_mb, on_build_logs=on_line, **options
            )
        except Exception as error:
            raise failures.translate(error, "building the template") from error

    def address(self, machine: E2bMachine) -> tuple[str, dict[str, str]]:
        """URL of the agent's WebSocket, and the headers that get there."""
        if machine.token:
            headers = {"e2b-traffic-access-token": machine.token}
        else:
            headers = {}
        if self._sandbox_url is None:
            return f"wss://{machine.host}/", headers
        # A host that is no wildcard name tells sandboxes and ports apart by these.
        headers |= {"E2b-Sandbox-Id": machine.id, "E2b-Sandbox-Port": str(AGENT_PORT)}
        return f"{self._sandbox_url.replace('http', 'ws', 1).rstrip('/')}/", headers

    async def _call(self, work: Coroutine[Any, Any, T], doing: str, seconds: float = _CALL_SECONDS) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except Exception as error:
            raise failures.translate(error, doing) from error


def _import() -> None:
    import e2b  # noqa: F401  # pyright: ignore[reportUnusedImport]
    import websockets.asyncio.client  # noqa: F401  # pyright: ignore[reportUnusedImport]

    atexit.unregister(_let_threads_end)  # once, however many accounts are opened
    atexit.register(_let_threads_end)


def _let_threads_end() -> None:
    # Threads of pyqwest, the SDK's HTTP client, go on for a moment after the answer. One that still needs the
    # interpreter when that ends aborts the process: Python before 3.14 ends such threads through their Rust frames.
    if "pyqwest" in sys.modules:
        time.sleep(_THREADS_END_SECONDS)


def _machine(sandbox: Any) -> E2bMachine:
    return E2bMachine(sandbox.sandbox_id, sandbox.get_host(AGENT_PORT), sandbox.traffic_access_token or "")


def _is_missing(error: Exception) -> bool:
    """A create that is answered with 404 names a template that is not there."""
    return getattr(error, "status_code", None) == 404 or str(error).startswith("404")
