"""Sums of the resources that runs used."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.runtime.model.base import Model

UsageBy = Literal["workflow", "key", "day"]


class UsageSum(Model):
    """What the runs of one workflow, key or day used. Times in seconds, memory in bytes, cost in US dollars.

    Of a key, `of` is its id, None for the home's own key; runs that its runs have started are counted under it too.
    `egress_in` and `egress_out` are bytes that came from and went to destinations outside. Waiting is until a sandbox
    is started, starting until its program is asked, running until the end. `cost` is of machines and of models; `unpriced`
    counts calls of models without a known price, which are not in it.
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
