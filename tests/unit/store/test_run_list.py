"""The list of runs: light rows, and searching them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.databases import open_database

from codewords_mcp.runtime.model.run import RunInput
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_listing import PREVIEW, preview_of
from codewords_mcp.runtime.store import run_list, runs
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.requirement("console:runs-searched")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    opened = open_database(tmp_path, url)
    yield opened
    opened.close()


def add(database: Database, number: int, content: str | None, path: str = "/", **more: Any) -> None:
    kept = {
        "method": "POST",
        "path": path,
        "content_type": None,
        "content": content,
        "bytes": 9,
        "truncated": False,
    }
    values = {
        "id": f"r{number}",
        "owner": "o",
        "status": "succeeded",
        "created_at": number,
        "input": kept,
    } | more
    database.write_blocking(lambda connection: runs.add(connection, cast("RunColumns", values)))


def search(database: Database, words: str | None, **more: Any) -> run_list.Found:
    asked: dict[str, Any] = {"limit": 10, "before": None, "below": None, "key": None} | more
    return database.write_blocking(lambda connection: run_list.search(connection, "o", words=words, **asked))


def ids(found: run_list.Found) -> list[str]:
    return [id_ for _, id_ in found.places]


def test_text_is_found_in_inputs_and_paths_whatever_it_holds(database: Database) -> None:
    add(database, 1, '{"name": "Ada \\"L\\" 100%_done", "city": "Zürich"}')
    add(database, 2, "plain text of the second", path="/orders?after=7")
    add(database, 3, None)
    add(database, 4, "of another owner: Zürich", owner="x")
    database.write_blocking(lambda connection: runs.add(connection, _without_input(5)))

    for words, expected in {
        "Zürich": ["r1"], "ada": ["r1"], "100%_d": ["r1"], "100_": [], "%": ["r1"], "\\": ["r1"], "AFTER=7": ["r2"],
        "second": ["r2"], "r1": [], "nothing": [], "'; drop table runs": [],
    }.items():  # fmt: skip
        assert ids(search(database, words)) == expected, words


def _without_input(number: int) -> RunColumns:
    return cast("RunColumns", {"id": f"r{number}", "owner": "o", "status": "running", "created_at": number})


def test_a_search_goes_on_where_it_ended_and_says_how_far_it_looked(database: Database) -> None:
    def look(words: str, **more: Any) -> run_list.Found:
        return search(database, words, piece_size=4, most=8, **more)

    for number in range(30):
        add(database, number, "wanted" if number in {1, 2, 12} else "other")

    first = look("wanted")
    assert (ids(first), first.looked, first.last, first.more) == ([], 8, (22, "r22"), True)
    second = look("wanted", before=first.last)
    assert (ids(second), second.looked, second.more) == ([], 8, True)
    third = look("wanted", before=second.last, limit=1)
    assert (ids(third), third.last, third.more) == (["r12"], (12, "r12"), True)
    fourth = look("wanted", before=third.last)
    assert (ids(fourth), fourth.last) == ([], (4, "r4"))
    fifth = look("wanted", before=fourth.last)
    assert (ids(fifth), fifth.looked, fifth.more) == (["r2", "r1"], 4, False)


def test_runs_are_found_by_the_key_of_their_caller_and_other_conditions(database: Database) -> None:
    add(database, 1, "one", key_id="k1")
    add(database, 2, "two", key_id="k2", status="failed")
    add(database, 3, "three", key_id="k2")
    assert ids(search(database, None, key="k2")) == ["r3", "r2"]
    assert ids(search(database, "two", key="k2")) == ["r2"]
    assert ids(search(database, None, key="k2", status="failed")) == ["r2"]
    assert ids(search(database, "one", key="k2")) == []


def test_light_rows_have_all_but_what_only_a_runs_page_shows(database: Database) -> None:
    add(
        database,
        1,
        "one",
        response_content="x" * 9,
        error={"code": "program_failed", "message": "m", "origin": "service"},
    )
    [listed] = database.write_blocking(
        lambda connection: run_list.rows(connection, "o", limit=5, before=None, below=None)
    )
    assert (listed.run.id, listed.workflow, listed.key) == ("r1", None, None)
    assert listed.run.error is not None
    assert listed.run.response_content is None


@pytest.mark.parametrize(
    ("content", "path", "shown"),
    [
        ('{"name": "Ada", "n": 3, "tags": ["a", "é"]}', "/", 'name: Ada, n: 3, tags: ["a", "é"]'),
        ("[1, 2]", "/x?y=1", "/x?y=1 [1, 2]"),
        ("two\n  lines", "/", "two lines"),
        ('{"cut": "of', "/", '{"cut": "of'),
        ("", "/", ""),
        (None, "/", ""),
        ("[" * 100_000, "/", "[" * (PREVIEW - 1) + "…"),
    ],
)
def test_a_preview_is_the_first_arguments_in_one_line(content: str | None, path: str, shown: str) -> None:
    assert preview_of(RunInput(method="POST", path=path, content=content)) == shown


def test_a_run_without_its_input_has_no_preview() -> None:
    assert preview_of(None) == ""


@pytest.mark.requirement("console:workflow-marks")
def test_the_last_runs_of_each_workflow_are_read_at_once(database: Database) -> None:
    for number in range(12):
        add(database, number, None, service_id="busy", status="failed" if number == 11 else "succeeded")
    add(database, 20, None, service_id="calm")
    add(database, 21, None, service_id="calm", owner="x")
    add(database, 22, None, service_id="calm", mode="replay")

    found = database.write_blocking(lambda c: run_list.last_of_each(c, "o", ["busy", "calm", "idle"], 10))
    assert found["busy"] == [("r11", "failed"), *((f"r{n}", "succeeded") for n in range(10, 1, -1))]
    assert found["calm"] == [("r20", "succeeded")]
    assert set(found) == {"busy", "calm"}
    assert database.write_blocking(lambda c: run_list.last_of_each(c, "o", [], 10)) == {}
