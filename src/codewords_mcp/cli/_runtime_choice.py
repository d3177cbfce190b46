"""The question of `install`: where this home's workflows run."""

from __future__ import annotations

import os
import sys
from typing import Final

import typer

from codewords_mcp.cli import _output
from codewords_mcp.errors import InvalidInput
from codewords_mcp.stdio import engines, home, runtime_choice
from codewords_mcp.stdio.runtime_choice import RuntimeChoice

_WORDS: Final = {
    runtime_choice.CONTAINER: "in a container on this machine ({engine})",
    runtime_choice.E2B: "on E2B, by an account there (E2B_API_KEY)",
    runtime_choice.REMOTE: "by a runtime elsewhere, whose address and key you have",
}


def choose(option: str | None, *, yes: bool) -> RuntimeChoice:
    """The choice of `--runtime`, else the one that holds already, else what a person at the terminal picks.

    On Linux a runtime on this machine needs no question. Raises InvalidInput for a choice that can't work here,
    RuntimeUnavailable where no container engine answers.
    """
    current = runtime_choice.read(home.home_folder())
    if option is not None:
        return _parse(option)
    if current.kind != runtime_choice.LOCAL or sys.platform == "linux" or _is_stored():
        return current

    return _ask(yes=yes)


def keep(choice: RuntimeChoice, *, always: bool) -> None:
    """Keep a choice in the home, if it is another than the one that holds, or `always`. Raises InvalidInput where it
    can't be written.
    """
    folder = home.home_folder()
    current = runtime_choice.read(folder)
    if not always and (current.kind, current.url) == (choice.kind, choice.url):
        return

    try:
        runtime_choice.keep(folder, choice)
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be written: {error.strerror}.") from error


def variables(choice: RuntimeChoice) -> dict[str, str]:
    """The variables by which a chat host's entry carries a choice; the key of a remote runtime stays in the home."""
    if choice.kind == runtime_choice.REMOTE:
        return {"CODEWORDS_RUNTIME_URL": choice.url}
    if choice.kind == runtime_choice.LOCAL:
        return {}
    return {"CODEWORDS_RUNTIME": choice.kind}


def describe(choice: RuntimeChoice) -> str:
    """A sentence that says what runs the workflows."""
    if choice.kind == runtime_choice.REMOTE:
        return f"Workflows run at {choice.url}."
    where = {"container": "in a container", "e2b": "on E2B", "local": "on this machine"}[choice.kind]
    return f"Workflows run {where}."


def _is_stored() -> bool:
    return os.path.isfile(os.path.join(home.home_folder(), runtime_choice.FILE))  # noqa: PTH113, PTH118


def _parse(option: str) -> RuntimeChoice:
    if option.startswith(("http://", "https://")):
        # The address that a chat host has of a runtime ends in /mcp, which is not part of the runtime's own.
        return RuntimeChoice(runtime_choice.REMOTE, option.rstrip("/").removesuffix("/mcp"), _key_of(option))
    if option not in runtime_choice.KINDS:
        raise InvalidInput(
            f"{option!r} is no runtime.",
            hint="--runtime takes container, e2b, local, or the URL of a runtime elsewhere.",
        )

    if option == runtime_choice.CONTAINER:
        engines.engine_here()
    elif sys.platform == "win32":
        raise InvalidInput(
            "The runtime itself needs Linux or macOS, also where its sandboxes are on E2B.",
            hint="--runtime container runs it in a container, with E2B_API_KEY and CODEWORDS_SANDBOX=e2b on E2B.",
        )
    if option == runtime_choice.E2B and not os.environ.get("E2B_API_KEY"):
        _output.note(
            "E2B_API_KEY is not set here: the runtime needs it where it starts.", "yellow", always=True
        )
    return RuntimeChoice(option)


def _ask(*, yes: bool) -> RuntimeChoice:
    answering = next((engine for engine in engines.engines_here() if engine.answers()), None)
    possible = [runtime_choice.CONTAINER] if answering else []
    if sys.platform != "win32":
        possible.append(runtime_choice.E2B)
    possible.append(runtime_choice.REMOTE)

    if answering and yes:
        return RuntimeChoice(runtime_choice.CONTAINER)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInput(
            "Workflows need a container engine, E2B or a runtime elsewhere on this system, and nobody is here to ask.",
            hint="Say it with --runtime container, --runtime e2b or --runtime URL.",
        )

    typer.echo("Where shall workflows run?", err=True)
    for number, kind in enumerate(possible, 1):
        typer.echo(
            f"  {number}  {_WORDS[kind].format(engine=answering.title if answering else '')}", err=True
        )
    number = 0
    while not 1 <= number <= len(possible):
        number = int(typer.prompt("Number", default=1, type=int, err=True))
    if possible[number - 1] == runtime_choice.REMOTE:
        return _parse(typer.prompt("Its address (https://…)", err=True))
    return RuntimeChoice(possible[number - 1])


def _key_of(url: str) -> str:
    key = os.environ.get("CODEWORDS_API_KEY", "")
    if not key and sys.stdin.isatty() and sys.stderr.isatty():
        # Typed without an echo, and never an argument, which the shell's history would keep.
        key = typer.prompt(
            f"A key of {url} (`codewords keys create` there makes one)", hide_input=True, err=True
        )
    if not key:
        raise InvalidInput(
            f"A key of {url} is needed.", hint="Set CODEWORDS_API_KEY, or run this in a terminal."
        )
    return key
