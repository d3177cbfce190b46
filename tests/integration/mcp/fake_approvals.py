"""Questions of a runtime whose runs ask none."""

from __future__ import annotations

from codewords_mcp.runtime.api.approvals import ApprovalApi
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run_wait import ApprovalInfo


class FakeApprovalApi(ApprovalApi):
    """No run asks anybody."""

    def __init__(self) -> None:
        pass

    async def of_run(self, caller: Caller, run_id: str) -> list[ApprovalInfo]:
        """See `ApprovalApi`."""
        return []
