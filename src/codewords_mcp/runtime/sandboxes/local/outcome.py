"""What became of a program that a cgroup may have held, for every driver on this machine."""

from __future__ import annotations

from codewords_mcp.runtime.sandboxes.base import Exit, ExitReason, Usage
from codewords_mcp.runtime.sandboxes.local.cgroups import Group


def measured(wall: float, reported: tuple[float | None, int | None], group: Group | None) -> Usage:
    """Seconds of wall and processor time and peak bytes: as its group counted them, else as its process 1 `reported`."""
    cpu, peak = reported
    counted = group.usage() if group is not None else None
    if counted is not None:
        cpu = counted.cpu_seconds if counted.cpu_seconds is not None else cpu
        peak = counted.peak_memory if counted.peak_memory is not None else peak
    return Usage(wall, cpu, peak)


def told(reason: ExitReason | None, status: int | None, group: Group | None) -> Exit | None:
    """How it ended, by why it was ended and its exit status (negative for a signal); None where neither says."""
    if reason not in (None, "killed"):
        return Exit(reason)
    if status != 0 and group is not None and group.usage().oom_kills:
        return Exit("out_of_memory")
    if status is None:
        return None
    return Exit("exited", code=status) if status >= 0 else Exit("signaled", signal=-status)
