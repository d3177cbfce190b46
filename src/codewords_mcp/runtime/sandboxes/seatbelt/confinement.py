"""What a Seatbelt profile allows a sandbox of this tier, and what is said about it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.runtime.sandboxes.base import Tier
from codewords_mcp.runtime.sandboxes.confined.confinement import Kept, Start
from codewords_mcp.runtime.sandboxes.local import diagnosis
from codewords_mcp.runtime.sandboxes.seatbelt.profile import Grant, UnwritablePath, profile

COMMAND: Final = "/usr/bin/sandbox-exec"
_WARDEN: Final = str(Path(__file__).with_name("launch.py"))


class Seatbelt:
    """Implements `Confinement`, for macOS."""

    name = "seatbelt"

    def __init__(self) -> None:
        self.own_ports = False
        self.memory_over: Callable[[tuple[int, ...], int], bool] = _warden_watches

    def missing(self) -> str:
        """See `Confinement`."""
        return "" if os.access(COMMAND, os.X_OK) else diagnosis.NO_SEATBELT

    def key(self) -> Sequence[str]:
        """See `Confinement`."""
        return ("seatbelt", platform.mac_ver()[0], platform.machine())

    def warden(self) -> str:
        """See `Confinement`."""
        return _WARDEN

    def describe(self, start: Start) -> dict[str, Any]:
        """See `Confinement`. Raises SandboxFailed for paths that no profile can name."""
        return {
            "argv": [*self.prefix(start), *start.argv],
            "variables": start.variables,
            "app": str(start.folders.app),
            "port": start.port,
            "limits": {
                "files": start.spec.limits.files,
                "disk": start.spec.limits.disk,
                "processes": start.spec.limits.processes,
                "memory": start.spec.limits.memory,
            },
        }

    def prefix(self, start: Start) -> list[str]:
        """The command that confines the one after it."""
        try:
            return [COMMAND, "-p", profile(_grant(start))]
        except UnwritablePath as error:
            hint = "Set CODEWORDS_HOME to a folder with a plainer name."
            raise SandboxFailed(f"This sandbox cannot be described: {error}.", hint=hint) from error

    def forbidden(self, folder: Path) -> dict[str, str]:
        """See `Confinement`; nothing beyond what all must refuse."""
        del folder
        return {}

    def tier(self, kept: Kept) -> Tier:
        """See `Confinement`."""
        facts = (
            diagnosis.M_HOLDS,
            diagnosis.M_NETWORK,
            diagnosis.M_BEST_EFFORT,
            diagnosis.TRIED.format(count=kept.acts),
        )
        return Tier("M", "Isolation by a Seatbelt profile (macOS)", facts, diagnosis.M_FIX)


def _grant(start: Start) -> Grant:
    real = os.path.realpath
    environment, folders = start.spec.environment, start.folders
    return Grant(
        python=real(environment.base_prefix),
        environment=real(environment.path),
        boot=real(start.argv[1]),
        own=(real(folders.app), real(folders.tmp)),
        socket=f"{real(folders.top)}/sock",
        ports=tuple(start.ports),
    )


def _warden_watches(_roots: tuple[int, ...], _limit: int) -> bool:
    """The warden knows the processes, also those that have left its own tree; it says when they hold too much."""
    return False
