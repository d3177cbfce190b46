"""The driver as a whole: usage, its end, and the end of the process that has it."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.runtime.sandboxes.base import Capability, Exit, Limits
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.catalog.ending import STUBBORN
from codewords_mcp.testing.sandboxes.expecting import expect, raises, same, until, within
from codewords_mcp.testing.sandboxes.model import Need, importable
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context, files_with, temporary_folder


@check("usage.plausible")
async def plausible(context: Context) -> None:
    """Usage is at least what the program measured itself, known while it runs and final afterwards."""
    code = """
    import json, time
    began = time.monotonic()
    held = b"x" * (50 << 20)
    while time.process_time() < 0.3:
        pass
    print(json.dumps([time.monotonic() - began, time.process_time()]), flush=True)
    time.sleep(600)
    """
    limits = Limits(memory=256 << 20)

    async with context.running(code, limits=limits) as program:
        await program.until_printed(b"\n")
        wall, cpu = json.loads(program.stdout)
        running = await program.usage()
        await within(program.sandbox.kill(), "Killing")
        final = await program.usage()
        # The end is measured once: a later answer would count time that nobody used.
        same(await program.usage(), final, "The usage, asked again after the end")

    # A driver may count its own processes too, so usage is compared from below only.
    expect(
        final.wall_seconds >= running.wall_seconds >= wall,
        f"Wall time is {running}, then {final}; the program saw {wall} s.",
    )
    if final.cpu_seconds is not None:
        # Clocks of processes and of cgroups differ by their ticks.
        expect(0.9 * cpu <= final.cpu_seconds, f"CPU time is {final.cpu_seconds} s; the program saw {cpu} s.")
    if final.peak_memory is not None:
        expect(final.peak_memory >= 50 << 20, f"Peak memory is {final.peak_memory}, the program held 50 MiB.")
    if final.peak_memory is not None and context.claims(Capability.EXACT_MEMORY_LIMIT):
        expect(final.peak_memory <= limits.memory, f"Peak memory is {final.peak_memory}, over the limit.")


@check("driver.claims")
async def claims(context: Context) -> None:
    """The driver says its tier and its capabilities; limited claims come with a sentence."""
    driver = context.driver
    same(
        driver.capabilities - set(Capability),
        frozenset[Capability](),
        "Capabilities that the protocol does not know",
    )
    expect(driver.tier.title, "The tier has no title.")
    expect(driver.tier.id == "A" or driver.tier.facts, "A tier other than A must say what is missing.")


@check("driver.close")
async def close(context: Context) -> None:
    """`close` ends every sandbox, in whatever phase, removes what they left, and may be called again."""
    mark = secrets.token_hex(16)
    async with context.another_driver() as (driver, folder):
        held = (f"mark = {mark!r}", programs.WITNESS, "held = witness('main')")
        # In each phase: running, serving, ended, and just starting.
        running = [await context.start(context.spec(*held, STUBBORN), driver=driver) for _ in range(2)]
        serving = await context.start(context.spec(*held, programs.LITTLE, "serve('served')"), driver=driver)
        ended = await context.start(context.spec("import sys; sys.exit(3)"), driver=driver)
        await serving.ready()
        await ended.ended()
        for program in running:
            await program.until_printed(b"ready")
        # Where a driver keeps files on the host at all, they must be found before, or the check
        # proves nothing.
        expect(
            files_with(mark.encode(), folder) or driver.tier.id not in ("A", "B", "P"),
            "The sandboxes have no files.",
        )
        starting = asyncio.ensure_future(driver.start(context.spec(*held, STUBBORN)))
        # One turn, so that the start has begun.
        await asyncio.sleep(0)
        await within(driver.close(), "Closing the driver")
        await within(asyncio.wait({starting}), "The end of a start that was under way")

        for program in (*running, serving):
            same(await program.ended(), Exit("killed"), "The exit of a sandbox that ran")
            await program.side.gone("main")

        same(await ended.ended(), Exit("exited", code=3), "The exit of a sandbox that had ended")
        # Both are right: the start failed, or its sandbox was ended.
        if not starting.cancelled() and starting.exception() is None:
            await within(starting.result().wait(), "The end of the sandbox that was being started")
        await within(driver.close(), "Closing the driver again")
        await context.leaves_nothing(mark, folder)


@check("driver.closed")
async def closed(context: Context) -> None:
    """A closed driver starts nothing: `start` raises SandboxFailed."""
    async with context.another_driver() as (driver, _):
        await within(driver.close(), "Closing the driver")
        await raises(SandboxFailed, driver.start(context.spec("")), "Starting on a closed driver")


@check("driver.crash", Need.ISOLATION, Need.IMPORTABLE)
async def crash(context: Context) -> None:
    """When the driver's process is killed, its sandboxes end, and a driver opened on the same folder removes what they left."""
    mark = secrets.token_hex(16)
    with temporary_folder() as name:
        folder = Path(name)
        victim = await _open_elsewhere(context, folder, mark)
        try:
            line = await within(_line(victim), "The start of sandboxes in another process")
            same(line, b"running\n", "What the other process says")
            # Else a driver whose processes cannot be seen would pass.
            expect(
                await asyncio.to_thread(_processes_with, mark),
                "The sandboxes' processes are not seen from the host.",
            )
        finally:
            # SIGKILL: nothing in the process can clean up.
            victim.kill()
            await victim.wait()

        async def sandboxes_ended() -> bool:
            return not await asyncio.to_thread(_processes_with, mark)

        await until(sandboxes_ended, "The end of the killed driver's sandboxes")
        driver = await within(
            context.make_driver(context.network, folder), "Opening a driver on the same folder"
        )
        try:
            # Opening the driver cleans up what the killed one left.
            await context.leaves_nothing(mark, folder)
            program = await context.start(context.spec("print('fine')"), driver=driver)
            await program.ended()
            same(program.stdout, b"fine\n", "The output of a sandbox of the new driver")
        finally:
            await within(driver.close(), "Closing the driver")


async def _open_elsewhere(context: Context, folder: Path, mark: str) -> asyncio.subprocess.Process:
    environment: dict[str, Any] = {name: str(value) for name, value in asdict(context.environment).items()}
    task = {
        "make_driver": importable(context.make_driver),
        "folder": str(folder),
        "mark": mark,
        "environment": environment,
    }
    module = "codewords_mcp.testing.sandboxes.victim"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, json.dumps(task), json.dumps(sys.path), stdout=asyncio.subprocess.PIPE
    )


async def _line(process: asyncio.subprocess.Process) -> bytes:
    if process.stdout is not None:
        return await process.stdout.readline()
    return b""


def _processes_with(mark: str) -> list[str]:
    """Ids of processes with `mark` in an argument. Where the host does not show any, none."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            # The process that has the driver carries the mark in its own arguments.
            if mark.encode() in path.read_bytes() and b"-m\0codewords_mcp" not in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            # Ended between the listing and the reading.
            continue
    return found
