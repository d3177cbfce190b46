"""Dry runs: their lists, and the runs that apply them."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from codewords_mcp.errors import Conflict, InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.recordings import STORED_WITHIN
from codewords_mcp.runtime.api.runs import RunApi
from codewords_mcp.runtime.model.call_questions import of_apply
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.dry_run import DryRunInfo, WriteInfo
from codewords_mcp.runtime.model.questions import Question
from codewords_mcp.runtime.model.run import Run, RunRequest
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.recording.exchanges import RunMessage
from codewords_mcp.runtime.recording.held_writes import (
    MAX_SHOWN_BODY,
    HeldWrite,
    cut,
    grouped_lines,
    varying_parts,
    write_lines,
)
from codewords_mcp.runtime.runs.background_request import replayed
from codewords_mcp.runtime.store import held_writes as rows

_SECRET: Final = re.compile(rb"\[secret [A-Za-z0-9_]+\]")


class DryRunApi:
    """Lists of held writes. A run that applies one shares it."""

    def __init__(self, container: Container, runs: RunApi) -> None:
        self._container = container
        self._runs = runs

    async def get(self, caller: Caller, run_id: str) -> DryRunInfo:
        """The list of a dry run, or of a run that applies one. Raises NotFound, InvalidInput for another run."""
        run = await self._dry_run(caller, run_id)
        writes = await self._writes(run)
        going = await self._unfinished(run)
        waiting = [write for write in writes if write.state != "sent"]
        infos = [_info(write, going=going) for write in writes]
        return DryRunInfo(
            run_id=run.id,
            service_id=run.service_id or "",
            version=run.version,
            writes=infos,
            lines=grouped_lines(waiting),
            varies=varying_parts(waiting),
            unknown=[
                write.name for write, info in zip(writes, infos, strict=True) if info.state == "unknown"
            ],
            problem=await self._problem(caller, run, writes),
            expired=self._expired(run, writes),
        )

    async def question(self, caller: Caller, run_id: str) -> Question:
        """The question to a person before a dry run is applied: each write that was not sent yet.

        Raises NotFound, InvalidInput, Conflict where it cannot be applied.
        """
        refuse_run(caller, "apply a dry run")
        run = await self._dry_run(caller, run_id)
        return self._question(caller, run, await self._applicable(caller, run))

    async def apply(self, caller: Caller, run_id: str, consent: Consent) -> str:
        """Run the workflow for real with what a person agreed to. Returns the id of the run, which is in the background.

        Raises ConsentNeeded, Forbidden where they declined, and as `question`.
        """
        refuse_run(caller, "apply a dry run")
        run = await self._dry_run(caller, run_id)
        writes = await self._applicable(caller, run)
        request = await self._request(caller, run)
        await self._container.consents.settle(self._question(caller, run, writes), consent)
        # After the person's yes and before the run, whose first write may come at once.
        await self._container.write_lists.agree(run.id, writes)
        started = await self._runs.start(request)
        if run.schedule_id is not None:
            # The yes that a schedule waits for whose first time was this dry run.
            with suppress(NotFound, Conflict):
                await self._container.schedules.resume(run.owner, run.schedule_id)
        return started

    async def _dry_run(self, caller: Caller, run_id: str) -> Run:
        run = await self._runs.get(caller, run_id)
        if run.mode not in {"dry_run", "apply"}:
            raise InvalidInput("This run is no dry run.", remedy=Remedy(RemedyAction.RUN_DRY))
        if run.mode_of is None:
            return run
        return await self._runs.get(caller, run.mode_of)

    async def _writes(self, run: Run) -> list[HeldWrite]:
        return await self._container.write_lists.read(run.owner, run.id)

    async def _applicable(self, caller: Caller, run: Run) -> list[HeldWrite]:
        writes = await self._writes(run)
        if problem := await self._problem(caller, run, writes):
            raise Conflict(f"This dry run cannot be applied: {problem}.", hint="Run it dry again.")
        return [write for write in writes if write.state != "sent"]

    async def _unfinished(self, run: Run) -> bool:
        """Whether a run that adds to the list of this dry run goes on."""
        return await self._container.database.read(rows.unfinished_run, run.id) is not None

    def _expired(self, run: Run, writes: list[HeldWrite]) -> bool:
        ttl = timedelta(seconds=self._container.settings.recording_ttl)
        return not writes and datetime.now(UTC) - run.created_at > ttl

    async def _problem(self, caller: Caller, run: Run, writes: list[HeldWrite]) -> str:
        """The reason why a list cannot be applied; "" where it can."""
        if await self._unfinished(run):
            return "a run that adds to its list has not ended"
        if self._expired(run, writes):
            return "it is older than recordings are kept, so its list was removed"
        waiting = [write for write in writes if write.state != "sent"]
        if not waiting:
            if writes:
                return "all that it would write was sent"
            return "it would write nothing"
        if whole := [str(write.number) for write in waiting if not write.key]:
            return f"the bodies of some writes are too long to be compared (number {', '.join(whole[:5])})"
        if run.version is None:
            return "a call of a library service is asked about when it is made"
        live = await self._container.catalog.find(caller, run.service_id or "")
        # The list was made by other code, and a person agreed to what that code does.
        if live.version != run.version:
            return f"version {live.version} is live, and it is of version {run.version}"
        return _input_problem(await self._input(run))

    async def _input(self, run: Run) -> RunMessage | None:
        """The request of the dry run; None where its recording is gone."""
        # It has answered before its program has ended, and is stored after that.
        await self._container.dispatcher.left(run.id, STORED_WITHIN)
        try:
            return (await self._container.recordings.load(run.owner, run.id)).request
        except NotFound:
            return None

    def _question(self, caller: Caller, run: Run, writes: list[HeldWrite]) -> Question:
        lines = write_lines(writes)
        entries = [(write.number, write.key, line) for write, line in zip(writes, lines, strict=True)]
        return of_apply(
            caller.owner, run.id, run.service_id or "", run.version or 0, entries, varying_parts(writes)
        )

    async def _request(self, caller: Caller, run: Run) -> RunRequest:
        """The request of the dry run, once more. Raises Conflict where its input is not on record."""
        message = await self._input(run)
        if message is None or message.body is None:
            # It was there when `_problem` looked.
            raise Conflict("This dry run cannot be applied: its input was removed.", hint="Run it dry again.")
        path, _, query = message.target.partition("?")
        return RunRequest(
            run.service_id or "",
            message.method,
            path,
            query.encode("latin-1"),
            message.headers,
            replayed(message.body),
            caller,
            background=True,
            mode="apply",
            mode_of=run.id,
        )


def _input_problem(message: RunMessage | None) -> str:
    """The reason why the recorded input of a dry run cannot be used again; "" where it can."""
    if message is None:
        return "its recording, which has its input, was removed to make room or because of its age"
    if message.body is None:
        return "its input was too long to be recorded"
    # The value is not on record, and the program would be given its name instead.
    if _SECRET.search(message.body) or _SECRET.search(message.target.encode()):
        return "its input held the value of a secret, which is not recorded"
    return ""


def _info(write: HeldWrite, *, going: bool) -> WriteInfo:
    body = write.request.body
    lost = write.state == "sent" and write.answer is None and not going
    return WriteInfo(
        number=write.number,
        run_id=write.run_id,
        state="unknown" if lost else write.state,
        status=None if write.answer is None else write.answer.status,
        method=write.request.method,
        address=write.address,
        body=cut(write.body_text, MAX_SHOWN_BODY),
        bytes=None if body is None else len(body),
        why=write.why,
        effect=write.effect,
        answered=write.answered,
    )
