"""The commands of processes that run hostile SQL: their isolation is the work of another part, which gives them here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class WorkerCommand(Protocol):
    """Makes the command that runs a script which may write to `own` and see `read`, and reaches nothing else."""

    def __call__(self, script: Path, own: Sequence[Path], read: Sequence[Path] = ()) -> list[str]:
        """Make the command."""
        ...
