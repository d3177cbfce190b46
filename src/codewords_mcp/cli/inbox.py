"""`codewords inbox`: what waits for the person."""

from __future__ import annotations

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import AsJson

_KINDS = {
    "consent": "to agree",
    "secret": "a secret",
    "connect": "an account",
    "browser": "a Chrome",
    "approval": "a question",
}


def list_inbox(as_json: AsJson = False) -> int:
    """List what waits for you: questions of runs, agreements, secrets to type, accounts to connect.

    `codewords open TOKEN` opens one in your browser, signed in, where you answer.
    """
    with connect() as client:
        items = client.items("/waiting")
    if as_json:
        _output.print_json({"items": items})
        return OK

    if not items:
        _output.line("Nothing waits for you.")
    for item in items:
        token = str(item["path"]).rpartition("/")[2]
        kind = _KINDS.get(str(item["kind"]), str(item["kind"]))
        _output.line(f"{token}  {kind}, until {item['expires_at']}: {item['title']}")
    if items:
        _output.note("Answer one: codewords open TOKEN")

    return OK
