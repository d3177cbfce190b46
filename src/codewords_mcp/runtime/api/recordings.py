"""Recordings of runs, by their owner."""

from __future__ import annotations

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.recording.exchanges import Recording

MAX_LISTED = 500


class RecordingApi:
    """Recordings of runs. A caller has those of its own runs."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._service = container.recordings

    async def list(
        self,
        caller: Caller,
        workflow: str | None = None,
        *,
        limit: int = 20,
        version: int | None = None,
        status: str | None = None,
    ) -> list[RecordingInfo]:
        """The latest recordings, of one workflow or of all, without their content."""
        bounded = max(1, min(limit, MAX_LISTED))
        return await self._service.recent(caller.owner, workflow, bounded, version=version, status=status)

    async def load(self, caller: Caller, run_id: str) -> Recording:
        """A recording with its content. Raises NotFound."""
        return await self._service.load(caller.owner, run_id)

    async def pin(self, caller: Caller, run_id: str, *, pinned: bool = True) -> None:
        """Keep a recording whatever it takes, or no longer. Raises NotFound."""
        if not await self._service.pin(caller.owner, [run_id], pinned=pinned):
            raise _unknown()

    async def remove(self, caller: Caller, run_id: str) -> None:
        """Remove a recording; its run stays. Raises NotFound."""
        if not await self._service.remove(caller.owner, [run_id]):
            raise _unknown()


def _unknown() -> NotFound:
    return NotFound("There is no recording of this run.")
