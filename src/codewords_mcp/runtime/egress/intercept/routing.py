"""Connections of a sandbox that has placeholders: intercepted for a host with a rule, else
tunnelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator
from typing import Final

from codewords_mcp.runtime.egress.intercept.connection import (
    first_bytes,
    intercept,
    is_http,
    is_tls,
    read_plain,
)
from codewords_mcp.runtime.egress.intercept.observed import ObservedConnection
from codewords_mcp.runtime.egress.intercept.session import InterceptSession
from codewords_mcp.runtime.egress.intercept.unread import NO_HTTP
from codewords_mcp.runtime.egress.relay import Check, Traffic, relay, reset
from codewords_mcp.runtime.web.dial import DialFailed

UNJUDGED: Final = (
    "it is neither HTTP nor TLS that can be read, so it cannot be judged what it would change (databases, mail and other "
    "protocols over TCP): it is not made in a dry run, nor in a run that may be resumed"
)


async def serve_connection(
    session: InterceptSession,
    client: socket.socket,
    upstream: socket.socket | None,
    *,
    to_client: bytes,
    to_upstream: bytes,
) -> None:
    """Serve a connection; owns both sockets.

    `to_client` and `to_upstream` are sent first, as in `relay`.

    Without `upstream` the host is dialled when data must be sent to it: a recorder may answer in
    its place.
    """
    if upstream is not None and not session.interception.covers(session.host, session.port):
        if session.interception.records:
            connection = ObservedConnection(session, client, upstream, _plain_check(session))
            await connection.serve(to_client, to_upstream)
        else:
            await _tunnel(session, client, upstream, to_client, to_upstream)
        return

    def reset_late() -> None:
        # HTTP/2 is read without a recorder that answers: it would not be asked.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    session.interception.opened(reset_late)
    try:
        # First: a client of a proxy sends nothing before it is connected.
        await asyncio.get_running_loop().sock_sendall(client, to_client)
        async with _with_first(client, to_upstream) as program:
            first = await first_bytes(program, upstream, patient=judged_only(session))
            # Silent with a recorder: a program that waits for the host's greeting needs the host.
            if not first and upstream is None and not judged_only(session):
                upstream = await session.dial()
                first = await first_bytes(program, upstream)

            if is_tls(first):
                await intercept(session, program, upstream, first)
            elif session.interception.answers and is_http(first):
                session.secure = False
                await read_plain(session, program, upstream)
            elif judged_only(session):
                session.refused(UNJUDGED)
                reset(program)
            else:
                await _tunnel(session, program, upstream or await session.dial(), b"", b"")
    except DialFailed:
        # Recorded where it was dialled.
        reset(client)
    except BaseException:
        client.close()
        if upstream is not None:
            upstream.close()
        raise
    finally:
        session.interception.closed(reset_late)


def judged_only(session: InterceptSession) -> bool:
    """Whether connections that cannot be read are refused, as in a dry run."""
    recording = session.interception.recording
    return recording is not None and recording.judged_only


async def _tunnel(
    session: InterceptSession,
    client: socket.socket,
    upstream: socket.socket,
    to_client: bytes,
    to_upstream: bytes,
) -> None:
    """Relay unchanged.

    Unencrypted data is scanned: a placeholder in it ends the connection and is recorded.
    """
    traffic, began = Traffic(total=session.traffic), time.monotonic()
    try:
        await relay(
            client,
            upstream,
            to_client=to_client,
            to_upstream=to_upstream,
            traffic=traffic,
            check=_plain_check(session),
        )
    finally:
        recording = session.interception.recording
        if recording is not None:
            recording.note_unread(
                session.host, session.port, (traffic.sent, traffic.received), began, NO_HTTP
            )


def _plain_check(session: InterceptSession) -> Check | None:
    """Judges what a program sends unencrypted: a placeholder in it is refused, and another name than the host's."""
    if not session.interception.credentials.every:
        return session.check

    # A stateful check of the names in TLS or HTTP, until it has seen enough.
    watch, names = session.interception.credentials.watch(), session.check

    def check(chunk: bytes) -> bool:
        nonlocal names
        found = watch.found(chunk)
        if found is not None:
            session.refused(f"it holds {found} and is not sent by TLS to a host of its rule")
            return False
        verdict = True
        if names is not None:
            verdict = names(chunk)
        if verdict is None:
            # It has told all that it will: the rest passes unread.
            names = None
        return verdict is not False

    return check


@contextlib.asynccontextmanager
async def _with_first(client: socket.socket, first: bytes) -> AsyncGenerator[socket.socket]:
    """The program's end of the connection, with the consumed bytes put back."""
    if not first:
        yield client
        return

    # A pair of sockets: TLS of asyncio reads from a socket only.
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    relaying = asyncio.create_task(relay(client, theirs, to_upstream=first))
    try:
        yield ours
    finally:
        # What the program was sent last is on its way.
        await asyncio.wait({relaying}, timeout=2)
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
