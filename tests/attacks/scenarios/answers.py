"""Servers that answer the runtime as none should. The client must end with an error, in bounded memory, and go on."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from dataclasses import dataclass
from typing import Final

from tests.attacks.probes import NotHeldError, Result, Scenes, held
from tests.attacks.runner import Hostile, Stage, within

from codewords_mcp.common.http1 import Headers
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes import http1

MIB: Final = 1 << 20
_ROOM: Final = 24 * MIB
"""What the client may grow by while an answer goes on without end (96 MiB are sent)."""
_MEMORY: Final = "The runtime would hold all of it, until it holds nothing any more."
_CONFUSED: Final = "Two readings of one answer: what one caller is told, another one gets."
_BAD: Final = "a platform error that says that the answer is not HTTP"


@dataclass(frozen=True)
class Asked:
    """A server to ask, and the stage that it is on."""

    stage: Stage
    server: Hostile


scenes: Scenes[Asked] = Scenes("answers", "Hostile answers to the runtime's HTTP client")


async def _get(asked: Asked, path: str) -> tuple[int, Headers, bytes]:
    reply = await http1.request(asked.server.sandbox.socket_path, "GET", f"/{path}".encode(), [], None)
    body = b""
    async for chunk in reply.body:
        body += chunk[: max(0, MIB - len(body))]
    return reply.status, reply.headers, body


async def _well(asked: Asked) -> None:
    if (await within(_get(asked, "well")))[2] != b"ok":
        raise NotHeldError("the next request is not answered")


async def _refused(asked: Asked, path: str) -> str:
    """The client gives up with an error of its own, does not grow, and goes on."""
    before = _resident()
    try:
        status, _, body = await within(_get(asked, path))
    except CodewordsError as error:
        grown = _resident() - before
        await _well(asked)
        return held(grown < _ROOM, f"{error.code}: {error.message} (grew by {grown // MIB} MiB)")
    raise NotHeldError(f"answered {status} {body[:100]!r} (grew by {(_resident() - before) // MIB} MiB)")


for _path, _tries, _matters in (
    ("long-header", "One header of 1 MiB", _MEMORY),
    ("many-headers", "60,000 headers", _MEMORY),
    ("endless-headers", "Headers without end", _MEMORY),
    ("endless-header", "One header without end", _MEMORY),
    ("endless-status", "A status line without end", _MEMORY),
    ("endless-interim", "Interim answers (103) without end", _MEMORY),
    ("endless-trailers", "Trailers without end after a short body", _MEMORY),
    ("endless-trailer", "One trailer without end", _MEMORY),
    ("two-lengths", "Two different lengths", _CONFUSED),
    ("length-and-chunks", "A length and chunks at once", _CONFUSED),
    ("negative-length", "A negative length", _CONFUSED),
    ("huge-length", "A length of 23 digits", _CONFUSED),
    ("huge-chunk", "A chunk whose size does not fit 64 bits", _CONFUSED),
    ("short-body", "Fewer bytes than the length says", "Half an answer taken for a whole one."),
    ("switched", "Switch protocols although nobody asked", "What follows is not HTTP any more."),
    ("not-http", "Answer in TLS", _CONFUSED),
    ("status-999", "A status of five digits", _CONFUSED),
    ("spaced-name", "A length whose name has a space behind it, and another one", _CONFUSED),
    ("injected", "Line breaks and zero bytes in header values", "They become headers of their own for whoever reads them next."),
):  # fmt: skip

    async def _ends(asked: Asked, path: str = _path) -> str:
        return await _refused(asked, path)

    scenes.scene(_path, _tries, _matters, _BAD)(_ends)


async def _bounded(asked: Asked, path: str) -> str:
    before = _resident()
    with contextlib.suppress(CodewordsError):
        await within(_get(asked, path))
    grown = _resident() - before
    await _well(asked)
    return held(grown < _ROOM, f"grew by {grown // MIB} MiB")


@scenes.scene(
    "endless-extension",
    "A chunk extension without end",
    _MEMORY,
    "passed over, or refused, in bounded memory",
)
async def _(asked: Asked) -> str:
    return await _bounded(asked, "endless-extension")


@scenes.scene("tiny-chunks", "200,000 chunks of one byte", _MEMORY, "passed on in bounded memory")
async def _(asked: Asked) -> str:
    return await _bounded(asked, "tiny-chunks")


@scenes.scene(
    "second-answer",
    "A second answer behind the first",
    "It would be the answer to the next request.",
    "nobody gets it",
)
async def _(asked: Asked) -> str:
    pool = http1.Connections(asked.server.sandbox.socket_path)
    bodies: list[bytes] = []
    for path in (b"/second-answer", b"/well"):
        reply = await within(http1.request(pool.path, "GET", path, [], None, connections=pool))
        bodies.append(b"".join([chunk async for chunk in reply.body]))
    pool.close()
    return held(bodies == [b"ok", b"ok"], bodies)


for _path, _method, _tries in (
    ("body-without-leave", "GET", "An answer behind one that has no body (204)"),
    ("unmodified-body", "GET", "An answer in the body of one that has none (304)"),
    ("head-with-body", "HEAD", "An answer in the body of an answer to HEAD"),
    ("two-codings", "GET", "An answer behind one with two codings"),
):

    async def _alone(asked: Asked, path: str = _path, method: str = _method) -> str:
        return await _not_the_next(asked, path, method)

    scenes.scene(_path, _tries, "It would be the answer to the next request.", "nobody gets it")(_alone)


async def _not_the_next(asked: Asked, path: str, method: str) -> str:
    """What follows an answer on its connection is nobody's: the next request's answer is its own."""
    pool = http1.Connections(asked.server.sandbox.socket_path)

    async def get(method: str, path: str) -> str:
        try:
            reply = await http1.request(pool.path, method, f"/{path}".encode(), [], None, connections=pool)
            return f"{reply.status} {b''.join([chunk async for chunk in reply.body]).decode()}".strip()
        except CodewordsError as error:
            return error.code

    first, second = await within(get(method, path)), await within(get("GET", "well"))
    pool.close()
    return held(second == "200 ok" and "forged" not in first, f"{first}; then {second}")


@scenes.scene(
    "status-zero", "A status of 000", _CONFUSED, "an error, or an answer that callers are given as 5xx"
)
async def _(asked: Asked) -> str:
    try:
        status, _, _ = await within(_get(asked, "status-zero"))
    except (CodewordsError, TimeoutError) as error:
        return type(error).__name__
    return held(100 <= status < 600, status)


@scenes.scene(
    "unread", "A body without end that nobody reads", _MEMORY, "the program has to wait after a few MiB"
)
async def _(asked: Asked) -> str:
    before = _resident()
    reply = await within(http1.request(asked.server.sandbox.socket_path, "GET", b"/endless-body", [], None))
    chunks = aiter(reply.body)
    await anext(chunks)
    await _well(asked)  # meanwhile another request is answered
    await asyncio.sleep(0.2)
    grown = _resident() - before
    await reply.aclose()
    await _well(asked)
    return held(grown < 8 * MIB, f"grew by {grown >> 10} KiB")


async def _given_up(asked: Asked, path: str) -> str:
    """The caller's patience ends it: the request is cancelled, and nothing is left of it."""
    asking = asyncio.ensure_future(_get(asked, path))
    done, _ = await asyncio.wait({asking}, timeout=0.5)
    await _well(asked)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return held(not done, "waits, and others are answered meanwhile; ends when it is told to")


@scenes.scene(
    "silent",
    "Never answer",
    "A wait without end holds a connection, a slot, a caller.",
    "others are answered meanwhile; the caller's patience ends it",
)
async def _(asked: Asked) -> str:
    return await _given_up(asked, "silent")


@scenes.scene(
    "dripping",
    "A header by one byte every 20 ms (slow loris)",
    "The same.",
    "others are answered meanwhile; the caller's patience ends it",
)
async def _(asked: Asked) -> str:
    return await _given_up(asked, "dripping")


async def play(stage: Stage) -> list[Result]:
    """All of them to one server."""
    async with stage.playing(stage.spec("answers")) as server:
        await within(server.sandbox.wait_ready())
        return await scenes.play(Asked(stage, server), stage.way)


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
