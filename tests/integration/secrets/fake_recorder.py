"""A recorder: what it hears it can give again, and it can hold what writes."""

from __future__ import annotations

from tests.support.waiting import until_async

from codewords_mcp.runtime.recording.exchanges import RecordedRequest
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange, Verdict
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.secrets.scrub import Scrubber


class Library:
    """Records at first; with `replays` it answers what it knows, with `holds` nothing that writes goes out."""

    answers = True

    def __init__(self) -> None:
        self.replays = False
        self.holds = False
        self.asked_for: list[RecordedRequest] = []
        self.ended: list[OpenExchange] = []

    async def decide(self, request: RecordedRequest) -> Verdict:
        self.asked_for.append(request)
        if self.replays:
            known = [one for one in self.ended if one.whole and one.request.key == request.key]
            if known and request.key:
                return known[-1].replay(paced=True)
        if self.holds and request.writes:
            return BlockedRequest("this is a dry run")
        return OpenExchange(request, self.ended.append)

    async def heard(self, count: int) -> list[OpenExchange]:
        """So many exchanges, once they are over: the last is by a moment later than its answer."""
        await until_async(lambda: len(self.ended) >= count)
        return self.ended

    def recording(self, **values: str) -> RecordingSession:
        """For a run whose secrets these are."""
        return RecordingSession(self, Scrubber(values))
