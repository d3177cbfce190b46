"""The local port of a debugger: an editor's connection, passed on to the sandbox of a served file.

An editor names the file here, and the program in its sandbox has another path, so the request by which an editor attaches gets
the mapping of the one to the other where it has none.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from codewords_mcp.cli.dev.connection import RuntimeConnection
from codewords_mcp.cli.dev.events import Events
from codewords_mcp.cli.dev.peers import is_own_user
from codewords_mcp.cli.dev.served_file import ServedFile

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_PIECE: Final = 64 << 10
_START: Final = b"Content-Length:"
"""How each message of the protocol begins. A web page can reach the port, but not begin a request with anything but a method."""
_MAX_MESSAGE: Final = 1 << 20
"""Bytes of a message of an editor before it is attached."""


class DebugPort:
    """Takes connections of editors, on loopback. Each is one session with the debugger of the file."""

    def __init__(self, file: ServedFile, runtime: RuntimeConnection, events: Events) -> None:
        self._file = file
        self._runtime = runtime
        self._events = events
        self._sessions: set[asyncio.Task[Any]] = set()

    async def serve(self, listener: socket.socket) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_server(self._session, sock=listener)
        try:
            await server.serve_forever()
        finally:
            for task in self._sessions:
                task.cancel()
            await asyncio.gather(*self._sessions, return_exceptions=True)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        task = asyncio.current_task()
        if task is not None:
            self._sessions.add(task)
            task.add_done_callback(self._sessions.discard)
        try:
            start = await reader.readexactly(len(_START))
        except (asyncio.IncompleteReadError, OSError):
            start = b""
        ends = (writer.get_extra_info("peername"), writer.get_extra_info("sockname"))
        if start.lower() != _START.lower() or not await asyncio.to_thread(is_own_user, *ends):
            writer.close()
            return
        runtime = self._runtime.endpoint
        address = f"ws{runtime.url.removeprefix('http')}/drafts/{self._file.draft_id}/debugger"
        try:
            # A message with the variables of a frame may be larger than the client's usual limit of 1 MiB.
            async with connect(
                address, additional_headers=runtime.headers, proxy=None, max_size=None
            ) as connection:
                # The first message is the path of the program in its sandbox; the debugger's own follow.
                program = (await connection.recv(decode=False)).decode(errors="replace").rstrip("\n")
                self._events.say("debugger", f"A debugger is attached to {self._file.name}", "cyan")
                await self._carry(reader, writer, connection, program, start)
        except (WebSocketException, OSError):
            self._events.say("debugger", "No program to attach to: call it once, then attach again", "yellow")
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: ClientConnection,
        program: str,
        start: bytes,
    ) -> None:
        async def outward() -> None:
            async for message in connection:
                writer.write(message if isinstance(message, bytes) else message.encode())
                await writer.drain()

        async def inward() -> None:
            mapping = PathMapping(str(self._file.path), program)
            data = start
            while data := data or await reader.read(_PIECE):
                if passed := mapping.feed(data):
                    await connection.send(passed)
                data = b""

        tasks = {asyncio.create_task(outward()), asyncio.create_task(inward())}
        try:
            # A session is over when either end hangs up, so the other direction is not waited for.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class PathMapping:
    """The messages of an editor, with the mapping of `local` to `remote` in its request to attach."""

    def __init__(self, local: str, remote: str) -> None:
        self._mapping = {"localRoot": local, "remoteRoot": remote}
        self._held = b""
        self._attached = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the editor; returns those that go on. After its request to attach they pass as they are."""
        if self._attached:
            return data
        self._held += data
        passed = b""
        while not self._attached and (message := self._next()) is not None:
            passed += self._changed(message)
        if self._attached or len(self._held) > _MAX_MESSAGE:
            # What is no message of the protocol is the debugger's to refuse.
            self._attached = True
            passed, self._held = passed + self._held, b""
        return passed

    def _next(self) -> bytes | None:
        """The next whole message with its head, taken out of what is held; None while it is not whole."""
        head, separator, _ = self._held.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
        end = len(head) + len(separator) + length
        if len(self._held) < end:
            return None
        message, self._held = self._held[:end], self._held[end:]
        return message

    def _changed(self, message: bytes) -> bytes:
        try:
            content: Any = json.loads(message.partition(b"\r\n\r\n")[2])
            attaches = content["command"] == "attach"
        except (ValueError, KeyError, TypeError, RecursionError):
            return message
        if not attaches:
            return message
        self._attached = True
        arguments = content.setdefault("arguments", {})
        # A mapping from the editor's own settings comes first: it may map more than this file.
        if not isinstance(arguments, dict) or arguments.get("pathMappings"):  # pyright: ignore[reportUnknownMemberType]
            return message
        arguments["pathMappings"] = [self._mapping]
        body = json.dumps(content).encode()
        return b"Content-Length: %d\r\n\r\n" % len(body) + body
