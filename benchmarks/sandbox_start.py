"""How long until a fresh sandbox has answered its first request, beside `uv run --script` of the same file?

Ours, each for one execution and destroyed after it: forked from the environment's fork server; claimed from a sandbox
that was forked before anybody asked; started by exec, the fallback; and the same fork without any isolation, for what
isolation adds. Beside it the environment's Python in bubblewrap and firejail, where they are installed, which start it anew
and leave it the machine's network. All variants take turns.

    python benchmarks/sandbox_start.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from _bench import Options, Question, clean_environment, options, report
from _sandboxes import (
    CODE,
    PEER_NAME,
    Program,
    UvRun,
    ask,
    confined,
    execute,
    greeting_environment,
    open_driver,
    quiet,
    until,
)

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.namespaces import inside

PLAIN_NAME = "the same fork without any isolation"


class PlainFork:
    """`_plain_fork.py`, asked for forks."""

    def __init__(self, folder: Path, control: socket.socket) -> None:
        self._folder = folder
        self._control = control
        self._script = folder / "main.py"
        self._script.write_text(CODE, encoding="utf-8")
        self._count = 0

    @classmethod
    @contextmanager
    def running(cls, folder: Path, environment: EnvironmentRef) -> Iterator[PlainFork]:
        """With the server up."""
        python = environment.base_prefix / "bin" / f"python{environment.python_version}"
        packages = environment.path / "lib" / f"python{environment.python_version}" / "site-packages"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [
            python,
            "-S",
            Path(__file__).with_name("_plain_fork.py"),
            Path(inside.__file__).parent.parent,
            packages,
        ]
        with subprocess.Popen(
            [*argv, str(theirs.fileno())], pass_fds=[theirs.fileno()], env=clean_environment(PYTHONHASHSEED="0"),
            stdout=subprocess.DEVNULL, stderr=None,
        ) as process, ours:  # fmt: skip
            theirs.close()
            if ours.recv(100) != b"ready":
                raise SystemExit("the plain fork server did not start")
            yield cls(folder, ours)
            process.kill()

    async def milliseconds(self) -> float:
        """From binding the socket to the whole answer."""
        began = time.perf_counter()
        self._count += 1
        path = self._folder / f"{self._count}.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(64)
            socket.send_fds(self._control, [str(self._script).encode()], [listener.fileno()])
        pid = int(self._control.recv(100))
        await ask(str(path))
        took = (time.perf_counter() - began) * 1000
        subprocess.run(["/bin/kill", "-9", str(pid)], check=True)
        return took


async def measure(chosen: Options) -> list[Question]:
    """All variants in turns; the first round warms up and is dropped."""
    environment = await greeting_environment()
    with tempfile.TemporaryDirectory() as folder, PlainFork.running(Path(folder), environment) as plain:
        uv_run = await asyncio.to_thread(UvRun, Path(folder), environment)
        async with (
            open_driver(environment) as forks,
            open_driver(environment, max_warm=2) as max_warm,
            open_driver(environment, forking=False) as execs,
        ):

            async def claimed() -> float:
                await until(lambda: sum(one["warm"] for one in max_warm.forks.describe()) >= 2)
                return await execute(max_warm, environment)

            others = confined(Path(folder), environment)

            def started(program: Program) -> Callable[[], Awaitable[float]]:
                return lambda: asyncio.to_thread(program.milliseconds)

            variants: dict[str, Callable[[], Awaitable[float]]] = {
                "uv": started(uv_run),
                "fork": lambda: execute(forks, environment),
                "warm": claimed,
                "exec": lambda: execute(execs, environment),
                "plain": plain.milliseconds,
            } | {name: started(program) for name, program in others.items()}
            taken: dict[str, list[float]] = {name: [] for name in variants}
            for number in range(chosen.runs + 1):
                for name, variant in variants.items():
                    took = await variant()
                    if number:
                        taken[name].append(took)
    return [
        Question("forked, fresh, isolated, to the first answer", PEER_NAME, "ms", 1 / 22, taken["fork"], taken["uv"]),
        Question("claimed from a warm sandbox", PEER_NAME, "ms", 1 / 50, taken["warm"], taken["uv"]),
        Question("started by exec (the fallback)", PEER_NAME, "ms", None, taken["exec"], taken["uv"]),
        Question("what isolation adds to a fork", PLAIN_NAME, "ms", None, taken["fork"], taken["plain"], adds_at_most=3.0),
    ] + [
        Question("forked, fresh, isolated, to the first answer", f"its Python in {name}", "ms", None, taken["fork"], taken[name])
        for name in others
    ]  # fmt: skip


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options(__doc__.splitlines()[0], runs=30, quick_runs=8)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        questions = runner.run(measure(chosen))
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
