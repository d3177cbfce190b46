"""Findings of `doctor` about what an operator has configured, from the runtime's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewords_mcp.cli.doctor.findings import Finding

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json


def configured_findings(status: Json) -> list[Finding]:
    """Facts about providers, receivers of the audit trail and quotas.

    There are none of an older runtime, or while its database is away.
    """
    return [
        *_keyless_providers(status.get("keyless_providers") or {}),
        *_audit_receivers(status.get("audit_receivers") or []),
        *_quotas(status.get("quotas") or []),
    ]


def _keyless_providers(providers: dict[str, str]) -> list[Finding]:
    """Report model providers of the settings that have no key; empty where all have one."""
    return [
        Finding(
            "providers",
            "warning",
            f"The model provider {name} is in CODEWORDS_PROVIDERS and has no key: its calls are refused.",
            f"`codewords secrets set {secret}` sets it.",
        )
        for name, secret in providers.items()
    ]


def _quotas(quotas: list[Json]) -> list[Finding]:
    """Report quotas of which nothing is left; empty without quotas."""
    full = [
        Finding(
            "quotas",
            "warning",
            f"{quota['owner']} has used up its quota: {', '.join(names)}.",
            f"`codewords quotas list` shows it, `codewords quotas set {quota['owner']}` raises it.",
        )
        for quota in quotas
        if (names := _used_up(quota))
    ]
    if quotas and not full:
        return [Finding("quotas", "ok", f"{len(quotas)}, none used up")]
    return full


def _used_up(quota: Json) -> list[str]:
    limits, used = quota["limits"], quota["used"]
    if used is None:
        return []
    return [name for name, most in limits.items() if most is not None and used[name] >= most]


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
