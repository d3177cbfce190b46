"""`doctor`: what works on this machine, what does not, why, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from codewords_mcp import __version__
from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._connect import connect, is_elsewhere
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.errors import CodewordsError

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json, RuntimeClient
    from codewords_mcp.cli.doctor.findings import Finding

_MARKS = {
    "ok": ("✓", "green"),
    "note": ("i", "cyan"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "bold red"),
}

_LOG = "The runtime's log has the details: logs/runtime.log in its home."


def doctor(as_json: AsJson = False) -> int:
    """Say what works here and what does not, and why. Exits with 1 if workflows cannot run."""
    with _output.spinner("Looking around"):
        status, findings = _examine()
    able = all(finding.status != "failed" for finding in findings)
    if as_json:
        checks = [asdict(finding) for finding in findings]
        _output.print_json({"ok": able, "version": __version__, "checks": checks, "status": status})
    else:
        _show(findings, able=able)

    if able:
        return OK

    return FAILED


def _examine() -> tuple[Json | None, list[Finding]]:
    """The runtime's status, if it answers, and all findings. Another machine's facts are its runtime's to tell."""
    from codewords_mcp.cli.doctor.configured import configured_findings
    from codewords_mcp.cli.doctor.findings import (
        Finding,
        failed_schedules,
        readable_secrets,
        runtime_findings,
        settings_finding,
    )
    from codewords_mcp.cli.doctor.machine import container_findings, machine_findings

    if is_elsewhere():
        here = container_findings()
    else:
        here = machine_findings()

    try:
        with connect(tell=False) as client:
            status = client.record("GET", "/status", params={"deep": "true"})
            # The other questions would wait for the database until they time out.
            if any(problem["part"] == "database" for problem in status.get("problems") or ()):
                return status, [*runtime_findings(status), *here]

            secrets = client.items("/secrets")
            chrome = _own_chrome(client)
            schedules = failed_schedules(client.items("/schedules"))
    except CodewordsError as error:
        # The hint would send the person to the command that they have just typed.
        if "codewords doctor" in (error.hint or ""):
            fix = _LOG
        else:
            fix = error.hint

        return None, [Finding("runtime", "failed", error.message, fix), *here]

    if is_elsewhere():
        conflicts = []
    else:
        conflicts = settings_finding()

    return status, [
        *runtime_findings(status),
        *configured_findings(status),
        *conflicts,
        *schedules,
        *readable_secrets(secrets),
        *chrome,
        *here,
    ]


def _own_chrome(client: RuntimeClient) -> list[Finding]:
    """Report the state of the person's own Chrome; empty for an older runtime without this route."""
    from codewords_mcp.cli._client import RemoteError
    from codewords_mcp.cli.doctor.findings import own_chrome

    try:
        return [own_chrome(client.record("GET", "/browser"))]
    except RemoteError as error:
        if error.status != 404:
            raise
        return []


def print_findings(findings: list[Finding]) -> None:
    """Findings on stdout, each with its mark; those of one subject under one label."""
    previous = ""
    for finding in findings:
        mark, style = _MARKS[finding.status]
        label = "" if finding.id == previous else finding.id
        _output.labelled(mark, style, label, finding.detail)
        if finding.fix:
            _output.labelled("", "", "", f"→ {finding.fix}")
        previous = finding.id


def _show(findings: list[Finding], *, able: bool) -> None:
    print_findings(findings)
    if able:
        _output.line("Workflows can run here.", "bold green")
    else:
        _output.line("Workflows cannot run here yet.", "bold red")
