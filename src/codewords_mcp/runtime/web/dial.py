"""Connects to a host on behalf of a sandbox: resolve the name, judge the addresses, dial those."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar, cast

from codewords_mcp.runtime.model.addresses import Address, parse_address
from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS, EgressPolicy

Resolve = Callable[[str, int], Sequence[str]]
"""`resolve(name, port)` → addresses as text. May block; raises OSError if there are none."""

LOOKUPS_PER_SANDBOX = 8
COMMON_LOOKUPS = 16
"""Concurrent lookups of all sandboxes together, beside one of each."""
# More than the number of sandboxes. A thread is started only if none is idle.
_MAX_THREADS = 1024
MAX_ADDRESSES = 8
HEAD_START_S = 0.25
"""Seconds that an address has before the next one is tried beside it (RFC 8305)."""


class DialFailed(Exception):  # an outcome, caught inside this package
    """No connection was made: `host` `verb`: `reason`. `address` is the one judged or tried."""

    allowed: ClassVar[bool]
    verb: ClassVar[str]

    def __init__(self, reason: str, address: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.address = address
        self.host = ""


class DialRefused(DialFailed):
    """The policy refuses this connection."""

    allowed, verb = False, "may not be reached"


class Unreachable(DialFailed):
    """The policy allows the connection, but it failed."""

    allowed, verb = True, "could not be reached"


@dataclass(slots=True)
class Dialled:
    """A connected, non-blocking socket, which the receiver owns, its address, and the requested
    host.
    """

    sock: socket.socket
    address: str
    host: str = ""


def system_resolve(host: str, port: int) -> list[str]:
    """Resolve by the system: hosts file, DNS, or any other configured source."""
    found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Share:
    """Concurrent lookups of one sandbox: one is guaranteed, further ones depend on the common
    limit.
    """

    def __init__(self, at_once: int = LOOKUPS_PER_SANDBOX) -> None:
        self.slots = asyncio.Semaphore(at_once)
        self.guaranteed_slot = asyncio.Semaphore(1)


class Dialler:
    """Dials for all sandboxes, each of which has its own `Share`.

    Lookups run in their own threads, so that a dead name server delays neither the runtime nor
    other sandboxes.
    """

    def __init__(self, resolve: Resolve, connect_timeout: float) -> None:
        self._resolve = resolve
        self._timeout = connect_timeout
        self._common = asyncio.Semaphore(COMMON_LOOKUPS)
        self._threads = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="egress-lookup")

    def close(self) -> None:
        """Cancel queued lookups. Running ones end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def dial(self, policy: EgressPolicy, host: str, port: int, share: Share) -> Dialled:
        """Connect to a host (as `normal_host` gives it).

        Raises DialRefused or Unreachable within the timeout.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline):
                permitted = await self._permitted(policy, host, port, share)
                return await self._connect_to_any(permitted, port, deadline)
        except TimeoutError:
            raise Unreachable(f"no response within {self._timeout:g} s") from None

    async def permitted(self, policy: EgressPolicy, host: str, port: int, share: Share) -> list[str]:
        """Addresses of a host that may be dialled, for a caller that dials exactly those.

        Raises DialRefused, Unreachable.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._permitted(policy, host, port, share)
        except TimeoutError:
            raise Unreachable(f"the name was not found within {self._timeout:g} s") from None

    async def _permitted(self, policy: EgressPolicy, host: str, port: int, share: Share) -> list[str]:
        return _permitted(policy, host, port, await self._addresses(policy, host, port, share))

    async def _addresses(self, policy: EgressPolicy, host: str, port: int, share: Share) -> list[Address]:
        # A literal needs no lookup, and is judged like any address below.
        literal = parse_address(host)
        if literal is not None:
            return [literal]

        # Before the lookup: a query to a name server of the destination carries data out by itself.
        reason = policy.lookup_refusal(host, port)
        if reason:
            raise DialRefused(reason)

        if host == HOST_ALIAS:
            texts: Sequence[str] = ("127.0.0.1",)
        else:
            texts = await self._lookup(host, port, share)

        # Duplicates would be dialled twice.
        found = dict.fromkeys(address for address in map(parse_address, texts) if address is not None)
        if not found:
            raise Unreachable("the name was not found")

        return list(found)[:MAX_ADDRESSES]

    async def _lookup(self, host: str, port: int, share: Share) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        free = await self._take_slot(share)

        def release(_: Future[Sequence[str]]) -> None:
            # Runs when the thread is free, which may be after the caller has stopped waiting for it.
            # The loop may be closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(free)

        lookup = self._threads.submit(self._resolve, host, port)
        lookup.add_done_callback(release)

        try:
            return await asyncio.wrap_future(lookup)
        except (OSError, UnicodeError):
            raise Unreachable("the name was not found") from None

    async def _take_slot(self, share: Share) -> Callable[[], None]:
        """Wait for a lookup slot. Returns the function that releases it."""
        # The sandbox's own limit first: a sandbox that waits for it must not hold a common slot.
        await share.slots.acquire()
        try:
            # The guaranteed slot keeps a sandbox going while others use up all the common ones.
            shared = await _either(share.guaranteed_slot, self._common)
        except BaseException:
            share.slots.release()
            raise

        def free() -> None:
            share.slots.release()
            shared.release()

        return free

    async def _connect_to_any(self, addresses: list[str], port: int, deadline: float) -> Dialled:
        failure = Unreachable("no address accepted the connection")
        for index, address in enumerate(addresses):
            remaining = deadline - asyncio.get_running_loop().time()
            try:
                # The rest of the time is divided evenly: a dead address must not use up that of the
                # next.
                async with asyncio.timeout(remaining / (len(addresses) - index)):
                    return Dialled(await connect(address, port), address)
            except TimeoutError:
                failure = Unreachable(f"no response within {self._timeout:g} s", address)
            except OSError as error:
                failure = Unreachable(os.strerror(error.errno or 0).lower(), address)

        raise failure


async def _either(first: asyncio.Semaphore, second: asyncio.Semaphore) -> asyncio.Semaphore:
    """Acquire one of two semaphores, whichever is free first."""
    for semaphore in (first, second):
        if not semaphore.locked():
            await semaphore.acquire()
            return semaphore

    waits = {asyncio.create_task(semaphore.acquire()): semaphore for semaphore in (first, second)}

    def taken() -> list[asyncio.Semaphore]:
        # A wait that cannot be cancelled any more has its semaphore.
        return [semaphore for wait, semaphore in waits.items() if not wait.cancel()]

    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        for semaphore in taken():
            semaphore.release()
        raise

    # Both may have come free at once.
    shared, *more = taken()
    for semaphore in more:
        semaphore.release()
    return shared


def _permitted(policy: EgressPolicy, host: str, port: int, addresses: list[Address]) -> list[str]:
    verdicts = {str(address): policy.refusal(host, port, address) for address in addresses}
    # All addresses are judged, and one that is refused is never dialled, whatever its order.
    permitted = [address for address, reason in verdicts.items() if reason is None]
    if not permitted:
        address, reason = next(iter(verdicts.items()))
        raise DialRefused(reason or "", address)
    return permitted


async def connect(address: str, port: int) -> socket.socket:
    """Connect a non-blocking TCP socket that detects a vanished peer. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        prepare(sock)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    # Also where the task is cancelled: nobody else knows of this socket.
    except BaseException:
        sock.close()
        raise
    return sock


async def connect_to_first(addresses: Sequence[str], port: int) -> socket.socket:
    """Connect to the first of these addresses that accepts. Each has a head start (RFC 8305). Raises OSError."""
    if len(addresses) == 1:
        return await connect(addresses[0], port)

    import aiohappyeyeballs

    start = cast("Callable[..., Awaitable[socket.socket]]", getattr(aiohappyeyeballs, "start_connection"))  # noqa: B009  # its types are half known
    found = [
        (
            socket.AF_INET6 if ":" in address else socket.AF_INET,
            socket.SOCK_STREAM,
            socket.IPPROTO_TCP,
            "",
            (address, port),
        )
        for address in addresses
    ]
    # In the system's order of preference.
    sock = await start(found, happy_eyeballs_delay=HEAD_START_S)
    prepare(sock)
    return sock


_OPTIONS = {
    "TCP_NODELAY": 1,
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPINTVL": 15,
    "TCP_KEEPCNT": 4,
    # Milliseconds that sent data may go unacknowledged.
    "TCP_USER_TIMEOUT": 120_000,
}


def prepare(sock: socket.socket) -> None:
    """Send small writes at once, and detect a vanished peer within two minutes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        # Not every system has all of them.
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
