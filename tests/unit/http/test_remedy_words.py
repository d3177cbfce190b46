"""Remedies as each reader understands them."""

from __future__ import annotations

import re

import pytest

from codewords_mcp.errors import NotFound
from codewords_mcp.errors.remedies import RemedyAction, show_workflow
from codewords_mcp.http.middleware.errors import explain
from codewords_mcp.http.remedies import CONSOLE_WORDS, WORDS
from codewords_mcp.runtime.auth.access_table import TABLE

pytestmark = pytest.mark.requirement("console:plain-remedies")
_TOOLS = [rule.name for rule in TABLE if rule.kind == "tool"]
_ROUTE = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) /")


@pytest.mark.parametrize("action", RemedyAction)
def test_the_console_names_no_route_no_tool_and_no_command(action: RemedyAction) -> None:
    words = CONSOLE_WORDS[action]
    assert not _ROUTE.search(words)
    assert "`codewords " not in words
    assert [tool for tool in _TOOLS if re.search(rf"\b{tool}\b", words)] == []


def test_a_program_reads_routes_where_a_person_reads_words() -> None:
    def hint(words: dict[RemedyAction, str]) -> str:
        failure = NotFound("There is no such version.", remedy=show_workflow("orders_1"))
        return explain(failure, "1", words=words).hint

    assert _ROUTE.search(hint(WORDS))
    assert hint(CONSOLE_WORDS) == CONSOLE_WORDS[RemedyAction.SHOW_WORKFLOW]
