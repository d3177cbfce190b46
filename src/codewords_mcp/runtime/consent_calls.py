"""The facade's part about a person's yes."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.runtime.house import House
from codewords_mcp.runtime.secrets.rules import WELL_KNOWN


async def secret_hosts(house: House, owner: str) -> dict[str, list[str]]:
    """Secrets of the owner that the egress puts in, by name, and for which hosts; the others are plain variables. Those that
    are not set yet will have the rule that a well-known name brings.
    """
    rules = {name: rule.names for name, rule in WELL_KNOWN.items()}
    rules |= {one.name: one.hosts for one in await house.secrets.list(owner)}
    return {name: [host.partition(":")[0] for host in hosts] for name, hosts in rules.items() if hosts}


class ConsentCalls:
    """What `Runtime` offers about questions that deploys wait for. A token is one of `ConsentNeeded`."""

    _house: House

    async def peek_consent(self, token: str) -> tuple[str, int | None, list[str]]:
        """(workflow, its live version, lines) that a person is asked about. Raises NotFound once it is answered."""
        ask = await self._house.consents.peek(token)
        return ask.name, ask.live, ask.lines

    async def answer_consent(self, token: str, *, agreed: bool) -> None:
        """A person's answer; the first one counts, and holds until the deploy that it is for."""
        await self._house.consents.answer(token, agreed=agreed)

    async def wait_for_consent(self, token: str, seconds: float) -> Literal["agreed", "declined"] | None:
        """The answer to the question of this token, None while there is none."""
        return await self._house.consents.wait(token, seconds)
