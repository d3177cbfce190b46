"""Backups of a home in a container: the same commands, run once beside its volume."""

from __future__ import annotations

import json
import tempfile
from typing import IO, TYPE_CHECKING

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK, USAGE
from codewords_mcp.errors import CodewordsError, InvalidInput, RuntimeUnavailable, StorageFailed
from codewords_mcp.stdio import containers, runtime_choice
from codewords_mcp.stdio.home import home_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

_ERROR, _HINT = "error: ", "hint: "
"""The beginnings of the lines by which a command tells why it failed."""
_ENGINE_FAILED = 125
"""The exit code of engines that could not start a container."""
_REASON_LIMIT = 300


def in_container() -> bool:
    """Whether this terminal's home is in a container of this machine."""
    return runtime_choice.read(home_folder()).kind == runtime_choice.CONTAINER


def backup_of_container(out: IO[bytes], *, keys: bool) -> None:
    """Write the backup of the container's home, which may go on. Raises as `codewords backup` does in the container."""
    words = ["backup", "-", *(() if keys else ("--no-keys",))]
    for note in _run(words, None, out):
        # What is said of keys is said by the command out here.
        if keys and "keys" in note:
            continue
        _output.note(note, always=True)


def restore_into_container(source: IO[bytes]) -> int:
    """Fill the volume of the container that this home will have. Returns the number of files. Raises as
    `codewords restore` does in the container.
    """
    with tempfile.TemporaryFile() as answer:
        _run(["restore", "-", "--json"], source, answer)
        answer.seek(0)
        return int(json.load(answer)["files"])


def _run(words: Sequence[str], stdin: IO[bytes] | None, stdout: IO[bytes]) -> list[str]:
    """Run a command in the container. Returns the lines of its stderr."""
    code, errors = containers.run_command(home_folder(), words, stdin=stdin, stdout=stdout)
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    if code != OK:
        raise _failure(code, lines)
    return lines


def _failure(code: int, lines: Sequence[str]) -> CodewordsError:
    message = next((line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)), "")
    hint = next((line.removeprefix(_HINT) for line in lines if line.startswith(_HINT)), "")
    # The engine speaks for itself, in words of its own.
    if not message or code == _ENGINE_FAILED:
        reason = (lines[-1] if lines else "it gave no reason")[:_REASON_LIMIT].rstrip(".")
        return RuntimeUnavailable(f"The container could not be started: {reason}.")
    kind = InvalidInput if code == USAGE else StorageFailed
    return kind(f"In the container: {message[0].lower()}{message[1:]}", hint=hint)
