"""`codewords e2b build-template | clean`: what a person does once for sandboxes on E2B, and what undoes it."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import read_settings
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.errors import Conflict, SandboxFailed
from codewords_mcp.stdio import home

if TYPE_CHECKING:
    from collections.abc import Callable

    from codewords_mcp.settings import Settings

_LAST_LINES = 20
"""Of a build's log, shown where it failed."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Sandboxes on E2B.")


@app.command("build-template")
def build_template(as_json: AsJson = False) -> int:
    """Build the template that workflows run in on E2B, after each update of codewords-mcp. Needs E2B_API_KEY."""
    import asyncio

    settings = read_settings()
    _hush()
    # The last lines of a build say why it failed; all of them would fill the terminal.
    heard: deque[str] = deque(maxlen=_LAST_LINES)

    try:
        with _output.spinner(f"Building the template {settings.e2b_template} on E2B") as show:

            def say(text: str) -> None:
                heard.append(text)
                show(text)

            problem = asyncio.run(_build(settings, say))
    except SandboxFailed:
        for text in heard:
            _output.note(text, always=True)
        raise

    if problem:
        _output.note(problem, always=True)
    if as_json:
        template = {"template": settings.e2b_template, "cpus": settings.e2b_cpus}
        _output.print_json(template | {"memory_mb": settings.e2b_memory_mb})
    else:
        size = f"{settings.e2b_cpus} processors, {settings.e2b_memory_mb} MiB"
        _output.line(f"E2B has the template {settings.e2b_template} ({size}).", "green")
        _output.note(
            "`CODEWORDS_SANDBOX=e2b` runs workflows in it; `codewords doctor` says whether it works."
        )

    return OK


@app.command()
def clean(as_json: AsJson = False) -> int:
    """End every sandbox that this home has on E2B, and remove the environments that were built there."""
    import asyncio

    settings = read_settings()
    folder = home.home_folder()
    # A running runtime would make new sandboxes at once.
    if home.find(folder) is not None:
        raise Conflict(
            "The runtime of this home runs, and needs what would be removed.",
            hint="`codewords stop` ends it, and its sandboxes.",
        )

    _hush()
    ended, removed = asyncio.run(_clean(settings, Path(folder)))
    if as_json:
        _output.print_json({"sandboxes": ended, "environments": removed})
    else:
        _output.line(f"Sandboxes ended: {ended}. Environments removed: {removed}.")

    return OK


def _hush() -> None:
    """The log of what the runtime's parts do here is not for a terminal."""
    from codewords_mcp.logging import configure

    configure("CRITICAL")


async def _build(settings: Settings, say: Callable[[str], object]) -> str:
    import uv

    from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount
    from codewords_mcp.runtime.sandboxes.e2b.template import build
    from codewords_mcp.runtime.workflows.environments.client_wheel import client_wheel
    from codewords_mcp.runtime.workflows.environments.uv import Uv

    account = await E2bAccount.open(settings)
    cache = settings.home / "cache" / "client"
    wheel = await client_wheel(Uv(Path(uv.find_uv_bin()), settings.home / "cache" / "uv"), cache)

    return await build(account, settings, wheel.path, say)


async def _clean(settings: Settings, folder: Path) -> tuple[int, int]:
    from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount
    from codewords_mcp.runtime.sandboxes.e2b.leases import end_all
    from codewords_mcp.runtime.sandboxes.e2b.template import remove_environments

    account = await E2bAccount.open(settings)
    ended = await end_all(account, folder / "run")
    return ended, await remove_environments(account, settings.e2b_template)
