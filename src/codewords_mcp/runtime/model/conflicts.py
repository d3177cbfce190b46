"""Deploys that would silently replace something: a name in use, and a live version that the deploy did not begin from."""

from __future__ import annotations

import difflib

from codewords_mcp.errors import Conflict

_DIFF_KEPT = 6_000


class NameTaken(Conflict):
    """A deploy under the name of another workflow, which was not named by its id. Nothing was deployed."""

    wire_fields = ("service_id", "version")

    def __init__(self, service_id: str, version: int) -> None:
        super().__init__(
            f"This name is taken by the workflow {service_id}, whose version {version} is live; nothing was deployed.",
            hint=f'For a new version of it, name it: `service_id` "{service_id}". For a workflow of its own, give '
            "another `name`.",
        )
        self.service_id = service_id
        self.version = version


class VersionChanged(Conflict):
    """A deploy that began from another version than the live one. Nothing was deployed.

    `live_changes` is the unified diff from `base_version` to the live version, `own_changes` the one to the code that was
    to be deployed; both bounded, and "" where the base is unknown.
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
        self.live_changes = _diff(base_code, live_code, f"version {base}", f"version {live}")
        self.own_changes = _diff(base_code, code, f"version {base}", "this code")


def _diff(before: str, after: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), old, new, n=2, lineterm="")
    text = "\n".join(lines)
    if len(text) <= _DIFF_KEPT:
        return text
    return f"{text[:_DIFF_KEPT]}\n… ({len(text) - _DIFF_KEPT} more characters)"
