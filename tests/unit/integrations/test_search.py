"""The search of integrations, on a small catalogue of our own; the large one where it is present."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from codewords_mcp.runtime.integrations.catalogue import build_index, hit_of
from codewords_mcp.runtime.integrations.mcp.index import build_tool_index
from codewords_mcp.runtime.integrations.pipedream import read_action
from codewords_mcp.runtime.integrations.search import ActionIndex, stemmed_words
from codewords_mcp.runtime.model.integration import App, Hit
from codewords_mcp.runtime.model.mcp import AgreedTool, McpServer, ServerTool
from codewords_testing.pipedream.catalogue import ACTIONS, APPS

pytestmark = [pytest.mark.requirement("integrations:search")]
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def index() -> ActionIndex:
    actions = [read_action(one) for one in ACTIONS]
    apps = [App(slug=one["name_slug"], name=one["name"]) for one in APPS]
    return build_index(apps, [(hit_of(one), one.description) for one in actions])


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("send a message to slack", "slack_v2-post-message"),
        ("refund a payment", "stripe-create-refund"),
        ("add a row to a spreadsheet", "google_sheets-add-single-row"),
        ("new contact in the crm", "hubspot-create-or-update-contact"),
        ("GITHUB ISSUE", "github-create-issue"),
        ("what is the weather", "openweather-get-weather"),
        ("githb issue", "github-create-issue"),
    ],
)
def test_plain_words_find_the_action(index: ActionIndex, query: str, key: str) -> None:
    assert key in [hit.key for hit in index.search(query, 3)[0]]


def test_an_app_is_found_by_its_own_name_and_its_actions_come_first(index: ActionIndex) -> None:
    hits, apps = index.search("stripe", 5)
    assert [app.slug for app in apps] == ["stripe"]
    assert {hit.app for hit in hits[:2]} == {"stripe"}


@pytest.mark.parametrize(
    "query", ["", "   ", "the of a", "\0\u202e", "ö" * 5000, "a b " * 2000, "!!!", "日本語"]
)
def test_a_strange_question_finds_little_and_breaks_nothing(index: ActionIndex, query: str) -> None:
    hits, apps = index.search(query, 3)
    assert len(hits) <= 3
    assert len(apps) <= 5


def test_equal_questions_have_equal_answers_whatever_the_order_of_the_catalogue(index: ActionIndex) -> None:
    actions = [read_action(one) for one in reversed(ACTIONS)]
    apps = [App(slug=one["name_slug"], name=one["name"]) for one in reversed(APPS)]
    other = build_index(apps, [(hit_of(one), one.description) for one in actions])
    for query in ("message", "create", "list issues"):
        assert index.search(query, 10) == other.search(query, 10)


def test_words_are_told_from_punctuation_and_stemmed() -> None:
    assert stemmed_words("Google_Sheets: add-Rows, companies") == ["googl", "sheet", "add", "row", "company"]


@pytest.mark.parametrize(
    "name", ["listRepositoryBranches", "ListRepositoryBranches", "list_repository.branches"]
)
def test_a_name_in_camel_case_has_words_too(name: str) -> None:
    assert stemmed_words(name) == stemmed_words("list repository branches")
    assert stemmed_words("parseHTTPHeader2Go") == stemmed_words("parse HTTP header2 go")


@pytest.mark.parametrize(
    "forms", ["create creates creating created", "plan plans planning planned", "install installs installing installed",
              "update updating updated", "reply replies", "message messages messaging", "search searches searching"]
)  # fmt: skip
def test_the_forms_of_a_word_are_one(forms: str) -> None:
    assert len(set(stemmed_words(forms))) == 1


def test_what_reads_is_told_from_what_writes() -> None:
    found = {one["key"]: read_action(one).writes for one in ACTIONS}
    assert not found["slack_v2-list-channels"]
    assert not found["google_calendar-list-events"], "by its first word, where the broker does not say"
    assert found["stripe-create-refund"]


def test_of_the_hundred_questions_nearly_all_find_their_action_among_all_their_answers() -> None:
    module = _benchmark()
    asked = module.queries()
    assert len(asked) == 100
    hits = [
        Hit(key=key, app=key.partition("-")[0], name=key, writes=True, backend="connect")
        for _, keys in asked
        for key in sorted(keys)
    ]
    index = build_index([], hits_once(hits))
    found = sum(bool(right & {hit.key for hit in index.search(query, 3)[0]}) for query, right in asked)
    assert found >= 95


def hits_once(hits: list[Hit]) -> list[tuple[Hit, str]]:
    return [(hit, "") for hit in {hit.key: hit for hit in hits}.values()]


def _benchmark() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location(
            "integration_search", BENCHMARKS / "integration_search.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(BENCHMARKS))


def tool_index(*tools: ServerTool) -> ActionIndex:
    server = McpServer(name="films", url="https://films.example.com/mcp", title="", agreed=True)
    return build_tool_index([server], [AgreedTool(server=server, now=tool, agreed=tool) for tool in tools])


def test_a_tool_is_found_by_what_its_parameters_are_called_and_mean() -> None:
    nested = {"type": "array", "items": {"type": "object", "properties": {"director": {"type": "string"}}}}
    schema = {
        "type": "object",
        "properties": {
            "cast": {"type": "string", "description": "An actress or actor"},
            "kind": {"enum": ["western", "musical"]},
            "crew": nested,
        },
    }
    index = tool_index(
        ServerTool(name="look", description="Retrieves titles", input_schema=schema),
        ServerTool(name="movie_times", description="Retrieves times of titles"),
    )
    for question in ("with an actress", "a western", "by this director"):
        [first, *_], _ = index.search(question, 2)
        assert first.key == "mcp_films/look"


def test_a_word_of_a_short_description_says_more_than_one_of_a_long_description() -> None:
    index = tool_index(
        ServerTool(name="b_short", description="Prints an invoice"),
        ServerTool(name="a_long", description=f"Prints an invoice, {'and does much else besides, ' * 20}"),
    )
    hits, _ = index.search("invoice", 2)
    assert [hit.name for hit in hits] == ["b_short", "a_long"]


@pytest.mark.parametrize("schema", [{"properties": []}, {"properties": {"a": 1}}, {"items": {"items": {}}}])
def test_a_schema_of_anything_is_read_as_far_as_it_goes(schema: dict[str, Any]) -> None:
    loop: dict[str, Any] = {}
    loop["items"] = loop
    for strange in (schema, loop):
        index = tool_index(ServerTool(name="look", description="Retrieves titles", input_schema=strange))
        assert index.search("titles", 1)[0]
