"""Questions of a runtime whose runs ask none."""

from __future__ import annotations

from datetime import datetime

from codewords_mcp.runtime.api.approvals import ApprovalApi
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.run_wait import ApprovalInfo


class FakeApprovalApi(ApprovalApi):
    """No run asks anybody."""

    def __init__(self) -> None:
        pass

    async def of_run(self, caller: Caller, run_id: str) -> list[ApprovalInfo]:
        """See `ApprovalApi`."""
        return []

    async def address_of(self, run: Run) -> tuple[str, datetime] | None:
        """See `ApprovalApi`."""
        return None
