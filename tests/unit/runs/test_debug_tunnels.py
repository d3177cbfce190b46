"""Editors and bridges are joined by the draft that is debugged."""

from __future__ import annotations

import asyncio

import pytest

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.runs.debug_tunnels import DebugTunnels

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("dev:debugger")]
DRAFT, SANDBOX = "draft_0a1b2c3d4e5f", "sandbox"


class Pipe:
    """One end of a connection: `told` is what it was sent, `say` what it says."""

    def __init__(self) -> None:
        self.told = b""
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def receive(self) -> bytes | None:
        return await self.said.get()

    async def send(self, data: bytes) -> None:
        self.told += data

    def say(self, data: bytes | None) -> None:
        self.said.put_nowait(data)


def tunnels(known: dict[str, str]) -> DebugTunnels:
    return DebugTunnels(known.get)


async def test_bytes_go_both_ways_until_the_editor_has_gone() -> None:
    joined = tunnels({SANDBOX: DRAFT})
    bridge, editor = Pipe(), Pipe()
    offering = asyncio.create_task(joined.offer(SANDBOX, "/app/main.py", bridge))
    joining = asyncio.create_task(joined.join(DRAFT, editor, 5))
    editor.say(b"to the program")
    editor.say(None)
    await asyncio.gather(offering, joining)
    assert (bridge.told, editor.told) == (b"to the program", b"/app/main.py\n")


async def test_an_editor_waits_for_a_program_and_not_for_ever() -> None:
    known: dict[str, str] = {}
    joined = tunnels(known)
    with pytest.raises(NotFound):
        await joined.join(DRAFT, Pipe(), 0)
    with pytest.raises(NotFound):
        await joined.offer(SANDBOX, "/app/main.py", Pipe())

    editor, bridge = Pipe(), Pipe()
    joining = asyncio.create_task(joined.join(DRAFT, editor, 5))
    known[SANDBOX] = DRAFT
    offering = asyncio.create_task(joined.offer(SANDBOX, "/app/main.py", bridge))
    bridge.say(None)
    await asyncio.gather(joining, offering, return_exceptions=True)
    assert offering.done()


async def test_a_program_that_has_gone_or_runs_older_code_is_not_joined() -> None:
    known = {SANDBOX: DRAFT, "older": DRAFT}
    joined = tunnels(known)
    gone, older = Pipe(), Pipe()
    ended = asyncio.create_task(joined.offer(SANDBOX, "/gone.py", gone))
    waiting = asyncio.create_task(joined.offer("older", "/older.py", older))
    gone.say(None)
    await ended
    del known["older"]
    with pytest.raises(NotFound):
        await joined.join(DRAFT, Pipe(), 0)
    older.say(None)
    await waiting
