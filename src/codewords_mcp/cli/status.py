"""`status`: what the runtime does now. What is wrong with the machine is `doctor`'s to say."""

from __future__ import annotations

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK, PLATFORM
from codewords_mcp.cli._client import RuntimeClient, RuntimeEndpoint
from codewords_mcp.cli._connect import remote_endpoint
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.stdio import home


def status(as_json: AsJson = False) -> int:
    """Show what the runtime does: runs, alerts, budgets, quotas, providers, receivers. Starts none; without one it exits with 3.

    `codewords doctor` says what is wrong with this machine, and what to do.
    """
    endpoint = remote_endpoint()
    info = None
    if endpoint is None:
        info = home.find(home.home_folder())
        if info is None:
            return _tell_of_none(as_json=as_json)
        endpoint = RuntimeEndpoint(info.url, info.token)

    with RuntimeClient(endpoint) as client:
        found = client.record("GET", "/status")
    if as_json:
        _output.print_json({"running": True, "pid": info and info.pid, **found})
    else:
        from codewords_mcp.cli.doctor import print_findings
        from codewords_mcp.cli.doctor.activity import activity_findings

        print_findings(activity_findings(found, info and info.pid))
    return OK


def _tell_of_none(*, as_json: bool) -> int:
    folder = home.home_folder()
    if as_json:
        _output.print_json({"running": False, "home": folder})
    else:
        _output.line(f"No runtime runs for the home {folder}.")
        _output.note(
            "A chat host, or the next command that needs it, starts one; `codewords-mcp serve` does it in the foreground.",
            always=True,
        )
    return PLATFORM
