"""What is left of sandboxes after many runs and many kill -9 of the runtime?

Runs a thousand executions while the runtime is killed again and again, fifty times in all, at whatever they are doing; starts
it a last time, and counts processes, mounts, control groups and folders of sandboxes that are still there. There is no peer:
what has to be there is nothing.

    python benchmarks/leftovers.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from _bench import alone, clean_environment, options
from _door import CODE, Client
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime, wait_until_up

AT_ONCE = 8


@contextmanager
def killed(home: Path) -> Iterator[ServedRuntime]:
    """A runtime that does not stop in order: whoever uses it kills it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "codewords_mcp", "serve", "--port", "0"],
        env=clean_environment(CODEWORDS_HOME=str(home)), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield wait_until_up(process, home, home / "serve.log")
    finally:
        process.kill()
        process.wait()


async def burst(clients: list[Client], wanted: int, victim: int | None) -> int:
    """Runs until so many have answered, or until the runtime has been killed under them; how many did."""
    answered = 0

    async def ask_on(client: Client) -> None:
        nonlocal answered
        try:
            async with client:
                while victim is not None or answered < wanted:
                    with suppress(
                        AssertionError
                    ):  # told why it did not run: a machine may be too busy for it
                        await client.ask()
                        answered += 1
        except (OSError, asyncio.IncompleteReadError, ValueError):
            return  # it was killed

    asking = asyncio.gather(*(ask_on(client) for client in clients))
    if victim is not None:
        while answered < wanted and not asking.done():
            await asyncio.sleep(0.005)
        await asyncio.sleep(random.uniform(0.0, 0.05))  # in the middle of whatever comes next
        os.kill(victim, signal.SIGKILL)
    await asking
    return answered


class Traces:
    """Knows by which names the sandboxes of a home can be found after their runtime has gone."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._mark = str(home).encode()
        self._groups: set[Path] = set()

    def note(self) -> None:
        """Remember the control groups of the runtime that lives now."""
        for file in (self._home / "run").glob("*/cgroups"):
            self._groups |= {Path(line) for line in file.read_text(encoding="utf-8").splitlines()}

    def left(self) -> dict[str, int]:
        """Counts of what is still there."""
        kept = {"tier.json", "e2b-home"}
        folders = [path for path in (self._home / "run").iterdir() if path.name not in kept]
        return {
            "processes": sum(self._is_ours(path) for path in Path("/proc").glob("[0-9]*")),
            "mounts": Path("/proc/self/mountinfo").read_bytes().count(self._mark),
            "control groups": sum(group.exists() for group in self._groups),
            "folders": len(folders),
        }

    def _is_ours(self, process: Path) -> bool:
        if process.name == str(os.getpid()):
            return False
        for name in ("cmdline", "environ", "mountinfo"):
            try:
                if self._mark in (process / name).read_bytes():
                    return True
            except OSError:
                continue
        return False


def main() -> int:
    """Run, kill, count."""
    chosen = options(__doc__.splitlines()[0], runs=1000, quick_runs=100)
    kills = 5 if chosen.quick else 50
    answered = 0
    with tempfile.TemporaryDirectory(prefix="codewords-left-") as folder:
        home = make_home(Path(folder) / "home")
        traces = Traces(home)
        with start_runtime(home, python=sys.executable) as runtime:
            service = runtime.deploy(CODE, "greeting")
            traces.note()
        for number in range(kills):
            with killed(home) as runtime:
                traces.note()
                clients = [Client.of(runtime, service) for _ in range(AT_ONCE)]
                wanted = max(1, (chosen.runs - answered) // (kills - number))
                answered += asyncio.run(burst(clients, wanted, runtime.pid))
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{number + 1}/{kills} kills, {answered} runs ")
        with start_runtime(home, python=sys.executable) as runtime:  # cleans up after the last one
            clients = [Client.of(runtime, service) for _ in range(AT_ONCE)]
            answered += asyncio.run(burst(clients, max(AT_ONCE, chosen.runs - answered), None))
            traces.note()
        left = traces.left()
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    return tell(left, answered, kills, as_json=chosen.as_json)


def tell(left: dict[str, int], answered: int, kills: int, *, as_json: bool) -> int:
    """Print; the exit code: 1 where anything is left."""
    question = f"left after {answered} answered runs and {kills} kill -9 of the runtime"
    if as_json:
        alone(question, sum(left.values()), "things", runs=answered, at_most=0, left=left)
    else:
        print(f"{question}: " + ", ".join(f"{count} {name}" for name, count in left.items()))
    return 1 if any(left.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
