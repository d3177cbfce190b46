"""Remedies: data below the front doors, which word them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
import typer

import codewords_mcp
from codewords_mcp.cli import _remedies as commands
from codewords_mcp.cli import app
from codewords_mcp.cli._client import RemoteError
from codewords_mcp.errors import InsufficientScope, MissingCredential, NotConnected, NotFound
from codewords_mcp.errors.remedies import (
    DIAGNOSE,
    NEUTRAL_WORDS,
    Remedy,
    RemedyAction,
    either,
    reword,
    set_secret,
)
from codewords_mcp.http import remedies as routes
from codewords_mcp.http.middleware.errors import body_of, explain
from codewords_mcp.mcp_server import remedies as tools
from codewords_mcp.mcp_server.tool_errors import ERROR_KEY, error_result

SOURCE = Path(codewords_mcp.__file__).parent
FRONT_DOORS = {"__main__.py", "cli", "stdio", "http", "mcp_server", "tools", "resources", "prompts"}
LIST_WORKFLOWS = Remedy(RemedyAction.LIST_WORKFLOWS)


@pytest.mark.requirement("mcp:tool-words")
@pytest.mark.parametrize("words", [commands.WORDS, routes.WORDS, tools.WORDS, NEUTRAL_WORDS])
def test_each_front_door_words_all_remedies_with_the_same_arguments(words: dict[RemedyAction, str]) -> None:
    assert set(words) == set(RemedyAction)
    for action, template in words.items():
        assert _slots(template) <= _slots(commands.WORDS[action]) | _slots(NEUTRAL_WORDS[action])


@pytest.mark.requirement("mcp:tool-words")
def test_a_remedy_is_a_tool_in_a_chat_a_route_over_http_and_a_command_in_a_terminal() -> None:
    in_chat = error_result(NotFound("Gone.", remedy=LIST_WORKFLOWS), "get_workflow")
    assert in_chat.content[0].model_dump()["text"] == "not_found: Gone.\nlist_workflows shows your workflows."
    assert (in_chat.meta or {})[ERROR_KEY]["remedy"]["action"] == "list_workflows"

    body = body_of(explain(NotFound("Gone.", remedy=LIST_WORKFLOWS), "req_1"))
    assert body["detail"] == "Gone. GET /workflows lists your workflows."

    received = RemoteError(404, body["error"])
    assert received.hint == "`codewords list` shows your workflows."
    assert received.details() == {}


@pytest.mark.requirement("mcp:tool-words")
def test_each_of_several_remedies_is_worded_at_every_front_door() -> None:
    remedy = either([Remedy(RemedyAction.PAIR_BROWSER), DIAGNOSE, DIAGNOSE])
    assert remedy is not None
    assert remedy.to_dict()["alternative"]["action"] == "diagnose"
    error = NotConnected("No browser.", hint=f"{remedy.words} Or: {DIAGNOSE.words}", remedy=remedy)

    body = body_of(explain(error, "req_1"))
    expected = [
        words[action]
        for words in (routes.WORDS, commands.WORDS)
        for action in (RemedyAction.PAIR_BROWSER, RemedyAction.DIAGNOSE)
    ]
    assert body["error"]["hint"] == f"{expected[0]} Or: {expected[1]}"
    assert RemoteError(424, body["error"]).hint == f"{expected[2]} Or: {expected[3]}"


@pytest.mark.requirement("mcp:tool-words")
def test_a_hint_keeps_its_own_words_beside_those_of_the_remedy() -> None:
    error = MissingCredential(
        "It is not set.", credential="API_KEY", hint="Make one there.", remedy=set_secret("API_KEY")
    )
    assert error.hint == "Make one there. Set the secret API_KEY."

    body = body_of(explain(error, "req_1"))["error"]
    assert body["hint"] == "Make one there. Set the secret API_KEY: PUT /secrets/API_KEY."
    assert RemoteError(424, body).hint == "Make one there. Set it with `codewords secrets set API_KEY`."

    text = error_result(error, "run_workflow").content[0].model_dump()["text"]
    assert text.endswith('Make one there. set_secret(name="API_KEY") lets the user set it.')


@pytest.mark.requirement("mcp:tool-words")
def test_a_missing_scope_is_a_key_to_make_and_for_a_token_another_sign_in() -> None:
    by_key = RemoteError(403, body_of(explain(InsufficientScope("run", by_token=False), "req_1"))["error"])
    assert by_key.hint == "`codewords keys create --scope …,run` makes one with it."
    assert InsufficientScope("run", by_token=True).hint == "Sign in again and grant it."


@pytest.mark.requirement("mcp:tool-words")
@pytest.mark.parametrize(
    "remedy",
    [
        "ask",
        {"action": "ask", "arguments": {}, "words": "Ask."},
        {"action": "set_secret", "arguments": {}, "words": "Ask."},
        {"action": "set_secret", "arguments": ["name"], "words": "Ask."},
        {"action": "set_secret", "words": "Ask."},
    ],
)
def test_the_words_of_another_runtime_for_an_unknown_remedy_stay(remedy: object) -> None:
    received = RemoteError(404, {"code": "not_found", "message": "Gone.", "hint": "Ask.", "remedy": remedy})
    assert received.hint == "Ask."


@pytest.mark.requirement("mcp:tool-words")
def test_an_argument_with_braces_stays_text() -> None:
    remedy = set_secret("{action.__class__}")
    assert reword(remedy.words, remedy.to_dict(), tools.WORDS)[0] == (
        'set_secret(name="{action.__class__}") lets the user set it.'
    )


@pytest.mark.requirement("mcp:tool-words")
@pytest.mark.slow
def test_no_module_below_the_front_doors_contains_a_command() -> None:
    names = "|".join(sorted({*_commands(app.codewords), *_commands(app.codewords_mcp)}))
    command = re.compile(rf"\bcodewords(?:-mcp)? (?:{names})\b")
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {text}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path.relative_to(SOURCE).parts[0] not in FRONT_DOORS
        for line, text in _texts(path)
        if command.search(text)
    ]
    assert found == []


def _slots(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def _commands(program: typer.Typer) -> Iterator[str]:
    for group in program.registered_groups:
        yield str(group.name)
    for command in program.registered_commands:
        if command.callback is not None:
            yield command.name or command.callback.__name__.replace("_", "-")


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    """Strings of a module that are values, so no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value
