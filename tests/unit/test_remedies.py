"""Remedies: data below the front doors, which word them."""

from __future__ import annotations

import pytest

from codewords_mcp.cli import _remedies as commands
from codewords_mcp.cli._client import RemoteError
from codewords_mcp.errors import NotFound
from codewords_mcp.http import remedies as routes
from codewords_mcp.http.middleware.errors import body_of, explain
from codewords_mcp.mcp_server import remedies as tools
from codewords_mcp.mcp_server.tool_errors import ERROR_KEY, error_result
from codewords_mcp.remedies import Remedy


@pytest.mark.requirement("mcp:tool-words")
@pytest.mark.parametrize("hints", [commands.HINTS, routes.HINTS, tools.HINTS])
def test_each_front_door_words_all_remedies(hints: dict[Remedy, str]) -> None:
    assert set(hints) == set(Remedy)


@pytest.mark.requirement("mcp:tool-words")
def test_a_remedy_is_a_tool_in_a_chat_a_route_over_http_and_a_command_in_a_terminal() -> None:
    in_chat = error_result(NotFound("Gone.", remedy=Remedy.LIST_WORKFLOWS), "get_workflow")
    assert in_chat.content[0].model_dump()["text"] == "not_found: Gone.\nlist_workflows shows your workflows."
    assert (in_chat.meta or {})[ERROR_KEY]["remedy"] == "list_workflows"

    body = body_of(explain(NotFound("Gone.", remedy=Remedy.LIST_WORKFLOWS), "req_1"))
    assert body["detail"] == "Gone. GET /workflows lists your workflows."

    received = RemoteError(404, body["error"])
    assert received.hint == "`codewords list` shows your workflows."
    assert received.details() == {}


@pytest.mark.requirement("mcp:tool-words")
def test_the_words_of_a_newer_runtime_for_an_unknown_remedy_stay() -> None:
    received = RemoteError(404, {"code": "not_found", "message": "Gone.", "hint": "Ask.", "remedy": "ask"})
    assert received.hint == "Ask."
