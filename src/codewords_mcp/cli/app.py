"""The two command trees. Command modules import the HTTP client and rich only inside their functions."""

from __future__ import annotations

from typing import Annotated

import typer

from codewords_mcp import __version__
from codewords_mcp.cli import (
    agreements,
    alerts,
    audit,
    backup,
    browser,
    budgets,
    configuration,
    costs,
    database,
    deploy,
    doctor,
    drafts,
    e2b,
    editor,
    files,
    inbox,
    install,
    integrations,
    keys,
    logs,
    members,
    new,
    open_page,
    projects,
    providers,
    publish,
    quotas,
    recordings,
    replay,
    runs,
    schedules,
    secrets,
    service,
    services,
    templates,
    testing,
    triggers,
    usage,
    webhooks,
    workflows,
)
from codewords_mcp.cli import (
    status as status_command,
)
from codewords_mcp.cli import (
    stop as stop_command,
)
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.cli.dev.command import dev
from codewords_mcp.cli.load.command import load

_EPILOG = (
    "Exit codes: 0 done · 1 the workflow or its checks failed · 2 usage · 3 runtime or platform · 130 Ctrl-C."
)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(__version__)
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
]


def _tree(name: str, *, completes: bool = False) -> typer.Typer:
    return typer.Typer(
        name=name,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        add_completion=completes,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


codewords = _tree("codewords", completes=True)


@codewords.callback()
def _codewords(version: Version = False) -> None:
    """Deploy and run CodeWords workflows from a terminal.

    Begin with these ten: templates, new, dev, deploy, run, logs, schedules, secrets, inbox, doctor.
    """


_PANELS = {
    "Write": {
        "generate": drafts.generate,
        "templates": templates.templates,
        "new": new.new,
        "dev": dev,
        "validate": workflows.validate,
        "drafts": drafts.drafts,
        "edit": drafts.edit,
        "diff": drafts.diff,
        "rename": drafts.rename,
        "schema": editor.schema,
    },
    "Deploy": {
        "deploy": deploy.deploy,
        "list": workflows.list_workflows,
        "show": workflows.show,
        "push": projects.push,
        "pull": projects.pull,
        "config": configuration.config,
        "export": projects.export,
        "import": projects.import_workflow,
        "rollback": workflows.rollback,
        "delete": drafts.delete,
        "publish": publish.publish,
        "unpublish": publish.unpublish,
        "published": publish.published,
    },
    "Run": {
        "run": runs.run,
        "test": testing.run_tests,
        "runs": runs.runs,
        "logs": logs.logs,
        "cancel": runs.cancel,
        "recordings": recordings.app,
        "replay": replay.replay,
        "schedules": schedules.app,
        "triggers": triggers.app,
        "webhooks": webhooks.app,
        "alerts": alerts.app,
    },
    "Connect": {
        "inbox": inbox.list_inbox,
        "open": open_page.open_page,
        "secrets": secrets.app,
        "services": services.services,
        "files": files.app,
        "database": database.database,
        "integrations": integrations.app,
        "connections": integrations.connections_app,
        "browser": browser.app,
        "agreements": agreements.app,
    },
    "Account for": {
        "usage": usage.usage,
        "costs": costs.costs,
        "budgets": budgets.app,
        "quotas": quotas.app,
        "providers": providers.providers,
    },
    "Keep the runtime": {
        "status": status_command.status,
        "doctor": doctor.doctor,
        "load": load,
        "endpoint": editor.endpoint,
        "stop": stop_command.stop,
        "keys": keys.app,
        "members": members.app,
        "sessions": members.sessions_app,
        "audit": audit.app,
        "backup": backup.backup,
        "restore": backup.restore,
        "resume": stop_command.resume,
        "e2b": e2b.app,
    },
}
for _panel, _commands in _PANELS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            codewords.add_typer(_command, name=_name, rich_help_panel=_panel)
        else:
            codewords.command(_name, rich_help_panel=_panel)(_command)

codewords.add_typer(budgets.app, name="budget", hidden=True)  # as it was once called

codewords_mcp = _tree("codewords-mcp")


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
            help="Port to bind, 0 for a free one; CODEWORDS_PORT, else the one that the home had, else 8765.",
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
    service: Annotated[bool, typer.Option(hidden=True)] = False,
) -> int:
    """Run the runtime in the foreground: MCP over HTTP, the HTTP API, deployed workflows."""
    from codewords_mcp.cli.serve import serve as run

    return run(
        host=host, port=port, detached=detached, service=service, read_only=read_only, toolsets=toolsets
    )


@codewords_mcp.command()
def demo(as_json: AsJson = False) -> int:
    """Do the main job before your eyes: connect as a chat host does, deploy a workflow, run it."""
    from codewords_mcp.cli.demo import demo as run

    return run(as_json=as_json)


codewords_mcp.command("install")(install.install)
codewords_mcp.add_typer(service.app, name="service")
codewords_mcp.command("status")(status_command.status)
codewords_mcp.command("doctor")(doctor.doctor)
codewords_mcp.command("stop")(stop_command.stop)
