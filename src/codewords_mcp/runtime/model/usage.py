"""Sums of the resources that runs used."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.runtime.model.base import Model

UsageBy = Literal["workflow", "key", "day"]


class UsageSum(Model):
    """Resources used by the runs of one workflow, key or day. Times in seconds, memory in bytes,
    cost in US dollars.

    For a key, `of` is its id, None for the home's own key; runs started by its runs are counted
    under it too. `egress_in` and `egress_out` are bytes from and to outside destinations. Waiting
    lasts until a sandbox is started, starting until the program gets its request, running until the
    end. `cost` includes machines and models; `unpriced` counts model calls without a known price,
    which `cost` lacks.
    """

    of: str | None
    runs: int
    succeeded: int
    failed: int
    waiting_seconds: float
    starting_seconds: float
    running_seconds: float
    cpu_seconds: float
    peak_memory: int | None
    egress_in: int
    egress_out: int
    cost: float | None
    unpriced: int = 0
