"""The position of an attempt among those of its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """The number of this attempt, the earlier attempts, and how many may still follow."""

    number: int = 1
    earlier: tuple[dict[str, Any], ...] = ()
    remaining: int = 0
