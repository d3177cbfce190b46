"""Runs that ended with a question about writes, taken up again with a person's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from codewords_mcp.errors import Conflict, InvalidInput
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.runs import RunApi
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.unknown_writes import ResumeQuestion
from codewords_mcp.runtime.recording.journal import JournalEntry
from codewords_mcp.runtime.runs import background_request as works
from codewords_mcp.runtime.runs.unknown_writes import info_of
from codewords_mcp.runtime.store import runs as rows


class ResumeApi:
    """Questions about writes of which nobody knows whether they were carried out, and the answers to them."""

    def __init__(self, container: Container, runs: RunApi) -> None:
        self._container = container
        self._runs = runs

    async def question(self, caller: Caller, run_id: str) -> ResumeQuestion:
        """The writes that a run asks about; none for one that asks nothing, or was answered. Raises NotFound, JournalDamaged."""
        run = await self._runs.get(caller, run_id)
        return ResumeQuestion(
            run_id=run.id,
            service_id=run.service_id or "",
            writes=[
                info_of(number, entry) for number, entry in enumerate(await self._unknown_writes(run), 1)
            ],
            resumed_by=await self._resumed_by(run),
        )

    async def resume(self, caller: Caller, run_id: str, *, sent: bool | Mapping[int, bool]) -> Run:
        """Go on with a run in a new one. Returns the new run's record.

        `sent` has the answer for each number of the question; of a question about one write, it may be the answer itself.
        Raises NotFound; InvalidInput where an answer is missing; Conflict for a run that asks nothing, or was answered before.
        """
        refuse_run(caller, "say whether a write was sent")
        run = await self._runs.get(caller, run_id)
        unknown = await self._unknown_writes(run)
        work = await self._container.database.read(works.load, run.id)
        if not unknown or work is None:
            raise self._no_question(await self._resumed_by(run))

        answers = _paired(run.id, unknown, sent)
        request = work.request
        request.body = works.replayed(work.body)
        request.caller = caller
        request.mode, request.mode_of = "resume", run.id
        # In one transaction: no answer is without its run, and no second answer has one.
        request.on_record = partial(self._container.run_journals.answer, asking=run.id, answers=answers)
        return await self._runs.get(caller, await self._runs.start(request))

    async def _unknown_writes(self, run: Run) -> list[JournalEntry]:
        if not run.asks:
            return []
        return await self._container.run_journals.question(run.owner, run.id)

    async def _resumed_by(self, run: Run) -> str | None:
        return await self._container.database.read(rows.find_resumed, run.id)

    @staticmethod
    def _no_question(resumed_by: str | None) -> Conflict:
        if resumed_by is not None:
            return Conflict(f"This run was answered already: {resumed_by} goes on with it.")
        return Conflict("This run does not ask about a write.", remedy=Remedy(RemedyAction.LIST_RUNS))


def _paired(
    run_id: str, unknown: Sequence[JournalEntry], sent: bool | Mapping[int, bool]
) -> list[tuple[JournalEntry, bool]]:
    """Each write with its answer. Raises InvalidInput."""
    numbers = range(1, len(unknown) + 1)
    if isinstance(sent, bool):
        sent = {1: sent}
    if set(sent) != set(numbers):
        named = "1" if len(unknown) == 1 else f"1 to {len(unknown)}"
        raise InvalidInput(
            f"This run asks about {len(unknown)} writes, and each needs one answer (number {named}).",
            remedy=Remedy(RemedyAction.RESUME_RUN, {"run": run_id}),
        )
    return [(entry, sent[number]) for number, entry in zip(numbers, unknown, strict=True)]
