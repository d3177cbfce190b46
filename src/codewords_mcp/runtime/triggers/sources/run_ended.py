"""Event source: a run of another workflow that ends. Its events are written where runs end, not by polls."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.runtime.triggers.sources.base import EventSource, Polled, SourceEvent, SourceTools

EndStatus = Literal["succeeded", "failed", "timed_out", "cancelled", "interrupted"]


class RunEndedOptions(BaseModel):
    """Options of the source `run_ended`."""

    model_config = ConfigDict(extra="forbid")

    workflow: str = Field(
        min_length=1, max_length=80, description="Id of the workflow whose runs are waited for."
    )
    statuses: list[EndStatus] = Field(
        default=["succeeded"], min_length=1, description="Ends that start the workflow."
    )


class RunEndedSource(EventSource[RunEndedOptions]):
    """See the module."""

    kind = "run_ended"
    title = "A run of another workflow ends"
    interval_s = 86400.0
    polled = False
    Options = RunEndedOptions

    @override
    async def poll(self, options: RunEndedOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        return Polled((), state)

    @override
    async def sample(self, options: RunEndedOptions, tools: SourceTools) -> SourceEvent | None:
        # The store has it: see `TriggerService.sample`.
        return None
