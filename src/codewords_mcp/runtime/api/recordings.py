"""Recordings of runs, by their owner."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.errors import Conflict, InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.recording.codec import DamagedRecording
from codewords_mcp.runtime.recording.document import MAX_BYTES, read_document, to_document
from codewords_mcp.runtime.recording.exchanges import Recording
from codewords_mcp.runtime.runs.records import new_id

__all__ = ["MAX_BYTES", "RecordingApi"]

MAX_LISTED = 500
STORED_WITHIN = 15.0
"""Seconds to wait for the end of a run whose recording is asked for."""
_LISTED_WITHIN = 1.0
"""The same where recordings are listed: a program may go on for long after its response."""


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
        await self._container.dispatcher.answered_left(caller.owner, _LISTED_WITHIN)
        return await self._service.recent(caller.owner, workflow, bounded, version=version, status=status)

    async def load(self, caller: Caller, run_id: str) -> Recording:
        """A recording with its content. Raises NotFound."""
        # A run has answered before its program has ended: who asks right after the answer gets the recording too.
        await self._container.dispatcher.left(run_id, STORED_WITHIN)
        return await self._service.load(caller.owner, run_id)

    async def export(self, caller: Caller, run_id: str) -> JsonObject:
        """A recording as a document, without credentials. Raises NotFound."""
        return to_document(await self.load(caller, run_id))

    async def bring(self, caller: Caller, document: bytes, workflow: str | None = None) -> RecordingInfo:
        """Take an exported document in, under an id of its own, as a recording of one of the caller's workflows.

        Raises InvalidInput, NotFound for a workflow that is not the caller's, StorageFailed.
        """
        try:
            recording = await asyncio.to_thread(read_document, document)
        except DamagedRecording as error:
            raise InvalidInput(f"This recording was not imported: {error}.") from None

        service_id = workflow or recording.service_id
        await self._container.deployments.own(caller, service_id)
        # An id of its own: that in the document may be the id of another owner's run here.
        own = replace(recording, run_id=new_id(), service_id=service_id)
        return await self._service.bring(caller.owner, own)

    async def pin(self, caller: Caller, run_id: str, *, pinned: bool = True) -> None:
        """Keep a recording whatever it takes, or no longer. Raises NotFound, Conflict for one that is a test."""
        await self._container.dispatcher.left(run_id, STORED_WITHIN)
        found = await self._service.recent(caller.owner, None, 1, run_id=run_id)
        if found and found[0].expect is not None and not pinned:
            raise Conflict(
                "This recording is a test of its workflow.",
                remedy=Remedy(RemedyAction.REMOVE_TEST, {"run": run_id}),
            )
        if not await self._service.pin(caller.owner, [run_id], pinned=pinned):
            raise _unknown()

    async def remove(self, caller: Caller, run_id: str) -> None:
        """Remove a recording; its run stays. Raises NotFound."""
        await self._container.dispatcher.left(run_id, STORED_WITHIN)
        if not await self._service.remove(caller.owner, [run_id]):
            raise _unknown()


def _unknown() -> NotFound:
    return NotFound("There is no recording of this run.")
