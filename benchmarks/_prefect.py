"""Prefect on loopback, as a peer: its server on its own SQLite, a worker that serves one task, and who submits it.

That is the quickest way that Prefect documents for work in the background: the worker is told of a task over a websocket and
runs it in itself. A deployment is polled for and starts a process a run: 7 to 15 seconds here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _bench import clean_environment
from _peers import environment_of, free_port, installed, listening, say

VERSION = "3.9.1"
NAME = f"Prefect {VERSION}: `task.delay()` to a worker that serves the task in itself, without any sandbox"
_GREETING = Path(__file__).with_name("_prefect_greeting.py")


@contextmanager
def prefect(folder: Path) -> Iterator[subprocess.Popen[str] | None]:
    """Who submits, once a task has come back; None where Prefect cannot be installed or does not start."""
    if not (
        program := installed(f"prefect-{VERSION}", "venv/bin/prefect", *environment_of(f"prefect=={VERSION}"))
    ):
        yield None
        return
    port = free_port()
    env = clean_environment(
        PREFECT_HOME=str(folder),
        PREFECT_API_URL=f"http://127.0.0.1:{port}/api",
        PREFECT_RESULTS_PERSIST_BY_DEFAULT="true",
        PREFECT_LOGGING_LEVEL="ERROR",
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
    )
    with ExitStack() as running:
        server = [program, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
        listening(running.enter_context(_started(server, env)), port)
        running.enter_context(_started([program, "task", "serve", f"{_GREETING}:greet"], env))
        asker = running.enter_context(_started([program.with_name("python"), _GREETING], env, told=True))
        try:
            asker.stdin.write("first\n")
            asker.stdin.flush()
            float(asker.stdout.readline())
        except (OSError, ValueError):
            say("Prefect does not answer here; its questions are left out.")
            yield None
        else:
            yield asker


@contextmanager
def _started(
    command: list[str | Path], env: dict[str, str], *, told: bool = False
) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE if told else subprocess.DEVNULL
    process = subprocess.Popen(
        command, env=env, stdin=pipe, stdout=pipe, stderr=sys.stderr if told else pipe, encoding="utf-8"
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
