"""`codewords providers`: the model providers of this home."""

from __future__ import annotations

from typing import Any

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson


def providers(as_json: AsJson = False) -> int:
    """List the model providers, their addresses, and which of them can be asked."""
    with connect() as client:
        items = client.items("/providers")
    if as_json:
        _output.print_json(items)
        return OK

    rows = [[item["name"], item["mount"], item["address"], _state(item)] for item in items]
    _output.table(["PROVIDER", "PATH HERE", "ADDRESS", "STATE"], rows, empty="No model providers.")
    return OK


def _state(item: dict[str, Any]) -> str:
    if item["resting"]:
        return f"rests for {item['resting']:.0f} s after failures"
    if item["ready"]:
        return "ready"
    return f"needs {item['key']}"
