"""The one place where a command's failure becomes words on stderr and an exit code."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._remedies import WORDS
from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.model.shortages import shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OK, FAILED, USAGE, PLATFORM, INTERRUPTED = 0, 1, 2, 3, 130

# Newer Typers carry their own copy of click; a base of BadParameter is the right class in either case.
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]

_PARSERS_WORDS = re.compile(r"Value error, |, unable to parse[^:]*(?=\.|$)")
"""Of a complaint, what speaks of the parser and not of what was typed."""
_NO_COMMAND = re.compile(r"No such command '([\w-]+)'")
_WORKFLOW_CODES = frozenset(
    {"validation_failed", "invalid_script", "environment_failed", "run_timed_out", "run_cancelled"}
)
_USAGE_CODES = frozenset({"invalid_input", "body_too_large", "not_found", "conflict"})


def exit_code(error: CodewordsError) -> int:
    """The exit code that tells a script whose fault it was."""
    if error.origin == "service" or error.code in _WORKFLOW_CODES:
        return FAILED
    if error.code in _USAGE_CODES:
        return USAGE
    return PLATFORM


@functools.cache
def command_tree(app: typer.Typer) -> Callable[..., Any]:
    """Build the parsers of all commands, once in a process: reading their signatures is most of a short command's work."""
    return typer.main.get_command(app)


def run_app(
    app: typer.Typer, name: str, argv: Sequence[str], others: Mapping[str, typer.Typer] | None = None
) -> int:
    """Run a Typer app over `argv`; returns the exit code. A command of the `others`, by name, is told to be theirs.

    With `--json` in `argv` a failure is also a JSON object on stdout: `{"error": {code, message, …}}`.
    """
    # Read by hand: if parsing fails, no parsed option is there to ask.
    as_json = "--json" in argv
    _open_streams()

    try:
        result: Any = command_tree(app)(args=list(argv), prog_name=name, standalone_mode=False)
    except CodewordsError as error:
        _report(error, as_json=as_json)
        return exit_code(error)
    except _ClickError as error:
        if (
            type(error).__name__ == "NoArgsIsHelpError"
        ):  # its message is the help, which Typer has drawn already
            return USAGE
        _report(_usage(error, others or {}), as_json=as_json)
        return USAGE
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:  # the last resort: a person gets a sentence, a developer the traceback
        # The settings can't be read here: they may be what failed.
        if os.environ.get("CODEWORDS_LOG_LEVEL", "").upper() == "DEBUG":
            raise
        _report(shortage(error, "command") or _broken(error), as_json=as_json)
        return PLATFORM

    if isinstance(result, int):
        return result

    return OK


def _report(error: CodewordsError, *, as_json: bool) -> None:
    error.word_remedy(WORDS)
    if as_json:
        _output.print_json({"error": error.to_dict()})
    else:
        _show_questions(error)
    # Also with --json, on stderr: a person who reads the terminal sees it anyway.
    _output.error(error.message, error.hint)


def _show_questions(error: CodewordsError) -> None:
    """Print the lines of a consent that the runtime asks for, so that nobody agrees to lines that they have not seen."""
    from codewords_mcp.cli._client import RemoteError

    if isinstance(error, RemoteError) and error.code == "consent_needed":
        for line in cast("list[str]", error.details().get("asks") or []):
            _output.note(f"  + {line}", "yellow", always=True)


def _usage(error: Exception, others: Mapping[str, typer.Typer]) -> InvalidInput:
    """A parser's complaint as one of ours, with the command whose help explains it."""
    context: Any = getattr(error, "ctx", None)
    if (found := _NO_COMMAND.search(str(cast("Any", error).format_message()))) and (
        other := _of_other_program(others, found[1])
    ):
        return InvalidInput(f"`{found[1]}` is a command of {other}.", hint=f"{other} {found[1]}")

    message = _PARSERS_WORDS.sub("", " ".join(str(cast("Any", error).format_message()).split()))
    path: str = context.command_path if context is not None else ""
    return InvalidInput(
        message if message.endswith(("?", "!")) else message.rstrip(".") + ".",
        hint=f"`{path} --help` shows what it takes." if path else "",
    )


def _of_other_program(others: Mapping[str, typer.Typer], command: str) -> str | None:
    """The name of another program that has this command."""
    for name, tree in others.items():
        names = {entry.name for entry in (*tree.registered_commands, *tree.registered_groups)}
        names |= {
            entry.callback.__name__
            for entry in tree.registered_commands
            if entry.callback and entry.name is None
        }
        if command in names:
            return name
    return None


def _broken(error: Exception) -> CodewordsError:
    return CodewordsError(
        f"This command broke: {type(error).__name__}: {error}",
        hint="That is a fault of codewords-mcp. CODEWORDS_LOG_LEVEL=DEBUG shows where.",
    )


def _open_streams() -> None:
    """Streams that the caller closed are empty ones: Python has None for them, on which every command would break."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # stays open


def _reader_gone() -> int:
    """End quietly after the reader of the pipe closed it (`| head`). Python must not complain at the exit."""
    with contextlib.suppress(OSError):
        # The interpreter flushes stdout at its exit, which would fail on the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
