"""A connection of a sandbox that holds placeholders: intercepted for a host with a rule, else tunnelled."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator

from codewords_mcp.runtime.egress.intercept.session import Session, first_bytes, intercept, is_tls
from codewords_mcp.runtime.egress.relay import relay


async def carry(
    session: Session, client: socket.socket, upstream: socket.socket, *, to_client: bytes, to_upstream: bytes
) -> None:
    """Serve it; owns both sockets. `to_client` and `to_upstream` go out first, as `relay` has it."""
    if not session.interception.covers(session.host, session.port):
        await _tunnel(session, client, upstream, to_client, to_upstream)
        return
    try:
        await asyncio.get_running_loop().sock_sendall(client, to_client)
        async with _with_first(client, to_upstream) as program:
            first = await first_bytes(program)
            if is_tls(first):
                await intercept(session, program, upstream, first)
            else:
                await _tunnel(session, program, upstream, b"", b"")
    except BaseException:
        client.close()
        upstream.close()
        raise


async def _tunnel(
    session: Session, client: socket.socket, upstream: socket.socket, to_client: bytes, to_upstream: bytes
) -> None:
    """Untouched. What is not encrypted is looked at: a placeholder in it breaks the connection off, and is told."""
    watch = session.interception.credentials.watch()

    def check(chunk: bytes) -> bool:
        found = watch.found(chunk)
        if found is not None:
            session.refused(f"it holds {found} and is not sent by TLS to a host of its rule")
        return found is None

    await relay(
        client, upstream, to_client=to_client, to_upstream=to_upstream, traffic=session.traffic, check=check
    )


@contextlib.asynccontextmanager
async def _with_first(client: socket.socket, first: bytes) -> AsyncGenerator[socket.socket]:
    """The program's end of the connection with what was read of it already put back."""
    if not first:
        yield client
        return
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    carrying = asyncio.create_task(relay(client, theirs, to_upstream=first))
    try:
        yield ours
    finally:
        await asyncio.wait({carrying}, timeout=2)
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
