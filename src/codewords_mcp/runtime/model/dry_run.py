"""Dry runs: the writes that they held, and what became of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model


class WriteInfo(Model):
    """A write on the list of a dry run. `run_id` came to it; `body` is cut, and the agreement is to the whole of it.

    `held`: nobody has agreed to it. `agreed`: it is sent when a run that applies comes to it. `sent`: it was sent, once, and
    `status` is that of its response, None while the run goes on. `unknown`: it was sent, and its answer is not on record.
    `why` it counts as a write; `effect` in words; `answered`: where the response came from that the program got.
    """

    number: int
    run_id: str
    state: Literal["held", "agreed", "sent", "unknown"]
    status: int | None = None
    method: str
    address: str
    body: str
    bytes: int | None
    why: str
    effect: str
    answered: str


class DryRunInfo(Model):
    """A dry run, and the list of its writes. `lines` are those that were not sent, in few lines; `varies` the parts that may
    differ when it is applied.

    `unknown` are lines of the writes that were sent and whose answers are not on record. `problem`: the reason why it cannot
    be applied now; "" where it can. `expired`: the list is older than recordings are kept, and was removed.
    """

    run_id: str
    service_id: str
    version: int | None
    writes: list[WriteInfo]
    lines: list[str]
    varies: list[str]
    unknown: list[str] = Field(default_factory=list[str])
    problem: str = ""
    expired: bool = False
