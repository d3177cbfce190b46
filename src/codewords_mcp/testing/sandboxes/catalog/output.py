"""Checks of a program's output, byte for byte."""

from __future__ import annotations

import hashlib
from typing import Final

from codewords_mcp.runtime.sandboxes.base import Exit, Stream
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.expecting import expect, same, settled, within
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context

_FLOOD: Final = 50 << 20


@check("output.bytes")
async def bytes_(context: Context) -> None:
    """Bytes that are no text arrive unchanged; UTF-8 does; a last line without newline does."""
    code = r"""
    import os, sys
    os.write(1, bytes(range(256)) + b"\xff\xfe\xc3(")
    print("päper 🎈 日本", flush=True)
    sys.stdout.write("no newline")
    """
    program, exit_ = await context.finished(code)
    # The end has no newline: nothing may be held back for one.
    expected = bytes(range(256)) + b"\xff\xfe\xc3(" + "päper 🎈 日本\nno newline".encode()
    same((program.stdout, exit_), (expected, Exit("exited", code=0)), "The output, and the exit")


@check("output.streams")
async def streams(context: Context) -> None:
    """stderr comes apart from stdout, each in its order."""
    program, _ = await context.finished(
        "import os\nfor n in range(3000): os.write(1 + n % 2, b'%04d' % n * 256)\n"
    )
    names: tuple[tuple[Stream, int], ...] = (("stdout", 0), ("stderr", 1))
    # Streams may be mixed with each other, but not within themselves.
    for stream, parity in names:
        expected = b"".join(b"%04d" % number * 256 for number in range(parity, 3000, 2))
        same(bytes(program.printed.get(stream, b"")), expected, f"What came on {stream}")


@check("output.live")
async def live(context: Context) -> None:
    """What is printed, without a flush, arrives while the program goes on."""
    async with context.running("print('working')", programs.LITTLE, "serve('served')") as program:
        await program.until_printed(b"working\n")
        await program.ready()
        same(await program.ask(), (200, b"served"), "The answer of the program, which goes on")


@check("output.children")
async def children(context: Context) -> None:
    """A child's output is the program's."""
    code = """
    import os, subprocess, sys
    subprocess.run([sys.executable, "-c", "import os; os.write(1, b'out'); os.write(2, b'err')"])
    if os.fork() == 0:
        os.write(1, b" forked")
        os._exit(0)
    os.wait()
    """
    program, _ = await context.finished(code)
    same((program.stdout, program.stderr), (b"out forked", "err"), "The output")


@check("output.last-words")
async def last_words(context: Context) -> None:
    """What was written just before the end is not lost, however the program ends."""
    for end, exit_ in (
        ("os._exit(3)", Exit("exited", code=3)),
        ("os.kill(os.getpid(), 11)", Exit("signaled", signal=11)),
    ):
        # 60 kB fit into a pipe: they are written, and the writer is gone, before anybody reads.
        program, seen = await context.finished(f"import os\nos.write(1, b'x' * 60_000 + b'end')\n{end}\n")
        same(seen, exit_, "The exit")
        same(
            (len(program.stdout), program.stdout[-3:]),
            (60_003, b"end"),
            f"Length and end of the output before {end}",
        )


@check("output.nothing")
async def nothing(context: Context) -> None:
    """A program that prints nothing has an output that ends."""
    program, exit_ = await context.finished("")
    same(list(program.printed), list[str](), "Streams that something came on")
    same(exit_, Exit("exited", code=0), "The exit")


@check("output.flood")
async def flood(context: Context) -> None:
    """50 MB of output arrive whole; while nobody reads them the program waits."""
    code = f"""
    import hashlib, os
    for number in range({_FLOOD >> 16}):
        os.write(1, hashlib.sha256(b"%d" % number).digest() * 2048)
        if number == {_FLOOD >> 17}:
            half = witness("half")
    """
    # Not collected: the check itself decides when output is read.
    async with context.running(programs.WITNESS, code, collect=False) as program:
        chunks = program.sandbox.output()
        first = await within(anext(chunks), "The first output")
        half = program.side.came["half"]
        # A program that goes on would set it within milliseconds.
        await settled(half.is_set, 1)
        expect(not half.is_set(), "The program could write 25 MB that nobody read.")
        sha, size = hashlib.sha256(first.data), len(first.data)

        async for chunk in chunks:
            if chunk.stream == "stdout":
                sha.update(chunk.data)
                size += len(chunk.data)

        same(await within(program.sandbox.wait(), "The end"), Exit("exited", code=0), "The exit")

    expected = hashlib.sha256(
        b"".join(hashlib.sha256(b"%d" % n).digest() * 2048 for n in range(_FLOOD >> 16))
    )
    same((size, sha.hexdigest()), (_FLOOD, expected.hexdigest()), "Size and digest of the output")
