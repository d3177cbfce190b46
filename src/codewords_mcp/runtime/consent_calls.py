"""The facade's part about a person's yes."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.runtime.consents import Wording
from codewords_mcp.runtime.house import House


async def secret_hosts(house: House, owner: str) -> dict[str, list[str]]:
    """Secrets of the owner that the egress puts in, by name, and for which hosts; the others are plain variables."""
    secrets = await house.secrets.list(owner)
    return {
        one.name: [host.partition(":")[0] for host in one.hosts]
        for one in secrets
        if one.held == "placeholder"
    }


class ConsentCalls:
    """What `Runtime` offers about questions that deploys and calls wait for. A token is one of `ConsentNeeded`."""

    _house: House

    async def peek_consent(self, token: str) -> tuple[Wording, list[tuple[str, list[str]]]]:
        """(how it is put, rows) that a person is asked about. Raises NotFound once it is answered."""
        ask = self._house.consents.peek(token)
        return ask.wording, ask.rows

    async def answer_consent(self, token: str, *, agreed: bool) -> None:
        """A person's answer; the first one counts, and holds until the deploy that it is for."""
        self._house.consents.answer(token, agreed=agreed)

    async def wait_for_consent(self, token: str, seconds: float) -> Literal["agreed", "declined"] | None:
        """The answer to the question of this token, None while there is none."""
        return await self._house.consents.wait(token, seconds)
