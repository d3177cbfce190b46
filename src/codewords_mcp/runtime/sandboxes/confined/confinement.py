"""What a way of confining has to say for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from codewords_mcp.runtime.sandboxes.base import SandboxSpec, Tier
from codewords_mcp.runtime.sandboxes.local import paths


@dataclass(frozen=True, slots=True)
class ConfinedProgram:
    """One program to confine. `ports`: the runtime's listeners on 127.0.0.1 that it may reach.

    `exact`: a cgroup holds its memory and counts its processes. `port` is the PORT that it is told.
    """

    spec: SandboxSpec
    folders: paths.Folders
    ports: Sequence[int]
    variables: dict[str, str]
    argv: Sequence[str]
    port: int
    exact: bool


@dataclass(frozen=True, slots=True)
class SelfTestFacts:
    """What the self-test saw beside refused acts: are connections judged by address, is memory held by the kernel."""

    acts: int
    by_address: bool
    exact: bool


class Confinement(Protocol):
    """One way of confining a program, on one kind of system."""

    name: str
    """Of its finding's file."""
    memory_over: Callable[[tuple[int, ...], int], bool]
    """(warden's pid, bytes) → whether the sandbox holds more. Called from a thread."""

    def missing(self) -> str:
        """Why it cannot be here, in a sentence; empty where it can be tried."""
        ...

    def key(self) -> Sequence[str]:
        """What a kept finding depends on, beside user, Python and version."""
        ...

    def warden(self) -> str:
        """The script that the warden's Python runs."""
        ...

    def describe(self, start: ConfinedProgram) -> dict[str, Any]:
        """The warden's specification, for JSON."""
        ...

    def tier(self, kept: SelfTestFacts) -> Tier:
        """The tier that it is, once it has been proved."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What the probe printed: each act and whether it was refused; each need and whether it was met."""

    acts: dict[str, bool] = field(default_factory=dict[str, bool])
    needs: dict[str, bool] = field(default_factory=dict[str, bool])
    survived: bool = False
