"""`delete`, the one verb for what goes away and can't come back. A key is revoked instead: it ends, and stays listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK

if TYPE_CHECKING:
    import typer


def deletes(app: typer.Typer) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The command is the `delete` of this subject, and its `rm`, as it was once called."""

    def register(command: Callable[..., int]) -> Callable[..., int]:
        app.command("rm", hidden=True)(command)
        return app.command("delete")(command)

    return register


def tell_deleted(subject: str, facts: dict[str, Any], *, as_json: bool) -> int:
    """Say that it is gone; in JSON `facts` and `"deleted": true`."""
    if as_json:
        _output.print_json(facts | {"deleted": True})
    else:
        _output.line(f"{subject} is deleted.")
    return OK
