"""uv as a library of commands: a restricted environment, bounded waits, and no process left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.errors import EnvironmentFailed, StorageFailed
from codewords_mcp.errors.remedies import DIAGNOSE

# What uv may know of the runtime's own environment: where to find, reach and trust indexes. Everything else, our
# provider keys among it, stays out, and so do the switches that would change what it builds.
_PASSED_ON = frozenset(
    {
        "PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "NETRC", "SYSTEMROOT",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "http_proxy", "https_proxy", "all_proxy", "no_proxy", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
        "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY", "UV_FIND_LINKS",
        "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_OFFLINE",
        "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_HTTP_CONNECT_TIMEOUT",
        "UV_PYTHON_INSTALL_DIR", "UV_PYTHON_INSTALL_MIRROR", "UV_CONFIG_FILE", "UV_NO_CONFIG",
    }
)  # fmt: skip
_OUTPUT_LIMIT = 1 << 20
_LINE_LIMIT = 1 << 12
_NO_SPACE = ("No space left on device", "Disk quota exceeded", "Read-only file system")
OnLine = Callable[[str], Awaitable[None]]
"""Gets each line that a command writes to stderr, as it comes."""


@dataclass(frozen=True, slots=True)
class UvResult:
    """A command that ended. Output is text, bounded to 1 MiB each."""

    code: int
    stdout: str
    stderr: str


def find_uv() -> Path:
    """The uv that came with this installation. Raises StorageFailed without one."""
    import uv

    try:
        return Path(uv.find_uv_bin())
    except FileNotFoundError as error:
        raise StorageFailed(
            "uv is not installed beside codewords-mcp.",
            hint="Reinstall codewords-mcp; uv is one of its dependencies.",
        ) from error


class Uv:
    """Runs uv and Pythons with a private cache under the home."""

    def __init__(self, binary: Path, cache: Path) -> None:
        self.binary = binary
        self.cache = cache

    def environment(self) -> dict[str, str]:
        """The whole environment that uv gets."""
        passed_on = {
            name: value
            for name, value in os.environ.items()
            if name in _PASSED_ON or name.startswith(("UV_INDEX_", "LC_"))
        }
        return passed_on | {
            "UV_CACHE_DIR": str(self.cache),
            "UV_NO_PROGRESS": "1",
            "NO_COLOR": "1",
            # A Python is fetched only by `find_python`, and only where a setting allows it.
            "UV_PYTHON_DOWNLOADS": "manual",
        }

    async def run(
        self,
        *arguments: str,
        timeout_s: float,
        doing: str,
        cwd: Path | None = None,
        stdin: str = "",
        extra: Mapping[str, str] | None = None,
        on_line: OnLine | None = None,
    ) -> UvResult:
        """Run `uv …`; `doing` names the wait. Raises as `run_command`."""
        command = (str(self.binary), *arguments)
        return await run_command(
            command,
            env=self.environment() | dict(extra or {}),
            timeout_s=timeout_s,
            doing=doing,
            cwd=cwd,
            stdin=stdin,
            on_line=on_line,
        )


async def run_command(
    command: tuple[str, ...],
    *,
    env: Mapping[str, str],
    timeout_s: float,
    doing: str,
    cwd: Path | None = None,
    stdin: str = "",
    on_line: OnLine | None = None,
) -> UvResult:
    """Run a program in its own process group; when the wait ends early, the group is killed and reaped.

    Raises EnvironmentFailed after `timeout_s` seconds, StorageFailed where the disk is full or read-only.
    """
    try:
        # Not a pipe: uvloop's `communicate` raises RuntimeError where the program has ended before its input was closed.
        with tempfile.TemporaryFile() as stdin_file:
            stdin_file.write(stdin.encode())
            stdin_file.seek(0)
            process = await asyncio.create_subprocess_exec(
                *command,
                env=dict(env),
                cwd=cwd,
                stdin=stdin_file,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
    except OSError as error:
        raise EnvironmentFailed(
            f"{Path(command[0]).name} could not be started while {doing}: {error.strerror}.",
            remedy=DIAGNOSE,
        ) from error

    try:
        async with asyncio.timeout(timeout_s):
            out, err = await _outputs(process, on_line)
    except TimeoutError:
        raise EnvironmentFailed(
            f"Gave up after {timeout_s:.0f} s of {doing}.",
            hint="Try again; what was downloaded is kept. Check this machine's way to the package index.",
        ) from None
    finally:
        # Also after a cancellation: uv starts processes of its own, which would go on
        # downloading.
        await _end(process)

    finished = UvResult(process.returncode or 0, _text(out), _text(err))
    if finished.code and any(sign in finished.stderr for sign in _NO_SPACE):
        raise StorageFailed(
            f"The home cannot be written while {doing}: the disk is full or read-only.",
            hint="Free some space in the folder of CODEWORDS_HOME and try again.",
        )

    return finished


async def _outputs(process: asyncio.subprocess.Process, on_line: OnLine | None) -> tuple[bytes, bytes]:
    if on_line is None or process.stdout is None or process.stderr is None:
        return await process.communicate()
    out, err, _ = await asyncio.gather(
        process.stdout.read(), _read_lines(process.stderr, on_line), process.wait()
    )
    return out, err


async def _read_lines(stream: asyncio.StreamReader, on_line: OnLine) -> bytes:
    """Pass on each line of a stream as it comes. Returns all of it, bounded."""
    data, line = bytearray(), b""
    while chunk := await stream.read(1 << 16):
        data += chunk[: _OUTPUT_LIMIT - len(data)]
        *lines, line = (line[-_LINE_LIMIT:] + chunk).split(b"\n")
        for each in lines:
            await on_line(each.decode(errors="replace").strip())
    return bytes(data)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        # The group, since `start_new_session` made the process its leader. Killing is safe: uv
        # writes its cache atomically.
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _text(data: bytes) -> str:
    return data[:_OUTPUT_LIMIT].decode(errors="replace")
