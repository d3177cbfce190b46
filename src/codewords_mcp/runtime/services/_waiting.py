"""Waits of running workflows, as the services `approvals` and `wait` ask for them."""

from __future__ import annotations

from typing import Any, Protocol

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run_wait import NewWait, RunWait


class Waits(Protocol):
    """Lets runs wait. A run that waits longer than some seconds gives its sandbox back, where it keeps a journal."""

    async def wait(self, caller: Caller, repeat_key: str | None, new: NewWait) -> RunWait:
        """Wait until it is over. The same `repeat_key` of a run is the same wait, also in a later attempt.

        Raises InvalidInput for a caller that is no run, Conflict where a caller waits for the run meanwhile.
        """
        ...

    async def new_webhook(self, caller: Caller, repeat_key: str | None, question: dict[str, Any]) -> RunWait:
        """Make an address to which a request may come; the same `repeat_key` of a run is the same address.

        `question` has the name of the `secret` that its sender signs with, and how, as `signed_as`. Raises InvalidInput for
        a caller that is no run, Conflict.
        """
        ...
