"""Programs that take too much: each attempt is bounded, so that a driver without limits shows as a failed check.

Where a driver claims a limit as exact, going over it must end the program; elsewhere a refusal in its face will do too.
"""

from __future__ import annotations

import json
from typing import Final

from codewords_mcp.errors import ProgramFailed
from codewords_mcp.runtime.sandboxes.base import Capability, Exit, Limits
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.expecting import expect, same
from codewords_mcp.testing.sandboxes.model import Need
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context

# Small, so that the checks are quick and the machine keeps enough for its neighbours.
_MEMORY: Final = 96 << 20
_DISK: Final = 20 << 20
_PROCESSES: Final = 24
# The exit code of a program that was refused what it took, and of nothing else.
_REFUSED: Final = 70

_HOARD = """
import mmap, os, signal, sys, time
taken = []
def take():
    {take}
{prepare}
try:
    for _ in range({times}):
        take()
except (MemoryError, OSError):
    os._exit(70)
time.sleep(600)
"""


async def _ends_by_memory(
    context: Context, take: str, prepare: str = "", times: int = 4 * _MEMORY >> 20
) -> None:
    """Take memory by megabytes up to four times the limit, while another sandbox goes on answering."""
    code = _HOARD.format(take=take, prepare=prepare, times=times)
    # Another sandbox must not notice: limits are for each by itself.
    neighbour = await context.server()

    async with context.running(code, limits=Limits(memory=_MEMORY, processes=64)) as program:
        exit_ = await program.ended()
        failure = program.sandbox.failure()

    same(await neighbour.ask(), (200, b'"here"'), "The answer of another sandbox")
    # A refusal in the program's face is as good where the limit is not exact.
    if exit_ == Exit("exited", code=_REFUSED) and not context.claims(Capability.EXACT_MEMORY_LIMIT):
        return

    same(exit_, Exit("out_of_memory"), f"The exit, with stderr {program.stderr!r}")
    if isinstance(failure, ProgramFailed):
        seen = failure.code
    else:
        seen = failure

    same(seen, "program_out_of_memory", "The failure")


@check("limits.heap", Need.ISOLATION)
async def heap(context: Context) -> None:
    """Memory over the limit ends the program, and no other sandbox."""
    await _ends_by_memory(context, "taken.append(b'x' * (1 << 20))")


@check("limits.shared-memory", Need.ISOLATION)
async def shared_memory(context: Context) -> None:
    """Shared mappings count as memory."""
    await _ends_by_memory(context, "m = mmap.mmap(-1, 1 << 20); m.write(b'x' * (1 << 20)); taken.append(m)")


@check("limits.memory-files", Need.ISOLATION)
async def memory_files(context: Context) -> None:
    """Files in memory count as memory."""
    take = "fd = os.memfd_create('m'); os.write(fd, b'x' * (1 << 20)); taken.append(fd)"
    await _ends_by_memory(
        context, take if hasattr(__import__("os"), "memfd_create") else "taken.append(b'x' * (1 << 20))"
    )


@check("limits.memory-of-children", Need.ISOLATION)
async def memory_of_children(context: Context) -> None:
    """Many processes that each hold little count together."""
    # Each of 30 holds an eighth of the limit: no limit on one process alone would ever be met. A driver may end one of
    # them only; a program that fails for that reason has run out of memory.
    take = """
    if os.fork() == 0:
        held = [os.urandom(1 << 20) for _ in range(12)]
        time.sleep(600)
    taken.append(1)
    if len(taken) == 30:
        os.wait()
        os._exit(1)
    """
    await _ends_by_memory(context, take, times=30)


@check("limits.memory-allowed", Need.ISOLATION)
async def memory_allowed(context: Context) -> None:
    """Memory under the limit is given, and given again."""
    # Given back and taken again: a limit on what was ever allocated would refuse it.
    code = "import json\nfor _ in range(3):\n    held = b'x' * (50 << 20)\nprint(json.dumps(len(held)))"
    same(await context.report(code, limits=Limits(memory=_MEMORY * 2)), 50 << 20, "What the program holds")


@check("limits.fork-bomb", Need.ISOLATION)
async def fork_bomb(context: Context) -> None:
    """Processes over the limit are refused, and all of them end with the sandbox."""
    code = """
    import json, os, signal, time
    held, made, refused = witness("any"), 0, None
    for _ in range(200):
        try:
            if os.fork() == 0:
                while True: signal.pause()
        except OSError as error:
            refused = error.errno
            break
        made += 1
    print(json.dumps([made, refused]), flush=True)
    held.close()
    time.sleep(600)
    """
    async with context.running(programs.WITNESS, code, limits=Limits(processes=_PROCESSES)) as program:
        await program.until_printed(b"\n")
        made, refused = json.loads(program.stdout)
        # EAGAIN, as the kernel has it.
        same(refused, 11, f"The error number at process {made}")
        _near(context, made)
        await program.destroy()
        await program.side.gone("any")


@check("limits.endless-forks", Need.ISOLATION)
async def endless_forks(context: Context) -> None:
    """Processes that fork without end all end, with the program or when it is killed."""
    code = """
    import os
    held, main = witness("any"), os.getpid()
    while True:
        try:
            os.fork()
        except OSError:
            if os.getpid() == main:
                break
    held.close()
    print("full", flush=True)
    """
    # Ended from inside and from outside.
    for ending, exit_ in (("os._exit(0)", Exit("exited", code=0)), ("os.wait()", Exit("killed"))):
        limits = Limits(processes=_PROCESSES)
        async with context.running(programs.WITNESS, code, ending, limits=limits) as program:
            await program.until_printed(b"full")
            if exit_.reason == "killed":
                await program.destroy()
            same(await program.ended(), exit_, "The exit")
            await program.side.gone("any")


@check("limits.threads", Need.ISOLATION)
async def threads(context: Context) -> None:
    """Threads count as processes."""
    code = """
    import json, threading
    go, made = threading.Event(), 0
    try:
        for _ in range(200):
            threading.Thread(target=go.wait, daemon=True).start()
            made += 1
    except RuntimeError:
        pass
    go.set()
    print(json.dumps(made))
    """
    _near(context, await context.report(code, limits=Limits(processes=_PROCESSES)))


def _near(context: Context, made: int) -> None:
    """Beside the program itself, a driver may keep one process in the sandbox; best effort may be generous."""
    if context.claims(Capability.EXACT_PROCESS_LIMIT):
        most = _PROCESSES
    else:
        most = 2 * _PROCESSES
    expect(
        _PROCESSES // 2 <= made <= most,
        f"Of {_PROCESSES} processes allowed, {made} more than the program could be made.",
    )


async def _ends_by_disk(context: Context, code: str) -> None:
    # Much memory, so that only the disk's limit can be met.
    async with context.running(code, limits=Limits(disk=_DISK, memory=512 << 20)) as program:
        exit_ = await program.ended()
        failure = program.sandbox.failure()

    # EFBIG, ENOSPC or EDQUOT: a limit that is exact.
    if exit_ == Exit("exited", code=_REFUSED):
        return

    same(exit_, Exit("disk_full"), f"The exit, with stderr {program.stderr!r}")
    if isinstance(failure, ProgramFailed):
        seen = failure.code
    else:
        seen = failure

    same(seen, "program_disk_full", "The failure")


_FILLING = """
import errno, os, signal, tempfile, time
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
{write}
except OSError as error:
    if error.errno in (errno.EFBIG, errno.ENOSPC, errno.EDQUOT):
        os._exit(70)
    raise
time.sleep(600)
"""


def _filling(write: str) -> str:
    return _FILLING.format(write="\n".join(f"    {line}" for line in write.strip().splitlines()))


@check("limits.one-file", Need.ISOLATION)
async def one_file(context: Context) -> None:
    """A file over the disk limit is refused or ends the program."""
    write = """
with open(tempfile.gettempdir() + "/file", "wb") as file:
    for _ in range(100):
        file.write(b"x" * (1 << 20))
        file.flush()
"""
    await _ends_by_disk(context, _filling(write))


@check("limits.many-files", Need.ISOLATION)
async def many_files(context: Context) -> None:
    """Files that are over the disk limit together, in every folder there is, are refused or end the program."""
    write = """
folders = (os.getcwd(), tempfile.gettempdir())
for number in range(100):
    with open(folders[number % 2] + f"/{number}", "wb") as file:
        file.write(b"x" * (1 << 20))
"""
    await _ends_by_disk(context, _filling(write))


@check("limits.unlinked-files", Need.ISOLATION)
async def unlinked_files(context: Context) -> None:
    """Files without a name count."""
    write = """
held, path = [], tempfile.gettempdir() + "/file"
for number in range(100):
    held.append(open(path, "wb"))
    held[-1].write(b"x" * (1 << 20))
    held[-1].flush()
    os.unlink(path)
"""
    await _ends_by_disk(context, _filling(write))


@check("limits.disk-allowed", Need.ISOLATION)
async def disk_allowed(context: Context) -> None:
    """Files under the limit are written, and again after some were removed."""
    code = """
    import json, os, tempfile
    path = tempfile.gettempdir() + "/file"
    for _ in range(8):
        with open(path, "wb") as file:
            file.write(b"x" * (8 << 20))
        os.unlink(path)
    print(json.dumps("written"))
    """
    same(await context.report(code, limits=Limits(disk=_DISK)), "written", "What the program says")


@check("limits.descriptors", Need.ISOLATION)
async def descriptors(context: Context) -> None:
    """Open files are limited, and none of the host's is inherited."""
    code = """
    import json, os
    first = []
    for fd in range(4096):
        try:
            os.fstat(fd)
            first.append(fd)
        except OSError:
            pass
    held = []
    try:
        while len(held) < 5000:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        print(json.dumps([first, len(held), error.errno]))
    """
    first, held, refused = await context.report(code, limits=Limits(files=128))
    same(refused, 24, "The error number of one file too many")
    expect(100 <= held <= 128, f"Of 128 open files allowed, {held} could be opened.")
    expect(len(first) <= 8, f"The program began with open files {first}.")
