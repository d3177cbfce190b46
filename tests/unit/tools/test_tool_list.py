"""The tool list as a client sees it: snapshots, names, annotations, budget.

`CODEWORDS_UPDATE_SNAPSHOTS=1` writes the snapshots anew."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import pytest

from codewords_mcp import tools as tool_files
from codewords_mcp.cli.mcp_app import create_server
from codewords_mcp.console.card_pages import CARDS
from codewords_mcp.mcp_server.tool import EXECUTES, READS, McpTool
from codewords_mcp.mcp_server.tool import tool as make
from codewords_mcp.mcp_server.toolsets import TOOLSETS
from codewords_mcp.runtime.auth.access import Rule
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.settings import Settings
from codewords_mcp.tools import all_tools

pytestmark = pytest.mark.anyio

PROJECT = Path(__file__).parents[3]
SNAPSHOTS = PROJECT / "tests" / "snapshots" / "tools"
UPDATE = os.environ.get("CODEWORDS_UPDATE_SNAPSHOTS") == "1"


def _budget() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tool_tokens", PROJECT / "benchmarks" / "tool_tokens.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def _tools() -> list[dict[str, Any]]:
    server = create_server(None, Settings.model_construct())  # pyright: ignore[reportArgumentType]  # listing asks nothing of a runtime
    return [
        tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in await server.list_tools()
    ]


@pytest.mark.requirement("mcp:tool-snapshots")
async def test_each_tool_is_what_its_snapshot_says() -> None:
    tools = {tool["name"]: tool for tool in await _tools()}
    if UPDATE:
        SNAPSHOTS.mkdir(parents=True, exist_ok=True)
        for old in SNAPSHOTS.glob("*.json"):
            old.unlink()
        for name, tool in tools.items():
            (SNAPSHOTS / f"{name}.json").write_text(json.dumps(tool, indent=2) + "\n", encoding="utf-8")
    kept = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in SNAPSHOTS.glob("*.json")}
    assert tools == kept


@pytest.mark.requirement("mcp:tool-order")
async def test_the_list_has_the_same_order_each_time() -> None:
    names = [tool["name"] for tool in await _tools()]
    assert names == [tool["name"] for tool in await _tools()]
    assert names == [rule.name for rule in TABLE if rule.kind == "tool"]
    assert names.index("validate_workflow") < names.index("deploy_workflow") < names.index("run_workflow")


@pytest.mark.requirement("access:rows")
def test_each_file_of_a_tool_has_a_row_in_the_access_table() -> None:
    files = {module.name for module in iter_modules(tool_files.__path__) if not module.name.startswith("_")}
    assert files == {tool.name for tool in all_tools()}


@pytest.mark.requirement("mcp:tool-names")
async def test_names_leave_room_for_the_prefixes_of_hosts() -> None:
    assert [tool["name"] for tool in await _tools() if len(tool["name"]) > 21] == []


@pytest.mark.requirement("mcp:tool-annotations")
async def test_every_tool_has_a_title_and_all_four_hints() -> None:
    hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
    for tool in await _tools():
        assert tool["title"], tool["name"]
        assert hints <= tool["annotations"].keys(), tool["name"]


@pytest.mark.requirement("mcp:tool-annotations")
async def test_reading_tools_say_so_and_destroying_tools_say_so() -> None:
    tools = await _tools()
    reading = {tool["name"] for tool in tools if tool["annotations"]["readOnlyHint"]}
    destroying = {tool["name"] for tool in tools if tool["annotations"]["destructiveHint"]}
    assert reading == {rule.name for rule in TABLE if rule.kind == "tool" and rule.effect == "reads"}
    assert destroying == {
        "rollback_workflow",
        "cancel_run",
        "change_schedule",
        "change_trigger",
        "delete_secret",
        "delete_workflow",
    }


@pytest.mark.requirement("mcp:tool-tokens")
async def test_the_list_keeps_its_token_budget(capsys: pytest.CaptureFixture[str]) -> None:
    budget = _budget()
    others = {tool.name for tool in all_tools() if tool.for_cards or not tool.listed}
    tools = [tool for tool in await _tools() if tool["name"] not in others]
    counts = [budget.estimate(budget.paid(tool)) for tool in tools]
    with capsys.disabled():
        print("\n" + budget.table(tools, counts, "≤"))
    assert sum(counts) <= budget.LIMIT
    assert max(counts) <= budget.LIMIT_EACH


@pytest.mark.requirement("cards:announced")
async def test_what_a_host_with_cards_pays_in_addition_is_little() -> None:
    budget = _budget()
    shown = {tool.name for tool in all_tools() if tool.for_cards and "model" in _visibility(tool)}
    counts = [budget.estimate(budget.paid(tool)) for tool in await _tools() if tool["name"] in shown]
    assert len(counts) == 3
    assert sum(counts) <= 200


@pytest.mark.requirement("cards:announced")
def test_a_tool_with_a_card_names_its_document_and_one_of_cards_is_hidden_from_models() -> None:
    for tool in all_tools():
        meta = tool.meta or {}
        if tool.card is not None:
            assert tool.card.uri == meta["ui"]["resourceUri"] == meta["ui/resourceUri"], tool.name
            assert tool.card.name in CARDS
        elif tool.for_cards:
            assert (meta, tool.reads) == ({"ui": {"visibility": ["app"]}}, True), tool.name
        else:
            assert meta == {}, tool.name


def _visibility(tool: McpTool) -> list[str]:
    return list((tool.meta or {})["ui"]["visibility"])


@pytest.mark.requirement("mcp:tool-tokens")
async def test_schemas_carry_nothing_that_a_model_does_not_need() -> None:
    for tool in await _tools():
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            text = json.dumps(schema)
            assert "$ref" not in text, tool["name"]
            assert '"null"' not in text, tool["name"]
            assert not {"title", "description"} & schema.keys(), tool["name"]


@pytest.mark.requirement("mcp:tool-strict")
async def test_every_tool_refuses_arguments_it_does_not_know() -> None:
    assert all(tool["inputSchema"]["additionalProperties"] is False for tool in await _tools())


@pytest.mark.requirement("mcp:instructions")
async def test_the_instructions_name_the_loop_in_order_and_stay_short() -> None:
    from codewords_mcp.mcp_server.server import INSTRUCTIONS

    assert _budget().estimate(INSTRUCTIONS) <= 150
    loop = ["generate_workflow", "edit_workflow", "deploy_workflow", "run_workflow", "get_run"]
    assert sorted(loop, key=INSTRUCTIONS.index) == loop


@pytest.mark.requirement("mcp:tool-properties")
def test_what_a_tool_does_not_state_is_what_grants_least() -> None:
    async def anything() -> None:
        """Do something."""

    rule = Rule("tool", "anything", "user", ("write",), "writes", "other")
    made = make(anything, title="Anything", hints=EXECUTES, rule=rule)
    assert (made.task, made.retryable) == ("never", False)
    with pytest.raises(LookupError, match="no row for tool 'anything'"):
        make(anything, title="Anything", hints=EXECUTES)
    with pytest.raises(LookupError, match="its annotations do not"):
        make(anything, title="Anything", hints=READS, rule=rule)


@pytest.mark.requirement("mcp:tool-properties")
def test_every_tool_of_ours_has_a_toolset_and_what_it_changes_takes_more_than_reading() -> None:
    tools = all_tools()
    assert [one.name for one in tools if one.toolset not in TOOLSETS or one.toolset == "other"] == []
    assert [one.name for one in tools if not one.reads and one.rule.scopes == ("read",)] == []
    assert [one.name for one in tools if one.retryable and one.task == "never"] == []
