"""A container engine for tests, as a program: `run` starts the runtime as a process of its own, without any isolation.

It takes the words that Podman takes and keeps its containers in the folder of ENGINE_FOLDER: a file with the words of each
command, and a JSON file, a log and a volume for each container. `broken` in that folder makes every command fail.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("ENGINE_FOLDER", "."))


def main(words: list[str]) -> int:
    with (FOLDER / "commands").open("a", encoding="utf-8") as commands:
        commands.write(json.dumps(words) + "\n")
    if (FOLDER / "broken").exists():
        sys.stderr.write("Cannot connect to the engine\n")
        return 125

    match words[0]:
        case "ps":
            return 0
        case "image":
            return 0 if (FOLDER / "image").exists() else 1
        case "run":
            return run(words)
        case "inspect":
            return inspect(words[-1])
        case "logs":
            sys.stdout.write((FOLDER / f"{words[-1]}.log").read_text(encoding="utf-8"))
            return 0
        case "stop" | "rm":
            return stop(words[-1], forget=words[0] == "rm")
        case _:
            return 2


def run(words: list[str]) -> int:
    if "--rm" in words:
        return run_once(words)
    name = words[words.index("--name") + 1]
    if record(name).exists():
        sys.stderr.write(f"the name {name} is in use\n")
        return 125

    command = words[words.index("serve") :]
    if (FOLDER / "crashes").exists():
        command = ["serve", "--port", "none"]
    with (FOLDER / f"{name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "codewords_mcp", *command],
            env=environment(words), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    label, _, version = words[words.index("--label") + 1].partition("=")
    record(name).write_text(json.dumps({"pid": process.pid, "labels": {label: version}}), encoding="utf-8")
    return 0


def run_once(words: list[str]) -> int:
    program = Path(sys.executable).with_name(words[words.index("--entrypoint") + 1])
    # What follows the image, whose name has its version after a colon.
    at = next(at for at, word in enumerate(words) if word.startswith("codewords-mcp:"))
    command = words[at + 1 :]
    return subprocess.run([program, *command], env=environment(words), check=False).returncode


def environment(words: list[str]) -> dict[str, str]:
    """The variables of a container: those that were named, and its volume as the home."""
    taken = {words[at + 1].partition("=")[0] for at, word in enumerate(words) if word == "--env"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in taken or not name.startswith("CODEWORDS_")
    }
    volume = FOLDER / "volumes" / words[words.index("--volume") + 1].partition(":")[0]
    volume.mkdir(parents=True, exist_ok=True)
    return {**kept, "CODEWORDS_HOME": str(volume)}


def record(name: str) -> Path:
    return FOLDER / f"{name}.json"


def read(name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(record(name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def inspect(name: str) -> int:
    found = read(name)
    if found is None:
        return 125
    state = {"Running": lives(found["pid"])}
    print(json.dumps([{"Name": name, "State": state, "Config": {"Labels": found["labels"]}}]))
    return 0


def stop(name: str, *, forget: bool) -> int:
    found = read(name)
    if found is None:
        return 125
    if lives(found["pid"]):
        os.kill(found["pid"], signal.SIGTERM)
    while lives(found["pid"]):
        time.sleep(0.02)
    if forget:
        record(name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
