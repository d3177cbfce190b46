"""Runs that apply a dry run: each write that a person agreed to is sent, once, and no other."""

from __future__ import annotations

from functools import partial
from typing import Final, Protocol

from typing_extensions import override

from codewords_mcp.runtime.recording.dry_run import TOO_MANY, JudgingRecorder, held_write
from codewords_mcp.runtime.recording.exchanges import RecordedRequest
from codewords_mcp.runtime.recording.held_answers import respond
from codewords_mcp.runtime.recording.held_writes import HeldWrite, StoredAnswer, WriteList
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange, RecordedResponse
from codewords_mcp.runtime.recording.write_keys import WriteKeys

NOT_AGREED: Final = "nobody agreed to this write; it is on the list now, to be asked about"
UNKNOWN: Final = (
    "an earlier run sent it, and its answer is not on record, so whether it was carried out is unknown"
)


class OnHeld(Protocol):
    """Ends a run before a write of the list. `number` is None where there is no room for the write on the list."""

    def __call__(self, number: int | None, *, sent_before: HeldWrite | None = None) -> None:
        """Without `sent_before`, nobody agreed to the write; else an earlier run sent it, and its answer is unknown."""
        ...


class ApplyRecorder(JudgingRecorder):
    """The recorder of a run that applies. `on_held` ends the run before a write that must not be sent."""

    def __init__(self, run_id: str, writes: WriteList, keys: WriteKeys, on_held: OnHeld) -> None:
        super().__init__(run_id, writes, keys)
        self._on_held = on_held
        self._used: set[int] = set()
        self._held: BlockedRequest | None = None

    @override
    async def decide_write(
        self, request: RecordedRequest, *, summary: str = "", declared: StoredAnswer | None = None
    ) -> OpenExchange | RecordedResponse | BlockedRequest:
        # A stand-in's answer is for dry runs only.
        del declared
        # A program goes on for some milliseconds after its run was ended, and its next write may be one that was agreed to.
        if self._held is not None:
            return self._held

        write = held_write(self._run_id, request, self._keys, summary=summary)
        if write.key:
            claimed = await self._writes.claim(write.key, self._used)
        else:
            claimed = None
        if claimed is None:
            number = await self._writes.hold(write)
            self._on_held(number)
            self._held = BlockedRequest(TOO_MANY if number is None else NOT_AGREED)
            return self._held

        self._used.add(claimed.number)
        if claimed.state == "agreed":
            exchange = OpenExchange(request, on_end=partial(self._ended, claimed))
            self._keys.saw(exchange)
            self._keys.answered(claimed.number, partial(_body, exchange))
            return exchange

        # To send it again could do it twice; to make an answer up would be a lie.
        if claimed.answer is None:
            self._on_held(claimed.number, sent_before=claimed)
            self._held = BlockedRequest(UNKNOWN)
            return self._held
        self._keys.answered(claimed.number, partial(bytes, claimed.answer.body))
        return respond(claimed.answer, held=False, note="an earlier run of this list sent it")

    def _ended(self, write: HeldWrite, exchange: OpenExchange) -> None:
        if exchange.whole:
            # These headers are about how the body was transferred then. `respond` adds those of its own.
            headers = [pair for pair in exchange.headers if pair[0] not in _OF_TRANSFER]
            self._writes.keep_answer(write, StoredAnswer(exchange.status, headers, exchange.body))


_OF_TRANSFER: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})


def _body(exchange: OpenExchange) -> bytes:
    return exchange.body
