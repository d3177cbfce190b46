"""The facade's part about a person's yes."""

from __future__ import annotations

import secrets
from typing import Literal

from sqlalchemy import Connection

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.callers import refuse_run
from codewords_mcp.runtime.house import House
from codewords_mcp.runtime.models import Caller
from codewords_mcp.runtime.questions import Rows, Wording
from codewords_mcp.runtime.store import service_values
from codewords_mcp.runtime.store.clock import now

_SPACE = "confirmations"
_CONFIRMED_WITHIN = 600_000_000
_MOST_QUESTIONS = 1000


class ConsentCalls:
    """What `Runtime` offers about questions that deploys and calls wait for. A token is one of `ConsentNeeded`."""

    _house: House

    @property
    def unattended(self) -> bool:
        """Whether the operator said that nobody is there to be asked."""
        return self._house.unattended

    async def ask_confirmation(self, caller: Caller, digest: str) -> str:
        """A token for a second call; it is good once, for 10 minutes, for what `digest` stands for, on every replica.

        Raises TooBusy.
        """
        token, at = secrets.token_urlsafe(18), now()

        def put(connection: Connection) -> None:
            if service_values.count(connection, caller.owner, _SPACE) >= _MOST_QUESTIONS:
                raise TooBusy("Too many questions wait for their answer.", retry_after=600)
            service_values.put(connection, caller.owner, _SPACE, token, digest, at + _CONFIRMED_WITHIN)

        await self._house.database.write(put)
        return token

    async def redeem_confirmation(self, caller: Caller, token: str, digest: str) -> bool:
        """Spend a token; whether it was for this. One that was for something else stays."""

        def take(connection: Connection) -> bool:
            found = service_values.get(connection, caller.owner, _SPACE, token, now())
            return (
                found is not None
                and found["value"] == digest
                and service_values.remove(connection, caller.owner, _SPACE, token, now())
            )

        return len(token) <= 64 and await self._house.database.write(take)

    async def peek_consent(self, caller: Caller, token: str) -> tuple[Wording, Rows]:
        """(how it is put, rows) that the caller is asked about. Raises NotFound once it is answered, Forbidden for another's."""
        return await self._house.consents.peek(caller.owner, token)

    async def answer_consent(self, caller: Caller, token: str, *, agreed: bool) -> None:
        """A person's answer; the first one counts, and holds until the deploy that it is for. Raises Forbidden."""
        refuse_run(caller, "agree to anything")
        await self._house.consents.answer(caller.owner, token, agreed=agreed)

    async def wait_for_consent(
        self, caller: Caller, token: str, seconds: float
    ) -> Literal["agreed", "declined"] | None:
        """The answer to the caller's question of this token, None while there is none."""
        return await self._house.consents.wait(caller.owner, token, seconds)
