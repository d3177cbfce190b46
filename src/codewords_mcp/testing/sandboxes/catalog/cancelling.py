"""Calls that are cancelled, in each phase of a sandbox's life."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.base import Exit
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.catalog.ending import STUBBORN
from codewords_mcp.testing.sandboxes.expecting import background, expect, raises, same, until, within
from codewords_mcp.testing.sandboxes.network import SuiteNetwork
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context

# Turns of the event loop after which a start is cancelled …
_TURNS = (0, 1, 2, 4, 8)
# … or seconds.
_SECONDS = (0.003, 0.01, 0.02, 0.05, 0.1)


async def cancel(task: asyncio.Future[Any]) -> None:
    """Cancel a call and wait until it has heard."""
    task.cancel()
    await within(asyncio.wait({task}), "The end of a cancelled call")


@check("cancel.starting")
async def starting(context: Context) -> None:
    """A start cancelled at any moment leaves no process, no file and no network."""
    # A slow attach makes the moment in which a start waits for the network long enough to be met.
    network = SuiteNetwork(delay=0.005)
    mark = secrets.token_hex(16)

    async with context.another_driver(network) as (driver, folder):
        for turns, seconds in [*((turns, 0.0) for turns in _TURNS), *((0, seconds) for seconds in _SECONDS)]:
            spec = context.spec(f"mark = {mark!r}", programs.WITNESS, "held = witness('main')", STUBBORN)
            task = asyncio.ensure_future(driver.start(spec))
            for _ in range(turns):
                await asyncio.sleep(0)
            if seconds:
                # Not a wait: it must not matter when the start is cancelled.
                await asyncio.sleep(seconds)
            await cancel(task)
            # The start was quicker than the cancellation.
            if not task.cancelled() and task.exception() is None:
                await within(task.result().kill(), "Killing a sandbox that was started after all")

        await until(lambda: not network.open(), "The closing of the cancelled sandboxes' networks")
        for side in network.sides.values():
            # Its process had begun: it must be gone too.
            if side.came["main"].is_set():
                await side.gone("main")

        await context.leaves_nothing(mark, folder)
        # A cancelled start must not break the driver for the next one.
        program = await context.start(context.spec("print('fine')"), driver=driver)
        same(await program.ended(), Exit("exited", code=0), "The exit of the sandbox after those")
        same(program.stdout, b"fine\n", "The output of the sandbox after those")


@check("cancel.while-it-starts")
async def while_it_starts(context: Context) -> None:
    """A sandbox killed before its program got to run ends as killed, and tells whoever waits for it."""
    # The program never listens, so the kill comes before it is ready.
    async with (
        context.running("import time\ntime.sleep(600)") as program,
        background(program.sandbox.wait_ready()) as waiting,
    ):
        same(await within(program.sandbox.kill(), "Killing"), Exit("killed"), "The exit")
        await raises(CodewordsError, waiting, "Waiting for a killed sandbox to get ready")


@check("cancel.waiting")
async def waiting(context: Context) -> None:
    """Waiting for readiness or for the end can be given up; the sandbox goes on."""
    slow = "import time\ntime.sleep(0.3)\n"
    async with context.running(slow, programs.LITTLE, "serve('served')") as program:
        sandbox = program.sandbox
        for call in (sandbox.wait_ready(), sandbox.wait()):
            task = asyncio.ensure_future(call)
            # One turn, so that the call has begun.
            await asyncio.sleep(0)
            await cancel(task)
            expect(task.cancelled(), "A cancelled wait did not raise CancelledError.")

        await program.ready()
        same(await program.ask(), (200, b"served"), "The answer")


@check("cancel.requesting")
async def requesting(context: Context) -> None:
    """A request that is given up is told to the program, which serves others."""
    program = await context.server()
    name = context.name()
    # `background` cancels the request at the end of the block.
    async with background(program.request("GET", b"/hold/" + name)):
        await _counted(context, name)
    await _counted(context, name + b"-gone")


@check("cancel.streaming")
async def streaming(context: Context) -> None:
    """An answer that is given up half-way is told to the program, which serves others."""
    program = await context.server()
    name = context.name()
    reply = await program.request("GET", b"/endless/" + name)
    await within(anext(reply.body), "The first part")
    await reply.aclose()
    await _counted(context, name + b"-gone")


@check("cancel.uploading")
async def uploading(context: Context) -> None:
    """A request that is given up while its body is sent is told to the program, which serves others."""
    program = await context.server()
    name = context.name()
    started, never = asyncio.Event(), asyncio.Event()

    async def body():  # noqa: ANN202  # an async iterator of bytes
        yield b"first"
        started.set()
        await never.wait()

    async with background(program.request("POST", b"/hold/" + name, [], body())):
        await within(started.wait(), "Sending the first part")
        await _counted(context, name)

    await _counted(context, name + b"-gone")


@check("cancel.stopping")
async def stopping(context: Context) -> None:
    """A `stop` that is given up leaves a sandbox that can still be killed."""
    async with context.running(STUBBORN) as program:
        # The program ignores SIGTERM, so `stop` waits for its grace.
        await program.until_printed(b"ready")
        async with background(program.sandbox.stop(600)):
            await program.until_printed(b"heard")
        same(await within(program.sandbox.kill(), "Killing"), Exit("killed"), "The exit")


@check("cancel.killing")
async def killing(context: Context) -> None:
    """A `kill` that is given up still kills, and leaves nothing."""
    mark = secrets.token_hex(16)
    async with context.running(
        f"mark = {mark!r}", programs.WITNESS, "held = witness('main')", STUBBORN
    ) as program:
        await program.until_printed(b"ready")
        # A reason of its own: the exit tells whether this kill was the one that counted.
        async with background(program.sandbox.kill("timed_out")):
            # One turn, so that the call has begun.
            await asyncio.sleep(0)
        same(await within(program.sandbox.wait(), "The end"), Exit("timed_out"), "The exit")
        await program.side.gone("main")

    await context.leaves_nothing(mark)


async def _counted(context: Context, name: bytes) -> None:
    """Wait until the shared server has counted."""
    program = await context.server()

    # The program learns of the end a moment after the caller has left.
    async def is_counted() -> bool:
        return bool(await program.ask_json(b"/count/" + name))

    await until(is_counted, f"The program's noticing of {name.decode()!r}")
