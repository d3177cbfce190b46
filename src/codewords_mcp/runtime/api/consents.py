"""Consents and agreements of people."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.errors import Conflict, ConsentNeeded, Forbidden, NotFound
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.agreement import Agreement
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.questions import GRANTING, OpenQuestion, Question
from codewords_mcp.runtime.model.workflow import Consent


class ConsentApi:
    """Questions that deploys and calls wait for. A token is one of `ConsentNeeded`."""

    def __init__(self, container: Container) -> None:
        self._container = container

    @property
    def unattended(self) -> bool:
        """Whether the operator said that nobody is there to be asked."""
        return self._container.unattended

    async def request(self, caller: Caller, question: Question, consent: Consent) -> ConsentNeeded | None:
        """Spend a person's agreement and return None; without one, return the question that waits.

        Raises Forbidden where they declined.
        """
        refuse_run(caller, "ask a person")
        try:
            await self._container.consents.settle(question, consent)
        except ConsentNeeded as needed:
            return needed
        return None

    async def peek(self, caller: Caller, token: str) -> OpenQuestion:
        """The question that the caller is asked. Raises NotFound once it is answered, Forbidden for another's."""
        return await self._container.consents.peek(caller.owner, token)

    async def decide(self, caller: Caller, token: str, *, agreed: bool) -> None:
        """A person's answer; the first one counts, and holds until the deploy that it is for. Raises Forbidden."""
        refuse_run(caller, "agree to anything")
        _require_agreeing(caller)
        # A form of a chat host is answered by its key, which must not give what it may not agree to by a route.
        if agreed and not caller.agrees and await self._container.consents.kind_of(token) in GRANTING:
            raise Forbidden(
                "This key does not agree to what a workflow may do.",
                hint="The question waits in the console's inbox, where a person who may agree answers it.",
            )
        await self._container.consents.answer(caller.owner, token, agreed=agreed)

    async def answer(self, caller: Caller, token: str, *, agreed: bool) -> str:
        """Record what a person answered in the console or on the question's page; returns what follows, in a sentence.

        Raises NotFound if it is open no longer, Conflict if somebody else answered at this moment, Forbidden for another's.
        """
        refuse_run(caller, "agree to anything")
        _require_agreeing(caller)
        # Read before the answer, which ends the question with its wording.
        wording = (await self.peek(caller, token)).wording
        if not await self._container.consents.answer(caller.owner, token, agreed=agreed):
            raise Conflict(
                "This question was answered in the meantime; the first answer counts.",
                hint="Whoever asked goes on by that answer.",
            )
        return wording.agreed if agreed else wording.declined

    async def wait(self, caller: Caller, token: str, seconds: float) -> Literal["agreed", "declined"] | None:
        """The answer to the caller's question of this token, None while there is none."""
        return await self._container.consents.wait(caller.owner, token, seconds)

    async def agree(self, caller: Caller, service_id: str, confirm: str) -> Agreement:
        """Agree to what another owner's public workflow may do for the caller. `confirm` is the token of that question.

        Raises ConsentNeeded for another token, NotFound for a workflow that the caller can't run or need not agree to.
        """
        refuse_run(caller, "agree to anything")
        # `by_person`: the API is called with a person's key here, `refuse_run` has seen to
        # that.
        await self._container.agree(caller, service_id, Consent(confirm=confirm, by_person=True))
        found = [
            agreement
            for agreement in await self.list_agreements(caller)
            if agreement.service_id == service_id
        ]
        if not found:
            raise NotFound("This workflow runs for you without an agreement.")
        return found[0]

    async def list_agreements(self, caller: Caller) -> list[Agreement]:
        """List the agreements of the caller's owner with workflows of other owners, newest first."""
        refuse_run(caller, "look at agreements")
        return await self._container.agreements.list(caller.owner)

    async def withdraw_agreement(self, caller: Caller, service_id: str) -> None:
        """End an agreement: the next run of the workflow is asked about again. Raises NotFound."""
        refuse_run(caller, "withdraw agreements")
        await self._container.agreements.withdraw(caller.owner, service_id)


def _require_agreeing(caller: Caller) -> None:
    """Raise Forbidden for a member whose role does not agree to permissions for the home."""
    if caller.member is not None and not caller.agrees:
        raise Forbidden(
            f"The role {caller.member.role} does not agree to what a workflow may do.",
            hint="An author of the home can answer this question.",
        )
