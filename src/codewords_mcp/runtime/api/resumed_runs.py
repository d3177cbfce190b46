"""Runs that ended with a question about a write, taken up again with a person's answer."""

from __future__ import annotations

from codewords_mcp.errors import Conflict, WriteUnknown
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.runs import RunApi
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.runs import background_request as works


class ResumeApi:
    """Answers to the question whether a write was carried out."""

    def __init__(self, container: Container, runs: RunApi) -> None:
        self._container = container
        self._runs = runs

    async def resume(self, caller: Caller, run_id: str, *, sent: bool) -> Run:
        """Go on with a run in a new one: the write that it asks about was `sent`, or was not. Returns the new run's record.

        Raises NotFound; Conflict for a run that asks nothing, or was answered before.
        """
        refuse_run(caller, "say whether a write was sent")
        run = await self._runs.get(caller, run_id)
        journals = self._container.run_journals
        entry = await journals.question(run.owner, run.id)
        work = await self._container.database.read(works.load, run.id)
        if run.status != "failed" or run.error is None or run.error.code != WriteUnknown.code:
            raise _no_question()
        if entry is None or work is None or not await journals.answer(run.id, entry, sent=sent):
            raise _no_question()

        request = work.request
        request.body = works.replayed(work.body)
        request.caller = caller
        request.mode, request.mode_of = "resume", run.id
        try:
            resumed = await self._runs.start(request)
        except BaseException:
            await journals.ask_again(run.owner, run.id, entry)
            raise
        return await self._runs.get(caller, resumed)


def _no_question() -> Conflict:
    return Conflict(
        "This run does not ask about a write, or was answered already.",
        remedy=Remedy(RemedyAction.LIST_RUNS),
    )
