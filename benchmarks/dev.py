"""How long after a save does a workflow answer with the new code, in `codewords dev` and in `uvicorn --reload`?

From the save of the file until the first answer of the new code, asked for again and again; the environment stays the same.
The peer is the same program in the same environment, outside of any sandbox.

    python benchmarks/dev.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _bench import Question, clean_environment, interleave, options, report
from _door import served
from _peers import free_port
from _sandboxes import CODE, greeting_environment

MAX_P50_MS = 150
PEER = "uvicorn --reload of the same file, outside of any sandbox"
_numbers = itertools.count(1)


def ask(port: int) -> str:
    """The answer, "" where there is none."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", b'{"name": "Ada"}', headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read().decode()
    except (OSError, urllib.error.HTTPError):
        return ""


def saved(file: Path, port: int) -> float:
    """Milliseconds from a save to the first answer with it."""
    word = f"Hello{next(_numbers)}"
    code = CODE.replace("Hello", word)
    began = time.perf_counter()
    file.write_text(code, encoding="utf-8")
    while word not in ask(port):
        time.sleep(0.002)
    took = (time.perf_counter() - began) * 1000
    # What goes on after the answer, its checks and the end of its sandbox, is part of neither's next turn.
    time.sleep(1.0)
    return took


@contextmanager
def developing(file: Path, home: Path, port: int) -> Generator[None]:
    command = [Path(sys.executable).with_name("codewords"), "dev", str(file), "--port", str(port), "--json"]
    env = clean_environment(CODEWORDS_HOME=str(home))
    with running(command, env):
        until_answers(port)
        yield


@contextmanager
def reloading(file: Path, port: int) -> Generator[None]:
    environment = asyncio.run(greeting_environment())
    version = environment.python_version
    packages = environment.path / "lib" / f"python{version}" / "site-packages"
    python = environment.base_prefix / "bin" / f"python{version}"
    command = [
        python,
        "-m",
        "uvicorn",
        f"{file.stem}:app",
        "--reload",
        "--port",
        str(port),
        "--log-level",
        "error",
    ]
    with running(command, clean_environment(PYTHONPATH=str(packages), LOGLEVEL="INFO"), file.parent):
        until_answers(port)
        yield


@contextmanager
def running(command: list[str | Path], env: dict[str, str], folder: Path | None = None) -> Generator[None]:
    process = subprocess.Popen(
        command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def until_answers(port: int) -> None:
    deadline = time.monotonic() + 120
    while not ask(port):
        assert time.monotonic() < deadline, "nothing answers"
        time.sleep(0.1)


def main() -> int:
    """Measure and report."""
    chosen = options((__doc__ or "").splitlines()[0], runs=25, quick_runs=7)
    question = Question("edit saved → new answer, p50", PEER, "ms", 1.0, at_most=MAX_P50_MS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(served(folder))
        files: list[Path] = []
        for name in ("ours", "peer"):
            (folder / name).mkdir()
            files.append(folder / name / "greeting.py")
            files[-1].write_text(CODE, encoding="utf-8")
        ours, peer = free_port(), free_port()
        stack.enter_context(developing(files[0], folder / "home", ours))
        stack.enter_context(reloading(files[1], peer))
        interleave(question, lambda: saved(files[0], ours), lambda: saved(files[1], peer), chosen.runs)
    return report([question], chosen)


if __name__ == "__main__":
    sys.exit(main())
