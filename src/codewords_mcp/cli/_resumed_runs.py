"""Runs that ask about writes, at a terminal: the question, the answers, and the run that goes on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import someone_there
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._client import RuntimeClient
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import part, run_id
from codewords_mcp.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json

_ANSWER: Final = re.compile(r"(\d{1,9})=(sent|not-sent)")


def resume(run: str, *, sent: bool | None, answers: Sequence[str], as_json: bool) -> int:
    """Show the writes that a run asks about, and go on with it by the answers that are given or typed."""
    if sent is not None and answers:
        raise InvalidInput("Either --sent, --not-sent or --write answers.")
    chosen = _parsed(answers)

    with connect() as client:
        path = f"/runs/{part(run_id(client, run))}/resume"
        body: Json
        if sent is not None:
            body = {"sent": sent}
        else:
            chosen = chosen or _ask(client, path, as_json=as_json)
            body = {"writes": [{"number": number, "sent": was} for number, was in chosen.items()]}
        record = client.record("POST", path, body=body)

    if as_json:
        _output.print_json(record)
    else:
        _output.line(f"{record['id']} goes on.")
        _output.note(f"codewords runs {record['id']}", whole=True)
    return OK


def _parsed(answers: Sequence[str]) -> dict[int, bool]:
    found: dict[int, bool] = {}
    for text in answers:
        match = _ANSWER.fullmatch(text)
        if match is None or int(match[1]) in found:
            raise InvalidInput("--write is a number and an answer, once for each: --write 1=sent.")
        found[int(match[1])] = match[2] == "sent"
    return found


def _ask(client: RuntimeClient, path: str, *, as_json: bool) -> dict[int, bool]:
    """Ask the person at the terminal about each write. Raises InvalidInput where nobody is there."""
    question = client.record("GET", path)
    writes = cast("list[Json]", question["writes"])
    if not writes and question["resumed_by"]:
        raise Conflict(f"This run was answered already: {question['resumed_by']} goes on with it.")
    if not writes:
        raise Conflict("This run does not ask about a write.")

    if not as_json:
        print_question(writes)
    if as_json or not someone_there():
        raise InvalidInput(_how_many(writes), hint=_command(question["run_id"], writes))
    return {
        int(write["number"]): typer.confirm(f"Was number {write['number']} carried out?", err=True)
        for write in writes
    }


def print_question(writes: list[Json]) -> None:
    """List the writes of a question."""
    _output.note(_how_many(writes), "bold", always=True)
    for write in writes:
        _output.note(
            f"  {write['number']}. {write['method']} {write['address']}  {write['body']}",
            "yellow",
            always=True,
        )
        when = f", {write['sent_at']}" if write["sent_at"] else ""
        _output.note(f"     it {write['reason']} (attempt {write['attempt']}{when})", always=True)


def _how_many(writes: list[Json]) -> str:
    if len(writes) == 1:
        return "Was this write carried out?"
    return f"Which of these {len(writes)} writes were carried out?"


def _command(run: str, writes: list[Json]) -> str:
    """The command that answers, written out."""
    if len(writes) == 1:
        return f"codewords runs resume {run} --sent, or --not-sent"
    example = " ".join(f"--write {write['number']}=sent" for write in writes[:3])
    more = " …" if len(writes) > 3 else ""
    return f"codewords runs resume {run} {example}{more} (or =not-sent)"
