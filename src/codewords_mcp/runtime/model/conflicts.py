"""Conflicts of a deploy that would replace something unseen: a name in use, or a live version other
than its base.
"""

from __future__ import annotations

from codewords_mcp.errors import Conflict
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.code_difference import code_difference, first_rows

_MAX_DIFF = 6_000
"""Maximum characters of a diff."""


class NameTaken(Conflict):
    """The name belongs to another workflow, which was not named by its id. Nothing was deployed."""

    wire_fields = ("service_id", "version")

    def __init__(self, service_id: str, version: int) -> None:
        super().__init__(
            f"This name is taken by the workflow {service_id}, whose version {version} is live; nothing was deployed.",
            remedy=Remedy(RemedyAction.NAME_WORKFLOW, {"workflow": service_id}),
        )
        self.service_id = service_id
        self.version = version


class VersionChanged(Conflict):
    """The deploy is based on another version than the live one. Nothing was deployed.

    `live_changes`: drawn difference from `base_version` to the live version. `own_changes`: the one from
    `base_version` to the submitted code. Both are bounded, and "" if the base is unknown.
    """

    wire_fields = ("service_id", "base_version", "live_version", "live_changes", "own_changes")

    def __init__(
        self, service_id: str, base: int, live: int, *, base_code: str, live_code: str, code: str
    ) -> None:
        super().__init__(
            f"This code began from version {base} of {service_id}, and version {live} is live; nothing was deployed.",
            hint="Take the live version's changes into this code where both should stay, then deploy it with "
            f"`base_version` {live}, which says that you have seen that version.",
        )
        self.service_id = service_id
        self.base_version = base
        self.live_version = live
        self.live_changes = _diff(base_code, live_code)
        self.own_changes = _diff(base_code, code)


def _diff(before: str, after: str) -> str:
    return first_rows(code_difference(before, after).text(), _MAX_DIFF)
