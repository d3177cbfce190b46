"""Requests of a run, put to its recorder with their secrets taken out, and the recorders of all runs."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from codewords_mcp.runtime.recording.exchanges import (
    Headers,
    RecordedRequest,
    RecordingChannel,
    UnreadConnection,
)
from codewords_mcp.runtime.recording.recorder import (
    EndedRecorder,
    OpenExchange,
    RecordedResponse,
    Recorder,
    Verdict,
)
from codewords_mcp.runtime.recording.stream_scrubber import StreamScrubber

MAX_ENDED: Final = 1000
"""Judged runs that are over whose late requests are blocked."""
PINNED: Final = (
    "The program refused the certificate with which its connection to {host} was to be recorded, so this connection failed. "
    'Further ones of this version are left alone: run it again. With `record = "off"` in the header none is read.'
)


class RequestLog(Protocol):
    """Is told each request of a run with its verdict; see `ExchangeLog`."""

    began_at: float

    def add(self, request: RecordedRequest, verdict: Verdict) -> bool:
        """Note a request, before the verdict is followed. False: there is no room for it."""
        ...

    def add_connection(self, connection: UnreadConnection) -> None:
        """Note a connection that was not read, when it has ended."""
        ...


@dataclass(frozen=True, slots=True)
class RecordingSession:
    """A run's recorder, the values that it must not see, and the log of what it decided."""

    recorder: Recorder
    scrubber: StreamScrubber
    log: RequestLog | None = None
    tell: Callable[[str], None] | None = None
    """Writes a line for the run's reader, into its log."""
    judged_only: bool = False
    """Connections that cannot be read, and requests after the run's end, are refused: nothing leaves without a verdict."""

    async def decide(
        self,
        channel: RecordingChannel,
        method: str,
        url: bytes,
        headers: Headers,
        body: bytes | None,
        *,
        writes: bool,
    ) -> Verdict:
        """The recorder's verdict on a request, of which it sees the scrubbed form."""
        request = self._clean(channel, method, url, headers, body, writes=writes)
        verdict = await self.recorder.decide(request)
        if isinstance(verdict, OpenExchange):
            # The response may repeat what the request held.
            verdict.scrub_with(self.scrubber)
        if self.log is not None:
            self.log.add(request, verdict)
        if isinstance(verdict, RecordedResponse) and verdict.silence > 0:
            await asyncio.sleep(verdict.silence)
        return verdict

    def observe(
        self, channel: RecordingChannel, method: str, url: bytes, headers: Headers
    ) -> OpenExchange | None:
        """Record a request that is on its way, from its head on; it counts as a write until its end. None: there is no room.

        For a recorder that answers nothing: it is not asked.
        """
        exchange = OpenExchange(self._clean(channel, method, url, headers, None, writes=True))
        exchange.scrub_with(self.scrubber)
        if self.log is not None and not self.log.add(exchange.request, exchange):
            return None
        return exchange

    def tell_pinned(self, host: str) -> None:
        """Explain a connection that the program ended, as it does not trust the runtime's certificate."""
        if self.tell is not None:
            self.tell(PINNED.format(host=host))

    def note_unread(self, host: str, port: int, traffic: tuple[int, int], began: float, why: str) -> None:
        """Note a connection that was not read and is over: bytes of both directions, monotonic time of its begin."""
        if self.log is not None:
            zero = self.log.began_at
            self.log.add_connection(
                UnreadConnection(host, port, began - zero, time.monotonic() - zero, *traffic, why)
            )

    def _clean(
        self,
        channel: RecordingChannel,
        method: str,
        url: bytes,
        headers: Headers,
        body: bytes | None,
        *,
        writes: bool,
    ) -> RecordedRequest:
        # Before a recorder sees it: a recording may be stored where secrets must not be.
        clean = self.scrubber.whole
        return RecordedRequest(
            channel,
            method,
            clean(url).decode("latin-1"),
            [(name.lower(), clean(value)) for name, value in headers],
            None if body is None else clean(body),
            writes,
        )


class RecorderRegistry:
    """The runs of one runtime that have a recorder."""

    def __init__(self) -> None:
        self._by_run: dict[str, RecordingSession] = {}
        self._ended: OrderedDict[str, RecordingSession] = OrderedDict()

    def add(self, run_id: str, session: RecordingSession) -> None:
        """Put all later requests of this run to the recorder."""
        self._by_run[run_id] = session

    def of(self, run_id: str | None) -> RecordingSession | None:
        """The recorder of a run; None without one, or outside runs."""
        # Asked for each request: most runtimes have no recorder at all.
        if run_id and (self._by_run or self._ended):
            return self._by_run.get(run_id) or self._ended.get(run_id)
        return None

    def remove(self, run_id: str) -> None:
        """Remove a run that is over. Idempotent."""
        session = self._by_run.pop(run_id, None)
        if session is not None and session.judged_only:
            # A request of it may be on its way still.
            self._ended[run_id] = replace(session, recorder=EndedRecorder(), log=None)
            while len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)
