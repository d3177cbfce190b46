"""Replays: a program is answered from a recording, and nothing that it writes goes out."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Literal

from codewords_mcp.runtime.recording.exchanges import Exchange, Headers, RecordedRequest, Recording, split_url
from codewords_mcp.runtime.recording.matching import FieldName, Match, Matcher
from codewords_mcp.runtime.recording.recorder import (
    BlockedRequest,
    OpenExchange,
    RecordedResponse,
    Verdict,
    replayed_pieces,
)
from codewords_mcp.runtime.recording.writes import kind_of

NOT_RECORDED: Final = "it is not on the recording"
PROMPT_CHANGED: Final = "prompt changed"
BY_PLACE: Final = "answered by its place"
"""Note of an answer to another request of the same route, which differs in more than times and ids."""
STOOD_IN: Final = "answered by a stand-in for the model"
HELD: Final = "held"
HELD_LIKE: Final = "held, answered like another request of its route"
_BODILESS: Final = frozenset({204, 304})
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSENDABLE: Final = re.compile(rb"[\0\r\n]")
_HELD_BODY: Final = json.dumps({"held": True, "message": "Held by a replay: nothing was sent."}).encode()


def _nowhere(host: str) -> bool:  # noqa: ARG001
    return False


@dataclass(frozen=True, slots=True)
class MissPolicy:
    """The fate of requests that no recorded exchange answers. Writes are held in any case.

    ::

        reads    "block" refuses them; "live" sends them to hosts that are allowed
        budget   US dollars for model calls whose prompt changed; they are sent live if it is not 0
    """

    reads: Literal["block", "live"] = "block"
    budget: float = 0.0
    allowed: Callable[[str], bool] = _nowhere
    """Whether the manifest of the version allows a host."""


StandIn = Callable[[RecordedRequest, Exchange], Exchange | None]
"""(a prompt that is not recorded, the exchange of its place) → the response of a stand-in for the model."""


class ReplayRecorder:
    """The recorder of a replay.

    `same_version`: the program is the one that was recorded, so that the next request of a route is the recorded one, whatever
    differs in it. `noise`: fields that differ between replays of that version. `paced` keeps the delays of responses.
    `stand_in` makes the response to a prompt that changed of the recorded one of its place, or None.
    """

    answers = True

    def __init__(
        self,
        recording: Recording,
        misses: MissPolicy = MissPolicy(),
        *,
        same_version: bool = False,
        noise: frozenset[FieldName] = frozenset(),
        paced: bool = False,
        stand_in: StandIn | None = None,
    ) -> None:
        self._matcher = Matcher(recording, noise)
        self._misses = misses
        self._same_version = same_version
        self._paced = paced
        self._stand_in = stand_in
        self._last_write: dict[str, Exchange] = {
            one.request.route: one
            for one in recording.sent()
            if one.replayable and kind_of(one.request) == "write"
        }

    async def decide(self, request: RecordedRequest) -> Verdict:
        """See `Recorder`."""
        match = self._matcher.find(request)
        if match is not None and (match.kind != "position" or self._same_version):
            return self._replay(match.exchange)

        kind = kind_of(request)
        if kind == "write":
            return self._held(request, match)
        if kind == "prompt":
            return self._prompt(request, match)
        return self._read(request, match)

    def _replay(self, exchange: Exchange, note: str = "", *, held: bool = False) -> RecordedResponse:
        if self._paced and exchange.chunks:
            silence = exchange.chunks[0][0]
        else:
            silence = 0.0
        chunks = [(at - silence, chunk) for at, chunk in exchange.chunks]
        pieces = replayed_pieces(chunks, paced=self._paced)
        return RecordedResponse(
            exchange.status, _sendable(exchange), pieces, held=held, note=note, silence=silence
        )

    def _held(self, request: RecordedRequest, match: Match | None) -> Verdict:
        if match is not None:
            like = match.exchange
        else:
            # A program often reads an id from such an answer, and one of the same route has the right form.
            like = self._last_write.get(request.route)
        if like is not None:
            return self._replay(like, HELD_LIKE, held=True)
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_HELD_BODY)).encode()),
        ]
        body = b"" if request.method == "HEAD" else _HELD_BODY
        return RecordedResponse(202, headers, _once(body), held=True, note=HELD)

    def _prompt(self, request: RecordedRequest, match: Match | None) -> Verdict:
        if self._stand_in is not None and match is not None:
            made = self._stand_in(request, match.exchange)
            if made is not None:
                return self._replay(made, STOOD_IN)
        if self._misses.budget > 0:
            return OpenExchange(request)
        return BlockedRequest(PROMPT_CHANGED)

    def _read(self, request: RecordedRequest, match: Match | None) -> Verdict:
        # Only the network has reads that nothing of ours would do on the way.
        live = self._misses.reads == "live" and request.channel == "egress" and not request.writes
        if live and self._misses.allowed(split_url(request.url).hostname or ""):
            return OpenExchange(request)
        if match is not None:
            return self._replay(match.exchange, BY_PLACE)
        return BlockedRequest(self._matcher.why_not(request))


def _sendable(exchange: Exchange) -> Headers:
    """The headers of a response that can be sent: a recording may come from anywhere, or have been edited."""
    length = len(exchange.body)
    # To a HEAD, and with 304, the length is that of another response.
    bodiless = exchange.request.method == "HEAD" or exchange.status in _BODILESS
    return [
        (name, value)
        for name, value in exchange.headers
        if _NAME.fullmatch(name)
        and not _UNSENDABLE.search(value)
        and (name.lower() != b"content-length" or bodiless or value == b"%d" % length)
    ]


async def _once(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body
