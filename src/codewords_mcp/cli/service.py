"""`codewords-mcp service install | uninstall | status`: a runtime that starts with the session."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import FAILED, OK
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.errors import InvalidInput, RuntimeUnavailable
from codewords_mcp.stdio import home, lifecycle

if TYPE_CHECKING:
    from codewords_mcp.cli.hosts.session_service import Manager, SessionService

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="A runtime that starts with your session."
)
_POLL = 0.1


class ManagerName(StrEnum):
    """The ids of `MANAGERS`, as choices."""

    SYSTEMD = "systemd"
    LAUNCHD = "launchd"
    WINDOWS = "windows"


@app.command()
def install(
    only_print: Annotated[
        bool, typer.Option("--print", help="Show the file and where it belongs; write nothing.")
    ] = False,
    manager_name: Annotated[
        ManagerName | None,
        typer.Option("--manager", help="With --print: for another system.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Let the runtime of this home start with your session, and again after a crash.

    A systemd user unit on Linux, a launchd agent on macOS, a task of Windows in WSL2. The settings of this
    environment (`CODEWORDS_…`, keys of model providers, proxies) are kept for it in the home.
    """
    from codewords_mcp.cli.hosts import session_service as services

    if manager_name is not None and not only_print:
        raise InvalidInput("--manager is for --print.", hint="Leave it out to install for this system.")

    service = services.SessionService.of(Path(home.home_folder()))
    if manager_name:
        manager = services.MANAGERS[manager_name.value]
    else:
        manager = services.manager_here()

    file, content = manager.file(service), manager.content(service)
    if only_print:
        # The task scheduler of Windows reads its XML as UTF-16.
        if manager.id == "windows":
            encoding = "utf-16"
        else:
            encoding = "utf-8"

        if as_json:
            _output.print_json({"file": str(file), "content": content.decode(encoding)})
        else:
            _output.note(f"# {file}", always=True)
            _output.line(content.decode(encoding).rstrip("\n"))

        return OK

    manager.require()
    # The service manager starts the runtime without this shell's environment.
    services.write_variables(service.home)
    _write(file, content)
    with _output.spinner("Starting the runtime as a service"):
        # The service's runtime needs the lock, and runs in progress must not be lost for it.
        lifecycle.stop(str(service.home), only_idle=True)
        try:
            manager.enable(service)
        except RuntimeUnavailable:
            _remove(service, file)  # nothing starts it, so nothing may say that something does
            raise

        info = _wait_until_up(service)

    if as_json:
        _output.print_json({"installed": True, "file": str(file), "manager": manager.id, "url": info.url})
        return OK

    _output.line(f"The runtime at {info.url} starts with your session from now on.", "bold green")
    _output.line(f"  file  {file}")
    _output.note(f"{manager.after}. Out again: codewords-mcp service uninstall")

    return OK


@app.command()
def uninstall(as_json: AsJson = False) -> int:
    """Stop the service, and let it start no more; the home stays as it is."""
    from codewords_mcp.cli.hosts import session_service as services

    service = services.SessionService.of(Path(home.home_folder()))
    manager = services.manager_here()
    file = manager.file(service)
    was = file.is_file()

    if was:
        manager.require()
        manager.disable(service)
        _remove(service, file)

    if as_json:
        _output.print_json({"uninstalled": was, "file": str(file)})
    else:
        _output.line(f"Removed {file}." if was else "The runtime of this home is no service.")

    return OK


@app.command()
def status(as_json: AsJson = False) -> int:
    """Say whether the runtime of this home is a service, and whether it runs. Exits with 1 if it is none."""
    from codewords_mcp.cli.hosts import session_service as services

    service = services.SessionService.of(Path(home.home_folder()))
    manager = services.manager_here()
    file = manager.file(service)
    installed, active = file.is_file(), False
    if installed:
        active = _is_active(manager, service)
    info = home.find(str(service.home))
    if as_json:
        _output.print_json(
            {"installed": installed, "active": active, "file": str(file), "manager": manager.id, "url": info and info.url}
        )  # fmt: skip
        if installed:
            return OK
        return FAILED

    if not installed:
        _output.line("The runtime of this home is no service: nothing starts it after a reboot.")
        _output.note("`codewords-mcp service install` makes it one.")
    else:
        _output.line(
            f"{manager.title} {'runs' if active else 'does not run'} it now; it starts with your session."
        )
        _output.line(f"  file     {file}")
        if not active:
            _output.note("`codewords-mcp service install` starts it again.")

    _output.line(f"  runtime  {info.url if info else 'none runs'}")
    if installed:
        return OK

    return FAILED


def _is_active(manager: Manager, service: SessionService) -> bool:
    try:
        manager.require()
    except RuntimeUnavailable:
        return False
    return manager.is_active(service)


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.") from error


def _remove(service: SessionService, file: Path) -> None:
    from codewords_mcp.cli.hosts.session_service import VARIABLES

    file.unlink(missing_ok=True)
    (service.home / VARIABLES).unlink(missing_ok=True)


def _wait_until_up(service: SessionService) -> home.RuntimeInfo:
    """Raises RuntimeUnavailable where the service manager's runtime does not come up."""
    deadline = time.monotonic() + lifecycle.START_TIMEOUT
    while time.monotonic() < deadline:
        if info := home.find(str(service.home)):
            return info
        time.sleep(_POLL)
    raise RuntimeUnavailable(
        "The service was started, but its runtime does not answer.",
        hint=f"`systemctl --user status {service.name}` or {home.log_path(str(service.home))} says why.",
    )
