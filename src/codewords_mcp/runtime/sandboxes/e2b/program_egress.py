"""A program's way out on the host's side: to the runtime, and to wherever the runtime's network lets it."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Final

from codewords_mcp.runtime.sandboxes.base import Network, NetworkHandle, PolicedNetwork, SandboxSockets
from codewords_mcp.runtime.sandboxes.e2b.mux import Json, Stream, relay

_CONNECT_SECONDS: Final = 15.0
_MAX_HEAD: Final = 16 << 10
_BACKLOG: Final = 512


def describe(sandbox_id: str, network: Network, *, by_machine: bool) -> Json:
    """A program's network for the agent: the side that judges and dials, and the policy if that is the machine."""
    if by_machine and isinstance(network, PolicedNetwork):
        return {"by": "machine", **network.describe(sandbox_id)}
    return {"by": "runtime"}


def around(described: Json | None) -> tuple[tuple[str, ...] | None, bool]:
    """For E2B's own egress rules around the machine: the only hosts it may reach, and whether it may reach any."""
    if described is None or described["by"] == "runtime" or described["mode"] == "none":
        return None, False
    hosts = described["hosts"]
    return (None if hosts is None else tuple(sorted(hosts))), hosts is None or bool(hosts)


class ProgramEgress:
    """Make it with `open`. What is attached to the network are listeners of this host: the agent's streams end there."""

    def __init__(
        self,
        sandbox_id: str,
        network: Network,
        described: Json,
        sockets: tuple[tuple[str, int], tuple[str, int]],
    ) -> None:
        self.described = described
        """Its description for the agent."""
        self._sandbox_id = sandbox_id
        self._network = network
        self._runtime, self._connect = sockets
        self._handle: NetworkHandle | None = None

    @classmethod
    async def open(cls, sandbox_id: str, network: Network, *, by_machine: bool) -> ProgramEgress:
        """`by_machine`: the machine judges and dials by the network's policy, where it can say what that is.

        Raises SandboxFailed.
        """
        described = describe(sandbox_id, network, by_machine=by_machine)
        # Listeners of this host: the network serves sockets, and the agent's streams end in them.
        runtime, connect = (socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) for _ in range(2))
        egress = cls(sandbox_id, network, described, (runtime.getsockname(), connect.getsockname()))
        egress._handle = await network.attach(sandbox_id, SandboxSockets(runtime, connect))
        return egress

    def report(self, event: Json) -> None:
        """The machine tells of an attempt to connect that it judged."""
        if isinstance(self._network, PolicedNetwork):
            self._network.report(self._sandbox_id, event)

    async def relay(self, stream: Stream, what: Json) -> None:
        """Serve a stream of the agent's."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                if what.get("to") == "runtime":
                    reader, writer = await asyncio.open_connection(*self._runtime)
                else:
                    reader, writer = await self._out(stream, str(what["host"]), int(what["port"]))
        except (OSError, TimeoutError, ValueError, KeyError, asyncio.IncompleteReadError):
            # The agent is told by a reset; it has no other error.
            stream.reset()
            return

        await relay(stream, reader, writer)

    async def close(self) -> None:
        """Close the network. Idempotent."""
        handle, self._handle = self._handle, None
        if handle is not None:
            await handle.close()

    async def _out(
        self, stream: Stream, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """By the network's proxy, whose answer is the verdict. Raises OSError where it does not let it out."""
        reader, writer = await asyncio.open_connection(*self._connect, limit=_MAX_HEAD)
        try:
            # An IPv6 address stands in brackets in a CONNECT request.
            name = f"[{host}]" if ":" in host else host
            writer.write(f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode("ascii"))
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            verdict = {"open": status == 200, "allowed": status not in (403, 407), "reason": ""}
            if status != 200:
                verdict["reason"] = _reason(await reader.read(_MAX_HEAD))
            await stream.write(json.dumps(verdict).encode())
            if status != 200:
                stream.end()
                raise ConnectionRefusedError(host)
        except BaseException:
            writer.close()
            raise

        return reader, writer


def _reason(body: bytes) -> str:
    """The proxy's sentence, without the destination that it begins with."""
    text = body.decode("utf-8", "replace").strip()
    return text.partition(": ")[2].rstrip(".") or "the runtime does not let it out"
