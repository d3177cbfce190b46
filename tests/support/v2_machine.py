"""A Linux kernel with cgroup v2, started as a program: machines of CI have v1, and those of most people v2."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.paths import PROJECT

KERNEL = shutil.which("linux.uml")
"""User-mode Linux (Debian's `user-mode-linux`), about as quick as the machine's own kernel but in system calls and page faults."""
_INIT = Path(__file__).with_suffix(".sh")
_PTRACE = Path(__file__).with_name("v2_machine_ptrace.c")
_SECONDS = 400
_BOOTS = 5


def run(command: Sequence[str], folder: Path, *, environment: Path, owner: int = 0) -> str:
    """Run a command there, as root in the project; its output, and last its exit status.

    Its cgroup and the one above belong to the user `owner`. `folder`: an empty one for what the kernel writes;
    `environment`: a finished one for the tests' sandboxes. The machine's files are there, unchangeable; /run is writable.
    """
    assert KERNEL is not None
    variables = {name: os.environ[name] for name in ("CI", "PYTHONWARNDEFAULTENCODING") if name in os.environ}
    variables["SANDBOX_TEST_ENVIRONMENT"] = str(environment)
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    script = folder / "script"
    script.write_text(f"{exports}cd {shlex.quote(str(PROJECT))}\n{shlex.join(command)}\n", encoding="utf-8")
    # Names in capitals are variables of process 1.
    arguments = [
        KERNEL, "mem=2G", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", f"init={_INIT}",
        "con=null", "con0=fd:0,fd:1", f"uml_dir={folder}/", f"SCRIPT={script}", f"OWNER={owner}",
    ]  # fmt: skip

    said, preload = "", ""
    for _ in range(_BOOTS):
        said = _boot(arguments, preload)
        if "ptrace set fp regs failed" in said:
            preload = str(_built(folder / "ptrace.so"))
            continue
        # It loses its way now and then where a fork fails for want of memory (Linux 6.12): that says nothing of what ran in it.
        if "Kernel panic" not in said:
            break
    return said


def _built(library: Path) -> Path:
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, _PTRACE], check=True)
    return library


def _boot(arguments: Sequence[str], preload: str) -> str:
    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
        env={**os.environ, "LD_PRELOAD": preload},
    ) as kernel:
        try:
            output, _ = kernel.communicate(timeout=_SECONDS)
        finally:
            # Each of its processes is one of this machine.
            with suppress(ProcessLookupError):
                os.killpg(kernel.pid, signal.SIGKILL)
    return output.decode(errors="replace").replace("\r\n", "\n")
