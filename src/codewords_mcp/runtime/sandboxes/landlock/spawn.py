"""The blocking part of a start: folders, sockets, the description, the supervisor's process. Runs in a thread."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codewords_mcp.runtime.sandboxes.host.program import write_program
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock, LandlockProgram
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel

_LAUNCH: Final = str(Path(__file__).with_name("launch.py"))


@dataclass(slots=True)
class SpawnedSupervisor:
    """A supervisor that runs. `lifeline`: closing it ends the sandbox; `boot` is the program's own channel to the runtime."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    boot: socket.socket
    lifeline: int

    def release(self) -> None:
        """End every process of the sandbox, soon. Idempotent."""
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    def close(self) -> None:
        """After the supervisor has ended."""
        self.release()
        self.channel.close()
        self.boot.close()


def launch(
    landlock: Landlock, start: LandlockProgram, listener: socket.socket, outputs: tuple[int, int]
) -> SpawnedSupervisor:
    """Write the code, listen and start the supervisor. Closes `outputs`. Raises OSError."""
    try:
        write_program(start.spec, start.folders, listener)
        with contextlib.ExitStack() as stack:
            ours, theirs = channel.pair()
            boot, boot_inside = channel.pair()
            stack.enter_context(theirs)
            stack.enter_context(boot_inside)
            # Nothing is ever written to it: its end of file, also by the runtime's death, means end
            # all.
            lifeline_inside, lifeline = os.pipe()
            stack.callback(os.close, lifeline_inside)
            described = _anonymous_file(landlock.describe(start))
            stack.callback(os.close, described)
            fds = (theirs.fileno(), lifeline_inside, described, listener.fileno(), boot_inside.fileno())
            process = _start(_LAUNCH, fds, outputs)

        for end in (ours, boot):
            end.setblocking(False)
        return SpawnedSupervisor(process, ours, boot, lifeline)
    finally:
        for fd in outputs:
            os.close(fd)


def _start(script: str, fds: tuple[int, ...], outputs: tuple[int, int]) -> subprocess.Popen[bytes]:
    library_path = os.environ.get("LD_LIBRARY_PATH")
    return subprocess.Popen(
        [sys.executable, "-I", "-S", script, *map(str, fds)],
        stdin=subprocess.DEVNULL,
        stdout=outputs[0],
        stderr=outputs[1],
        pass_fds=fds,
        cwd="/",
        # The runtime's environment holds keys. Python may need this one to find its own library.
        env={"LD_LIBRARY_PATH": library_path} if library_path else {},
        start_new_session=True,
    )


def _anonymous_file(description: dict[str, Any]) -> int:
    # The description never shows in an argument, an environment or a file's name.
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(description).encode())
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return os.dup(file.fileno())
