"""Facts about what a runtime does, from its status."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from codewords_mcp.cli import _output
from codewords_mcp.cli._waterfall import format_ms
from codewords_mcp.cli.budgets import budget_name
from codewords_mcp.cli.costs import money
from codewords_mcp.cli.doctor.configured import configured_findings
from codewords_mcp.cli.doctor.findings import Finding, part_findings, paused_findings, version_finding
from codewords_mcp.common.counts import counted

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json


def activity_findings(found: Json, pid: int | None) -> list[Finding]:
    """Facts for `status`. `pid` is the runtime's, if it is on this machine."""
    version = version_finding(found)
    return [
        _runtime(found, pid),
        *([version] if version.status != "ok" else []),
        *part_findings(found.get("problems") or []),
        *paused_findings(found.get("paused")),
        _runs(found),
        *_alerts(found.get("alerts")),
        *_budgets(found.get("budgets") or []),
        *_providers(found.get("providers")),
        *configured_findings(found),
        _sandbox(found["sandbox"]),
        *_storage(found),
    ]


def _runtime(found: Json, pid: int | None) -> Finding:
    parts = [f"{found['version']} at {found['base_url']}"]
    # An older runtime does not say since when.
    if started_at := found.get("started_at"):
        parts.append(f"for {format_ms(max(0.0, time.time() - float(started_at)) * 1000)}")
    if pid:
        parts.append(f"pid {pid}")
    return Finding("runtime", "ok", f"{', '.join(parts)}, home {found['home']}")


def _runs(found: Json) -> Finding:
    runs: Json = found.get("runs") or {}
    statement = f"{runs.get('active', 0)} active, {runs.get('queued', 0)} waiting"
    if runs.get("recorded") is not None:
        statement += f", {runs['recorded']:,} stored"
    if "workflows" in found:
        statement += f"; {counted(found['workflows'], 'workflow')}"
    return Finding("runs", "ok", statement)


def _alerts(count: int | None) -> list[Finding]:
    if count is None:
        return []
    if count:
        return [Finding("alerts", "warning", f"{count} not over", "`codewords alerts list` shows them.")]
    return [Finding("alerts", "ok", "none")]


def _budgets(budgets: list[Json]) -> list[Finding]:
    """Budgets of which something is known to be spent: those of one thing."""
    return [
        Finding(
            "budgets",
            "warning" if budget["spent"] + budget["reserved"] >= budget["usd"] else "ok",
            f"{budget_name(budget)}: {money(budget['spent'])} of {money(budget['usd'])} USD spent",
        )
        for budget in budgets
        if budget["spent"] is not None
    ]


def _providers(providers: list[str] | None) -> list[Finding]:
    if providers is None:
        return []
    if not providers:
        fix = "`codewords secrets set OPENAI_API_KEY` sets one; `codewords providers` lists all."
        return [Finding("providers", "note", "none has a key: workflows cannot call models", fix)]
    return [Finding("providers", "ok", f"{', '.join(providers)} with a key of the home")]


def _sandbox(sandbox: Json) -> Finding:
    # An older runtime does not say.
    if sandbox.get("ready", sandbox["tier"] != "D"):
        return Finding("sandbox", "ok", f"tier {sandbox['tier']}: {sandbox['title']}")
    return Finding("sandbox", "failed", "no workflow can run", "`codewords doctor` says why.")


def _storage(found: Json) -> list[Finding]:
    store: Json = found.get("store") or {}
    if "bytes" not in store:
        return []
    parts = [
        f"{store['kind']} {_output.size(store['bytes'])}",
        f"{counted(store['files'], 'file')} of {_output.size(store['file_bytes'])}",
    ]
    if "environments" in found:
        parts.append(counted(found["environments"], "environment"))
    parts.append(f"{_output.size(store['disk_free'])} free on the disk")
    findings = [Finding("storage", "ok", ", ".join(parts))]
    stored: Json = found.get("stored") or {}
    if stored.get("measured_at"):
        kinds = ", ".join(
            f"{kind} {_output.size(size)}" for kind, size in stored.items() if kind != "measured_at" and size
        )
        findings.append(Finding("storage", "ok", f"of this owner: {kinds or 'nothing'}"))
    return findings
