"""From an open home to its orderly end: what the runtime's process does while it lives."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import time
from collections.abc import Generator
from datetime import UTC, datetime
from functools import partial

import structlog
import uvicorn
import uvloop

from codewords_mcp import __version__
from codewords_mcp.cli._activity import Activity
from codewords_mcp.cli._address import RuntimeListener
from codewords_mcp.cli._exit_watchdog import ExitWatchdog
from codewords_mcp.cli._starter import Starter
from codewords_mcp.cli.hosts.session_service import is_installed
from codewords_mcp.cli.lazy_mcp_app import LazyMcpApp
from codewords_mcp.http.app import create_app
from codewords_mcp.http.middleware.protocol import WEBSOCKET, BoundedProtocol
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.auth.api_keys import KEY_FILE
from codewords_mcp.runtime.model.availability import Hosting, StartedBy
from codewords_mcp.settings import Settings
from codewords_mcp.stdio import home
from codewords_mcp.stdio.home_lock import HomeLock
from codewords_mcp.stdio.settings_conflict import fingerprints
from codewords_mcp.stdio.variables import variable_fingerprints

_HANG_UP = 1.0
"""Seconds that open connections get after that."""
_LAST_CALL = 0.3
"""Seconds between telling proxies to stay away and closing the listener, when an idle runtime ends."""
_FORCED_EXIT = 2.0
_CLOSE_TIMEOUT = 15.0
"""Seconds after the drain in which the runtime closes in order. The unit of the session waits 30 s in all."""
_KEEP_ALIVE = 75
_COLLECT_AFTER = 10_000
"""New objects after which the collector looks for cycles: at Python's own 700 or 2,000 it mostly finds requests being served."""
_LOG_CHECK = 60.0
log = structlog.get_logger(__name__)


class _RuntimeServer(uvicorn.Server):
    """uvicorn that says when it listens and leaves the signals to us."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # After the super call, which binds: nobody may be told of an address that doesn't
        # answer.
        self.listening.set()

    def lead_away(self) -> None:
        """Stop listening, and let each response close its connection: clients reconnect elsewhere, and none is cut off at the
        end. Sandboxes have a listener of their own, which goes on.
        """
        for server in self.servers:
            server.close()
        # the second was made of the first, and is made of it again every second
        for headers in (self.config.encoded_headers, self.server_state.default_headers):
            headers.append((b"connection", b"close"))

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:  # pyright: ignore[reportDeprecated]
        # uvicorn would install handlers of its own, which end the server before runs have
        # ended.
        yield


class Lifecycle:
    """Open, serve, publish, wait for a reason to end, drain, close."""

    def __init__(
        self,
        settings: Settings,
        hold: HomeLock,
        listener: RuntimeListener,
        url: str,
        starter: Starter,
        started_by: StartedBy,
    ) -> None:
        self._settings = settings
        self._hold = hold
        self._listener = listener.socket
        self._missed_port = listener.missed_port
        self._url = url
        self._starter = starter
        self._started_by: StartedBy = started_by
        self._started_at = datetime.now(UTC).isoformat()
        self._exit_code = 0
        self._signals = 0
        self._watchdog = ExitWatchdog()

    def run(self) -> int:
        """Live; the exit code. Raises what opening the runtime raises."""
        gc.set_threshold(_COLLECT_AFTER)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._live())
        return self._exit_code

    async def _live(self) -> None:
        self._stopping, self._forced = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Before the home opens: a signal meanwhile ends the process in order, too.
            loop.add_signal_handler(number, self._on_signal, number)
        async with Runtime.open(self._settings, self._hosting()) as runtime:
            runtime.base_url = self._url
            mcp_app = LazyMcpApp(runtime, self._settings)
            self._activity = Activity(
                create_app(runtime, self._settings, mcp_app, on_stop=self._stopping.set)
            )
            async with mcp_app.lifespan():
                await self._serve(runtime)

    def _hosting(self) -> Hosting:
        folder = self._settings.home
        return Hosting(
            self._started_by,
            self._settings.idle_timeout,
            self._missed_port,
            service_installed=partial(is_installed, folder),
        )

    async def _serve(self, runtime: Runtime) -> None:
        self._server = _RuntimeServer(
            uvicorn.Config(
                self._activity,
                http=BoundedProtocol,
                ws=WEBSOCKET,
                loop="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=int(_HANG_UP),
            )
        )
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        try:
            await self._until_stopped(serving, runtime)
            await self._drain(runtime)
        finally:
            self._server.should_exit = True
            await serving

    async def _until_stopped(self, serving: asyncio.Task[None], runtime: Runtime) -> None:
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        # It failed to start; awaiting it raises the reason.
        if serving.done():
            return

        self._publish()
        reasons = {serving, asyncio.create_task(self._stopping.wait())}
        if self._started_by == "detached":
            reasons |= {asyncio.create_task(self._bound_log())}
            if self._settings.idle_timeout:
                reasons |= {asyncio.create_task(self._until_idle(runtime))}

        came, others = await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
        for task in others - {serving}:
            task.cancel()
        # Raises what ended a task: a bug must not look like an orderly end.
        for task in came - {serving}:
            task.result()

    def _publish(self) -> None:
        # The lock is held already. Clients wait for this file, so it comes after the listener.
        self._hold.publish(self._info())
        self._starter.ready()
        log.info("the runtime listens", url=self._url, home=str(self._settings.home), version=__version__)
        if self._missed_port is not None:
            log.warning("another program has the port of this home", port=self._missed_port, url=self._url)

    def _info(self) -> home.RuntimeInfo:
        key = self._settings.api_key or (self._settings.home / KEY_FILE).read_text(encoding="utf-8").strip()
        variables: dict[str, str] = {}
        if self._started_by == "detached":
            # It takes no options, so that nothing else sets it up.
            variables = variable_fingerprints(os.environ, key)

        return home.RuntimeInfo(
            self._url,
            os.getpid(),
            __version__,
            key,
            self._started_at,
            recovered=self._hold.recovered,
            missed_port=self._missed_port or 0,
            settings=fingerprints(self._settings, key),
            variables=variables,
        )

    async def _until_idle(self, runtime: Runtime) -> None:
        limit = self._settings.idle_timeout
        while True:
            if runtime.awaits_schedule:
                idle = 0
            else:
                idle = runtime.idle_seconds

            # Both: a background run has no request, and a request may have no run.
            left = limit - min(idle, self._activity.idle_seconds)
            if left > 0:
                await asyncio.sleep(left)
                continue

            # New clients wait for the next runtime from now on; requests on the way are still served.
            self._hold.retire()
            await asyncio.sleep(_LAST_CALL)
            idle = min(runtime.idle_seconds, self._activity.idle_seconds)
            # Somebody may have come in between; then the address is published again.
            if idle >= limit and not runtime.awaits_schedule:
                log.info("the runtime ends: nobody used it", seconds=limit)
                return

            self._hold.publish(self._info())

    async def _bound_log(self) -> None:
        """Keep the file that stdout and stderr go to within its bound, also if a child process writes to it."""
        path = home.log_path(str(self._settings.home))
        while True:
            await asyncio.sleep(_LOG_CHECK)
            with contextlib.suppress(OSError):
                # Descriptor 1 is the log in a detached runtime.
                if os.stat(1).st_size > home.LOG_LIMIT:
                    await asyncio.to_thread(_copy_and_truncate, path)

    async def _drain(self, runtime: Runtime) -> None:
        """Let runs come to their end for a while, with the listener closed."""
        self._bound_end()
        self._hold.retire()
        if self._server.listening.is_set():
            runtime.announce_end()
            await self._stand_by(self._settings.shutdown_delay)

        until = time.monotonic() + self._settings.drain_timeout

        if self._server.listening.is_set():
            await runtime.drain()
            self._server.lead_away()

        # The facade says since when it is idle, and has no event for its becoming so.
        while not self._forced.is_set() and time.monotonic() < until and runtime.idle_seconds == 0:
            await self._stand_by(0.05)
        log.info("the runtime ends", drained=runtime.idle_seconds > 0)
        await runtime.stop_answering()

    async def _stand_by(self, seconds: float) -> None:
        """Go on as before for so long, or until somebody doesn't want to wait."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._forced.wait()

    def _on_signal(self, number: int) -> None:
        self._signals += 1
        self._stopping.set()
        self._bound_end()
        if self._signals > 1:
            self._forced.set()
            if number == signal.SIGINT:
                self._exit_code = 130
            else:
                self._exit_code = 0
            # The second signal: whoever sends it doesn't want to wait.
            self._server.force_exit = True
            # Sandboxes are still ended and the store closed, if that takes no time.
            self._watchdog.exit_within(_FORCED_EXIT, self._exit_code)

    def _bound_end(self) -> None:
        """End the process in time, whatever its disk and its database do meanwhile."""
        self._watchdog.exit_within(
            self._settings.shutdown_delay + self._settings.drain_timeout + _CLOSE_TIMEOUT
        )


def _copy_and_truncate(path: str) -> None:
    """The writers hold the file open for appending, so it cannot be renamed away from them."""
    import shutil

    shutil.copyfile(path, path + ".1")
    os.truncate(path, 0)
