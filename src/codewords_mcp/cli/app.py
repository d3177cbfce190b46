"""The two command trees. Command modules import the HTTP client and rich only inside their functions."""

from __future__ import annotations

from typing import Annotated

import typer

from codewords_mcp import __version__
from codewords_mcp.cli import (
    backup,
    budgets,
    costs,
    doctor,
    drafts,
    e2b,
    house,
    install,
    integrations,
    keys,
    publish,
    runs,
    schedules,
    secrets,
    services,
    usage,
    webhooks,
    workflows,
)
from codewords_mcp.cli._refs import AsJson

_EPILOG = (
    "Exit codes: 0 done · 1 the workflow or its checks failed · 2 usage · 3 runtime or platform · 130 Ctrl-C."
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
]

codewords = typer.Typer(
    name="codewords",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@codewords.callback()
def _codewords(version: Version = False) -> None:
    """Deploy and run CodeWords workflows from a terminal."""


codewords.command("generate")(drafts.generate)
codewords.command("validate")(workflows.validate)
codewords.command("deploy")(workflows.deploy)
codewords.command("run")(runs.run)
codewords.command("logs")(runs.logs)
codewords.command("runs")(runs.runs)
codewords.command("list")(workflows.list_workflows)
codewords.command("show")(workflows.show)
codewords.command("rollback")(workflows.rollback)
codewords.command("drafts")(drafts.drafts)
codewords.command("edit")(drafts.edit)
codewords.command("diff")(drafts.diff)
codewords.command("delete")(drafts.delete)
codewords.command("test")(drafts.try_example)
codewords.command("cancel")(runs.cancel)
codewords.command("publish")(publish.publish)
codewords.command("unpublish")(publish.unpublish)
codewords.command("published")(publish.published)
codewords.add_typer(schedules.app, name="schedules")
codewords.add_typer(webhooks.app, name="webhooks")
codewords.add_typer(secrets.app, name="secrets")
codewords.command("services")(services.services)
codewords.add_typer(integrations.app, name="integrations")
codewords.add_typer(integrations.connections_app, name="connections")
codewords.command("usage")(usage.usage)
codewords.command("templates")(workflows.templates)
codewords.add_typer(keys.app, name="keys")
codewords.add_typer(e2b.app, name="e2b")
codewords.command("costs")(costs.costs)
codewords.add_typer(budgets.app, name="budget")
codewords.command("doctor")(doctor.doctor)
codewords.command("backup")(backup.backup)
codewords.command("restore")(backup.restore)
codewords.command("stop")(house.stop)

codewords_mcp = typer.Typer(
    name="codewords-mcp",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@codewords_mcp.callback()
def _codewords_mcp(version: Version = False) -> None:
    """CodeWords workflows as an MCP server.

    Without a subcommand this is the MCP server over stdio that a chat host starts; `--read-only` and
    `--toolsets NAMES` narrow it.
    """


@codewords_mcp.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to bind; CODEWORDS_HOST, else 127.0.0.1.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port to bind, 0 for a free one; CODEWORDS_PORT, else 8765.",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Over MCP, only tools that change nothing, whatever the key.")
    ] = False,
    toolsets: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Over MCP, only these toolsets, parted by commas.", show_default=False
        ),
    ] = None,
    detached: Annotated[bool, typer.Option(hidden=True)] = False,
) -> int:
    """Run the runtime in the foreground: MCP over HTTP, the HTTP API, deployed workflows."""
    from codewords_mcp.cli.serve import serve as run

    return run(host=host, port=port, detached=detached, read_only=read_only, toolsets=toolsets)


@codewords_mcp.command()
def demo(as_json: AsJson = False) -> int:
    """Do the main job before your eyes: connect as a chat host does, deploy a workflow, run it."""
    from codewords_mcp.cli.demo import demo as run

    return run(as_json=as_json)


codewords_mcp.command("install")(install.install)
codewords_mcp.command("doctor")(doctor.doctor)
codewords_mcp.command("stop")(house.stop)
