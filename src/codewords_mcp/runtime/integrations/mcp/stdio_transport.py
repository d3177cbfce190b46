"""Messages of a server on standard input and output: lines of JSON-RPC over one connection, in bounds.

What a server writes there besides is passed over, since many print a greeting; the bounds count it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from codewords_mcp.errors import CodewordsError, UpstreamFailed
from codewords_mcp.runtime.integrations.mcp.session_faults import MAX_BYTES, MAX_STREAM_BYTES, SessionFaults
from codewords_mcp.runtime.secrets.scrub import Scrubber

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams
    from mcp.shared.message import SessionMessage

_CHUNK: Final = 64 << 10
DRAIN_TIMEOUT_S: Final = 60.0
"""Seconds for which a server may leave its input unread."""


class LineReader:
    """Reads lines. Raises UpstreamFailed for one that is too long, and for too much since the last `reset`."""

    def __init__(
        self, reader: asyncio.StreamReader, max_line: int = MAX_BYTES, max_bytes: int = MAX_STREAM_BYTES
    ) -> None:
        self._reader = reader
        self._max_line = max_line
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._received = 0

    def reset(self) -> None:
        """Begin to count anew: something was asked."""
        self._received = 0

    async def next(self) -> bytes | None:
        """The next line without its end; None at the end of the stream."""
        scanned = 0
        while (end := self._buffer.find(b"\n", scanned)) < 0:
            # A long line comes in many chunks, of which each is searched once.
            scanned = len(self._buffer)
            if scanned > self._max_line:
                raise UpstreamFailed(
                    f"The server's answer is larger than {self._max_line >> 20} MiB, which is the limit.",
                    hint="Ask for less of it.",
                )
            chunk = await self._reader.read(_CHUNK)
            if not chunk:
                return None
            self._received += len(chunk)
            if self._received > self._max_bytes:
                raise UpstreamFailed(
                    f"The server sent more than {self._max_bytes >> 20} MiB that nobody asked for.",
                    hint="It was ended.",
                )
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line


@asynccontextmanager
async def stdio_streams(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    faults: SessionFaults,
    scrubber: Scrubber,
    explain_end: Callable[[], Awaitable[CodewordsError]],
) -> AsyncGenerator[TransportStreams]:
    """The streams that a client of the protocol takes. `explain_end` is asked when the server hangs up.

    What goes wrong is noted in `faults`, and ends the streams. Values of `scrubber` never leave them.
    """
    import anyio
    from mcp.shared.message import SessionMessage

    # Without buffers, so that messages that nobody takes stay with the server.
    to_client, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_client = anyio.create_memory_object_stream[SessionMessage](0)
    lines = LineReader(reader)

    async with anyio.create_task_group() as group:
        group.start_soon(_receive, lines, to_client, faults, scrubber, explain_end)
        group.start_soon(_send, writer, lines, from_client, to_client, faults)
        try:
            yield incoming, outgoing
        finally:
            group.cancel_scope.cancel()
            for stream in (to_client, incoming, outgoing, from_client):
                stream.close()
            writer.close()


async def _receive(
    lines: LineReader,
    to_client: MemoryObjectSendStream[SessionMessage | Exception],
    faults: SessionFaults,
    scrubber: Scrubber,
    explain_end: Callable[[], Awaitable[CodewordsError]],
) -> None:
    import anyio
    from mcp.shared.message import SessionMessage
    from mcp_types import jsonrpc_message_adapter

    try:
        while (line := await lines.next()) is not None:
            try:
                message = jsonrpc_message_adapter.validate_json(scrubber.whole(line), by_name=False)
            except ValueError:
                # No message: a greeting, a log line, or nonsense.
                continue
            await to_client.send(SessionMessage(message))
        faults.note(await explain_end())
    except CodewordsError as error:
        faults.note(error)
    except OSError:
        faults.note(await explain_end())
    except (anyio.ClosedResourceError, anyio.BrokenResourceError):
        return
    finally:
        to_client.close()


async def _send(
    writer: asyncio.StreamWriter,
    lines: LineReader,
    from_client: MemoryObjectReceiveStream[SessionMessage],
    to_client: MemoryObjectSendStream[SessionMessage | Exception],
    faults: SessionFaults,
) -> None:
    with suppress(OSError):
        async for message in from_client:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            # Before the request is written, since its answer may come at once.
            lines.reset()
            writer.write(text.encode() + b"\n")
            try:
                async with asyncio.timeout(DRAIN_TIMEOUT_S):
                    await writer.drain()
            except TimeoutError:
                faults.note(
                    UpstreamFailed("The server does not read what it is asked.", hint="It was ended.")
                )
                to_client.close()
                return
