"""A check, its result, and the report of all results."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from codewords_mcp.runtime.sandboxes.base import Capability, Driver, Tier

if TYPE_CHECKING:
    from codewords_mcp.testing.sandboxes.stage import Context

Status = Literal["passed", "failed", "skipped"]
MARKS: dict[Status, str] = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


class Need(StrEnum):
    """A requirement of a check on a driver beside its `Capability`s, derived from the driver's own claims."""

    ISOLATION = "isolation"
    """A tier other than D and P: the sandbox has files, processes and limits of its own."""
    IMPORTABLE = "importable"
    """`make_driver` is a function that another process can import, so that the process may be killed."""


@dataclass(frozen=True, slots=True)
class ConformanceCheck:
    """One promise of the protocol.

    `id` is `area.name`; `sentence` the behaviour. `needs` it all, or it is skipped. `seconds` bound the check:
    far above what it takes, so that only what hangs meets them. `run` raises `Broken`.
    """

    id: str
    sentence: str
    needs: frozenset[Need | Capability]
    seconds: float
    run: Callable[[Context], Awaitable[None]]

    def missing(self, driver: Driver | type[Driver], make_driver: object = None) -> list[str]:
        """The needs of this check that the driver, or a class with its claims as attributes, does not claim."""
        return sorted(str(need) for need in self.needs if not _has(need, driver, make_driver))


def _has(need: Need | Capability, driver: Driver | type[Driver], make_driver: object) -> bool:
    if need is Need.ISOLATION:
        return driver.tier.id not in ("D", "P")
    if need is Need.IMPORTABLE:
        # Without a function at hand the need cannot be judged, and the check itself decides.
        return make_driver is None or importable(make_driver) is not None
    return need in driver.capabilities


def importable(thing: object) -> str | None:
    """`module:name` by which another process finds this very object; None where it cannot."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return None
    # Found again under its name: a function made in another one is not.
    if getattr(sys.modules.get(module), name, None) is thing:
        return f"{module}:{name}"
    return None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one check. `reason` is a sentence, empty where it passed; `seconds` its duration."""

    check: ConformanceCheck
    status: Status
    reason: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return {
            "id": self.check.id,
            "sentence": self.check.sentence,
            "status": self.status,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of a driver, in the order of the checks."""

    tier: Tier
    capabilities: frozenset[Capability]
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed and something passed."""
        return not self.of("failed") and bool(self.of("passed"))

    def of(self, status: Status) -> tuple[Outcome, ...]:
        """The outcomes with this status."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == status)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return {
            "ok": self.ok,
            "tier": self.tier.id,
            "capabilities": sorted(self.capabilities),
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
        }

    def table(self) -> str:
        """One line a check, its reason below it where it has one, and a summary."""
        return "\n".join([*self._head(), *_lines(self.outcomes), "", self._summary()])

    def _head(self) -> list[str]:
        claimed = ", ".join(sorted(self.capabilities)) or "none"
        return [f"Tier {self.tier.id}: {self.tier.title}", f"Capabilities: {claimed}", ""]

    def _summary(self) -> str:
        counts = ", ".join(f"{len(self.of(status))} {status}" for status in ("passed", "failed", "skipped"))
        seconds = sum(outcome.seconds for outcome in self.outcomes)
        return f"{len(self.outcomes)} checks: {counts}, in {seconds:.1f} s"


def _lines(outcomes: Iterable[Outcome]) -> list[str]:
    width = max((len(outcome.check.id) for outcome in outcomes), default=0)
    lines: list[str] = []
    for outcome in outcomes:
        mark = MARKS[outcome.status]
        lines.append(
            f"{mark:<8}{outcome.check.id:<{width}}  {outcome.seconds:5.2f} s  {outcome.check.sentence}"
        )
        lines += [f"{'':<8}{line}" for line in outcome.reason.splitlines()]
    return lines
