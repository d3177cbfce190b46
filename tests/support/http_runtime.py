"""A real runtime behind a real uvicorn on loopback, in a thread of its own, and raw sockets to ask it with."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import uvicorn
import uvloop
from tests.support.certificates import TRUSTS_NONE
from tests.support.runtime import DRAIN_SECONDS
from tests.support.waiting import until_async

from codewords_mcp.cli.mcp_app import create_mcp_app
from codewords_mcp.http.app import create_app
from codewords_mcp.http.middleware.protocol import BoundedProtocol
from codewords_mcp.http.middleware.websocket_protocol import WebSocketProtocol
from codewords_mcp.mcp_server.limits import DEFAULT_LIMITS, ServerLimits
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.auth.authority import Permissions
from codewords_mcp.runtime.auth.run_keys import RunKey
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.sandboxes.base import SandboxSockets
from codewords_mcp.settings import Settings

T = TypeVar("T")
_MAX_WAIT_S = 120.0
"""Seconds for anything that takes a moment on a machine that nobody else uses."""
_numbers = itertools.count(1)
ADMIN_KEY = "cwk-admin-of-the-tests-0123456789abcdef"
EVERYTHING = Manifest(hosts=("*",), services=("*",))
PROBE = Path(__file__).with_name("probe_workflow.py")


class Door:
    """An open door. `url` is where; `stops` counts calls of `on_stop`."""

    def __init__(
        self,
        settings: Settings,
        limits: ServerLimits = DEFAULT_LIMITS,
        protocol: type[BoundedProtocol] = BoundedProtocol,
    ) -> None:
        if "drain_timeout" not in settings.model_fields_set:
            settings = settings.model_copy(update={"drain_timeout": DRAIN_SECONDS})
        self.settings = settings
        self._protocol = protocol
        self._limits = limits
        self.listener = socket.create_server(("127.0.0.1", settings.port))
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.stopped = threading.Event()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="door")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_MAX_WAIT_S), "the runtime did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def stop(self) -> None:
        """Begin to stop, as a signal does."""
        self._loop.call_soon_threadsafe(self._end.set)

    def __exit__(self, *_exc: object) -> None:
        # Its loop is closed where it was stopped before.
        with suppress(RuntimeError):
            self.stop()
        self._thread.join(_MAX_WAIT_S)
        self.listener.close()
        assert not self._thread.is_alive(), "the door did not close"
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as failure:  # noqa: BLE001  # told by the fixture's thread
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with Runtime.open(self.settings) as self.runtime:
            self.runtime.base_url = self.url
            mcp_app, mcp_lifespan = create_mcp_app(self.runtime, self.settings, self._limits)
            app = create_app(self.runtime, self.settings, mcp_app, on_stop=self.stopped.set)
            config = uvicorn.Config(
                app, http=self._protocol, ws=WebSocketProtocol, loop="none", lifespan="on", log_config=None,
                access_log=False, server_header=False, timeout_graceful_shutdown=1,
            )  # fmt: skip
            server = _Server(config)
            async with mcp_lifespan():
                serving = asyncio.create_task(server.serve(sockets=[self.listener]))
                await until_async(lambda: server.started or serving.done())
                self._ready.set()
                await asyncio.wait(
                    {serving, asyncio.ensure_future(self._end.wait())}, return_when=asyncio.FIRST_COMPLETED
                )
                server.should_exit = True
                await serving

    def ask(self, make: Callable[[Runtime], Coroutine[Any, Any, T]]) -> T:
        """Something of the facade itself, on its loop."""
        return asyncio.run_coroutine_threadsafe(make(self.runtime), self._loop).result(_MAX_WAIT_S)

    def client(self, key: str | None = ADMIN_KEY, **options: Any) -> httpx.Client:
        """An HTTP client with a key."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        options.setdefault("verify", TRUSTS_NONE)
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=_MAX_WAIT_S, trust_env=False, **options
        )

    def make_key(self, **options: Any) -> str:
        """A new key's text."""
        admin = Caller("local", "admin")
        return self.ask(lambda runtime: runtime.keys.create(admin, **options))[0]

    def sign_in_address(self, url: str = "/", key: str = ADMIN_KEY) -> str:
        """A one-time address that signs the holder of a key in and leads to a page."""
        with self.client(key) as http:
            made = http.post("/sign-ins", json={"page": url.removeprefix(self.url)})
        return made.json()["url"]

    @contextmanager
    def sandbox(
        self, run: Caller, service_id: str = "", manifest: Manifest = EVERYTHING
    ) -> Generator[Inside]:
        """A sandbox that serves this run, of this workflow, as its program sees it."""
        runtime, connect = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        inside = Inside(runtime.getsockname()[1], f"sandbox-{next(_numbers)}")

        async def attach(of: Runtime) -> Any:
            container = of._container  # pyright: ignore[reportPrivateUsage]
            permissions = Permissions.of(service_id, run.owner, manifest)
            container.authorities.begin(run.run_id or "", run.owner, permissions, None)
            inside.bind(container.keyring.new_run_key(inside.id), run)
            return await container.egress.attach(inside.id, SandboxSockets(runtime, connect))

        async def close(_of: Runtime) -> None:
            await handle.close()

        handle = self.ask(attach)
        try:
            yield inside
        finally:
            self.ask(close)

    @contextmanager
    def connect(self) -> Generator[Wire]:
        """A raw connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_MAX_WAIT_S) as raw:
            yield Wire(raw)


class Inside:
    """A sandbox from its inside: where it finds the runtime, and the key that it has."""

    def __init__(self, port: int, sandbox_id: str) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.id = sandbox_id

    def bind(self, key: RunKey, run: Caller) -> None:
        """From now on it serves this run."""
        self.run_key, self.key = key, key.text
        key.bind(run)

    def client(self, key: str | None = "", **options: Any) -> httpx.Client:
        """An HTTP client with its own key, another one, or none."""
        headers = {} if key is None else {"Authorization": f"Bearer {key or self.key}"}
        options.setdefault("verify", TRUSTS_NONE)
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=_MAX_WAIT_S, trust_env=False, **options
        )

    @contextmanager
    def connect(self) -> Generator[Wire]:
        """A raw connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_MAX_WAIT_S) as raw:
            yield Wire(raw)


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Wire:
    """Bytes to and from a server, read up to a mark."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.unread = b""

    def send(self, data: bytes) -> None:
        self.raw.sendall(data)

    def request(
        self, method: str, path: str, *headers: str, body: bytes = b"", key: str | None = ADMIN_KEY
    ) -> None:
        lines = [f"{method} {path} HTTP/1.1", *headers]
        if not any(header.lower().startswith("host:") for header in headers):
            lines.append("Host: 127.0.0.1")
        if key:
            lines.append(f"X-API-Key: {key}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def until(self, mark: bytes) -> bytes:
        """What came up to and with `mark`; all that came when the server closed before it."""
        while mark not in self.unread:
            data = self.raw.recv(65536)
            if not data:
                found, self.unread = self.unread, b""
                return found
            self.unread += data
        at = self.unread.index(mark) + len(mark)
        found, self.unread = self.unread[:at], self.unread[at:]
        return found

    def head(self) -> str:
        """Status line and headers, lower case."""
        return self.until(b"\r\n\r\n").decode("latin-1").lower()
