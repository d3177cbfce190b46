"""A home and its runtime: where it is, whether it lives, starting one and ending it.

Shared by the proxy, the commands and `serve`. Standard library only, and little of it at import:
the proxy's start is what a person waits for.

    home/
      runtime.lock   held (flock) by the runtime as long as it lives; says its pid
      runtime.json   how to reach it (0600): written once it listens, removed when it ends in order
      start.lock     locked while somebody starts a runtime, so that two proxies start one
      logs/runtime.log

The lock, not the pid, tells whether a runtime lives: the kernel lets go of it at the very death of the
process, so a dead runtime, a reused pid and a reused port are never taken for a living one.
"""

from __future__ import annotations

# ruff: noqa: PTH100, PTH111, PTH117, PTH118, PTH123 - pathlib is not worth its import in the proxy
import os
import sys

from codewords_mcp.stdio import json_text, runtime_choice

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself would cost the proxy milliseconds
    from collections.abc import Callable, Mapping
    from typing import Any

    Say = Callable[[str], None]

INFO = "runtime.json"
LOCK = "runtime.lock"
READY_FD = "CODEWORDS_READY_FD"
"""Environment variable of a detached runtime: the pipe on which it says `ready`, or `failed` and why."""
LOG_LIMIT = 5 << 20
"""Bytes after which `logs/runtime.log` becomes `runtime.log.1`."""


class RuntimeInfo:
    """The content of `runtime.json`. `started_at` is ISO 8601.

    `recovered`: the previous runtime did not end in order. `missed_port`: the home's own port if
    another program has it, else 0. `settings`: see `settings_conflict`. `variables`: see `variables`; empty
    where a command's options may say otherwise than the variables.
    """

    __slots__ = (
        "missed_port",
        "pid",
        "recovered",
        "settings",
        "started_at",
        "token",
        "url",
        "variables",
        "version",
    )

    def __init__(
        self,
        url: str,
        pid: int,
        version: str,
        token: str,
        started_at: str,
        *,
        recovered: bool = False,
        missed_port: int = 0,
        settings: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.url = url
        self.pid = pid
        self.version = version
        self.token = token
        self.started_at = started_at
        self.recovered = recovered
        self.missed_port = missed_port
        self.settings = dict(settings or {})
        self.variables = dict(variables or {})

    def to_dict(self) -> dict[str, Any]:
        """Convert to the content of `runtime.json`."""
        return {name: getattr(self, name) for name in sorted(self.__slots__)}


def home_folder(env: Mapping[str, str] = os.environ) -> str:
    """The home as an absolute path: CODEWORDS_HOME, else the platform's user data folder.

    The same folder as `Settings().home`, which asks platformdirs; a test keeps the two equal.
    """
    if home := env.get("CODEWORDS_HOME"):
        return os.path.abspath(home)
    if sys.platform == "win32":
        local = env.get("LOCALAPPDATA") or os.path.join(os.path.expanduser("~"), "AppData", "Local")
        return os.path.join(os.path.normpath(local), "codewords", "codewords")

    data = env.get("XDG_DATA_HOME", "")
    # The XDG specification has relative paths ignored, and platformdirs does so too.
    if os.path.isabs(data):
        return os.path.join(data, "codewords")

    if sys.platform == "darwin":
        above = "Library/Application Support"
    else:
        above = ".local/share"

    return os.path.join(_user_folder(env), above, "codewords")


def _user_folder(env: Mapping[str, str]) -> str:
    folder = env.get("HOME", "")
    if os.path.isabs(folder):
        return folder.rstrip("/") or "/"
    if sys.platform == "win32":
        return os.path.expanduser("~")
    import pwd

    # A chat host may start this without HOME.
    return pwd.getpwuid(os.getuid()).pw_dir


def log_path(home: str) -> str:
    """Return the path of a detached runtime's log."""
    return os.path.join(home, "logs", "runtime.log")


def read_info(home: str) -> RuntimeInfo | None:
    """`runtime.json` as it is, of a living runtime or a dead one; None where it is absent or not ours."""
    try:
        with open(os.path.join(home, INFO), "rb") as file:
            record: Any = json_text.decode(file.read(65536))
        return RuntimeInfo(
            str(record["url"]),
            int(record["pid"]),
            str(record["version"]),
            str(record["token"]),
            str(record["started_at"]),
            recovered=record.get("recovered") is True,
            missed_port=int(record.get("missed_port") or 0),
            settings=dict(record.get("settings") or {}),
            variables=dict(record.get("variables") or {}),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # The file may be half-removed, of another version or edited by hand. For every reader
        # that is the same as no runtime.
        return None


def holder(home: str) -> int | None:
    """The pid of the runtime that holds this home, None if none does. 0: one does, and has not said its pid yet."""
    from codewords_mcp.stdio import locks

    try:
        fd = os.open(os.path.join(home, LOCK), os.O_RDONLY | locks.CLOSE_ON_EXEC)
    except OSError:
        return None

    try:
        if not locks.is_held(fd):
            return None
        pid_text = os.read(fd, 32).strip()
        return int(pid_text) if pid_text.isdigit() else 0
    finally:
        os.close(fd)


def find(home: str) -> RuntimeInfo | None:
    """The home's living runtime, None if there is none. Takes microseconds; of one in a container, a connection."""
    if runtime_choice.read(home).kind == runtime_choice.CONTAINER:
        from codewords_mcp.stdio import containers

        return containers.find(home)
    return find_local(home)


def find_local(home: str) -> RuntimeInfo | None:
    """The living runtime that holds this home on this machine, None if there is none."""
    info = read_info(home)
    # The file alone proves nothing: a runtime that was killed leaves it behind.
    if info is not None and holder(home) == info.pid:
        return info
    return None


def version_key(version: str) -> tuple[int, ...]:
    """`0.10.1` → (0, 10, 1): enough to tell which of two releases is newer."""
    key: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        key.append(int(digits))
    return tuple(key)
