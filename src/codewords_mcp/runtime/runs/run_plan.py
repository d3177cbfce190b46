"""A run's version and recorder, where they are not what a request gives: replays, of any version or of a draft."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.recording.exchanges import Recording
from codewords_mcp.runtime.recording.recorder import Recorder
from codewords_mcp.runtime.runs.catalog import Servable


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Kept in the memory of this process: no caller from outside can ask for it.

    `recorded` gets what the attempt did when its sandbox is gone. Values of secrets are not given.
    """

    servable: Servable
    recorder: Recorder
    recorded: asyncio.Future[Recording] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def finish(self, recording: Recording) -> None:
        """Tell what the attempt did."""
        # Whoever waited may have run out of time, which cancels the future.
        if not self.recorded.done():
            self.recorded.set_result(recording)

    def fail(self) -> None:
        """Tell that the recording of the attempt could not be made."""
        if not self.recorded.done():
            self.recorded.set_exception(
                StorageFailed(
                    "What this run did could not be recorded.", hint="The runtime's log has the details."
                )
            )
