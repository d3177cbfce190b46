"""Findings of `doctor` about what an operator has configured, from the runtime's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewords_mcp.cli.doctor.findings import Finding

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json


def configured_findings(status: Json) -> list[Finding]:
    """Facts about receivers of the audit trail; none of an older runtime, or while its database is away."""
    return _audit_receivers(status.get("audit_receivers") or [])


def _audit_receivers(receivers: list[Json]) -> list[Finding]:
    """Report whether the audit trail reaches its receivers; empty where the settings name none."""
    return [
        Finding(
            "audit",
            "warning",
            f"The audit trail does not reach its receiver by {receiver['name']} since {receiver['failing_since']}: "
            f"{receiver['unsent']} entries wait. {receiver['problem']}",
            "Nothing is lost: they are sent once the receiver takes them, at the latest five minutes after it is back.",
        )
        if receiver["problem"]
        else Finding("audit", "ok", f"sent on by {receiver['name']}, {receiver['unsent']} entries wait")
        for receiver in receivers
    ]
