"""Rows of MCP servers and their tools, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases import open_database

from codewords_mcp.runtime.model.mcp import McpServer, ServerTool
from codewords_mcp.runtime.store import mcp_servers as rows
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("mcp-broker:store")
NOTES = McpServer(name="notes", url="https://notes.example.com/mcp")
READ = {"title": "Notes", "transport": "http", "problem": "", "read_at": 5}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    opened = open_database(tmp_path, url)
    opened.write_blocking(rows.add, "ada", NOTES, 1)
    yield opened
    opened.close()


def tool(name: str, digest: str = "1") -> ServerTool:
    return ServerTool(name=name, digest=digest)


def agreed(database: Database) -> dict[str, bool]:
    listed = database.write_blocking(rows.tools, NOTES, "ada")
    return {one.now.name: one.is_agreed for one in listed if one.now is not None}


def test_agreements_outlive_tools_that_are_gone_and_are_for_what_was_shown(database: Database) -> None:
    database.write_blocking(rows.replace_tools, "ada", "notes", [tool("add"), tool("read")], READ)
    # Of what the person saw, `read` has changed meanwhile.
    seen = [("add", "1"), ("read", "0"), ("unknown", "1")]
    database.write_blocking(rows.agree, "ada", "notes", seen, {"agreed_at": 6})
    assert agreed(database) == {"add": True, "read": False}

    database.write_blocking(rows.replace_tools, "ada", "notes", [tool("read"), tool("new")], READ)
    assert agreed(database) == {"read": False, "new": False}
    database.write_blocking(rows.replace_tools, "ada", "notes", [tool("add"), tool("read", "0")], READ)
    assert agreed(database) == {"add": True, "read": False}
    database.write_blocking(rows.replace_tools, "ada", "notes", [tool("add", "2")], READ)
    assert agreed(database) == {"add": False}


def test_a_tool_is_found_in_whatever_case_where_that_is_unambiguous(database: Database) -> None:
    tools = [tool("addNote"), tool("drop"), tool("Drop")]
    database.write_blocking(rows.replace_tools, "ada", "notes", tools, READ)

    def name_of(text: str) -> str | None:
        found = database.write_blocking(rows.tool, "ada", "notes", text)
        assert found is not None
        return found.tool.now.name if found.tool is not None and found.tool.now is not None else None

    assert [name_of(text) for text in ("addNote", "ADDNOTE", "Drop", "drop", "DROP", "gone")] == [
        "addNote", "addNote", "Drop", "drop", None, None,
    ]  # fmt: skip
    assert database.write_blocking(rows.tool, "bob", "notes", "addNote") is None


def test_each_owner_has_servers_of_their_own_and_changes_are_seen(database: Database) -> None:
    before = database.write_blocking(rows.version, "ada")
    assert not database.write_blocking(rows.add, "ada", NOTES, 2)
    assert database.write_blocking(rows.add, "bob", NOTES, 2)
    database.write_blocking(rows.replace_tools, "bob", "notes", [tool("add")], READ)
    assert database.write_blocking(rows.version, "ada") == before
    assert [server.tools for server in database.write_blocking(rows.all_of, "bob")] == [1]
    assert database.write_blocking(rows.of_url, "bob", NOTES.url) == "notes"

    assert database.write_blocking(rows.remove, "bob", "notes")
    assert not database.write_blocking(rows.remove, "bob", "notes")
    assert database.write_blocking(rows.all_of, "bob") == []
    assert [server.name for server in database.write_blocking(rows.all_of, "ada")] == ["notes"]
    database.write_blocking(rows.replace_tools, "ada", "notes", [tool("add")], READ)
    assert database.write_blocking(rows.version, "ada") != before
