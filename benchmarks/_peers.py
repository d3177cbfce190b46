"""Programs of others that benchmarks measure beside ours: installed once, each in an environment of its own, and kept."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from _bench import clean_environment

Command = list[str | Path]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def listening(
    process: subprocess.Popen[bytes] | subprocess.Popen[str], port: int, seconds: float = 120
) -> None:
    """Wait until a server that was started takes connections, or has ended."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def cache_folder() -> Path:
    """Where peers stay installed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "codewords-mcp-benchmarks"


def say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def installed(name: str, program: str, *commands: list[str | Path]) -> Path | None:
    """The path of a peer's program, installed by these commands in its folder; None where it cannot be."""
    folder = cache_folder() / name
    if (found := folder / program).exists():
        return found
    say(f"{name}: it is installed once, into {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for command in commands:
            subprocess.run(
                command, cwd=folder, env=clean_environment(), check=True, timeout=400, stdout=sys.stderr
            )
    except (subprocess.SubprocessError, OSError):
        say(f"{name} could not be installed here; its question is left out.")
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return found


def environment_of(*packages: str) -> tuple[Command, Command]:
    """The commands for `installed` that make an environment `venv` of these packages of PyPI."""
    uv = Path(sys.executable).with_name("uv")
    return (
        [uv, "venv", "-q", "--python", sys.executable, "venv"],
        [uv, "pip", "install", "-q", "--compile-bytecode", "--python", "venv/bin/python", *packages],
    )
