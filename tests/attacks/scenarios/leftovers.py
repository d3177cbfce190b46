"""What a program leaves on disk for host-side code to trip over: whoever measures its files, and whoever removes them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.attacks.probes import NotHeldError, Result, Scenes, held
from tests.attacks.runner import MAX_WAIT_S, Stage
from tests.support.waiting import until_async

_FOLLOWED: Final = (
    "The runtime may do on the host what the program may not: it would remove, or read, the host's files."
)


@dataclass(frozen=True)
class RunFolder:
    """A stage, the folder of its driver, and a folder of the host that links lead to."""

    stage: Stage
    run_dir: Path
    canary: Path


scenes: Scenes[RunFolder] = Scenes("leftovers", "Traps on disk for host-side code")


async def _cleaned(floor: RunFolder, trap: str, *, while_busy: float = 0.0) -> str:
    """Plant, kill, and wait until nothing is left below the driver's folder; the canary is as it was."""
    before, there = _state(floor.canary), _entries(floor.run_dir)
    async with floor.stage.playing(floor.stage.spec("planting", trap=trap)) as planter:
        await planter.says('"planted"')
        await asyncio.sleep(while_busy)  # the watchdog looks twice a second
        if planter.sandbox.failure() is not None:
            raise NotHeldError(f"the program was ended: {await planter.sandbox.wait()}")
    await until_async(lambda: not _entries(floor.run_dir) - there, "the folder to be removed", MAX_WAIT_S)
    return held(_state(floor.canary) == before, "removed; the host's folder is as it was")


@scenes.scene(
    "links",
    "Links to the host's files, from every name and depth, and in place of main.py",
    _FOLLOWED,
    "they are removed, not followed",
)
async def _(floor: RunFolder) -> str:
    return await _cleaned(floor, "links")


@scenes.scene(
    "swapping",
    "Folders that turn into links and back while they are walked",
    _FOLLOWED,
    "what is walked is what was looked at",
)
async def _(floor: RunFolder) -> str:
    return await _cleaned(floor, "swapping", while_busy=1.2)


@scenes.scene(
    "odd",
    "FIFOs, sockets, folders without permissions, names with line breaks, escapes and options",
    "Opening a FIFO waits for ever; a name becomes a command or a line of a log.",
    "all are removed",
)
async def _(floor: RunFolder) -> str:
    return await _cleaned(floor, "odd", while_busy=0.8)


@scenes.scene(
    "many",
    "20,000 names of one file",
    "Counting each of them takes the watchdog's time.",
    "all are removed; one file is counted",
)
async def _(floor: RunFolder) -> str:
    return await _cleaned(floor, "many", while_busy=0.8)


@scenes.scene(
    "measured",
    "Links to /usr and /python, and links in circles",
    "Whoever follows them measures the host, or never ends.",
    "they are not counted: the program goes on",
)
async def _(floor: RunFolder) -> str:
    return await _cleaned(floor, "measured", while_busy=1.2)


@scenes.scene(
    "outliving",
    "Leave processes that have no parent, session or group of the program's, ignore signals, or are stopped",
    "A program that outlives its run goes on in nobody's name.",
    "none of them is there after the sandbox's end",
)
async def _(floor: RunFolder) -> str:
    mark = str(7_000_000 + secrets.randbelow(999_999))
    async with floor.stage.playing(floor.stage.spec("planting", trap="outliving", mark=mark)) as planter:
        await planter.says('"planted"')
        await until_async(lambda: len(_marked(mark)) >= 2, "the programs", MAX_WAIT_S)
    left = _marked(mark)
    return held(not left, f"{len(left)} of 2 are there")


def _marked(mark: str) -> list[int]:
    """Processes of the host with this word in their command lines."""
    found: list[int] = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if mark.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


async def play(stage: Stage, run_dir: Path) -> list[Result]:
    """One after the other."""
    return await scenes.play(RunFolder(stage, run_dir, Path(stage.facts["canary_folder"])), stage.way)


def _state(folder: Path) -> list[tuple[str, int, int, int, str]]:
    found: list[tuple[str, int, int, int, str]] = []
    for path in sorted([folder, *folder.rglob("*")]):
        info = path.lstat()
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        found.append((path.name, info.st_mode, info.st_uid, info.st_nlink, text))
    return found


def _entries(run_dir: Path) -> set[str]:
    """Folders two and three levels below: one sandbox each."""
    found: set[str] = set()
    for top, folders, _ in os.walk(run_dir):
        depth = len(Path(top).relative_to(run_dir).parts)
        found |= {f"{top}/{name}" for name in folders}
        if depth >= 2:
            folders.clear()
    return found
