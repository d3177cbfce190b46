"""ruff over a script."""

from __future__ import annotations

import pytest
from tests.unit.workflows.helpers import ANY, APP, HEADER, script

from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.lint import lint

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("workflows:lint")]


async def found(body: str, header: str = HEADER) -> list[Check]:
    return await lint(parse_script(script(APP + body, header)))


async def test_clean_code_passes_in_one_check() -> None:
    [check] = await found("")
    assert check.status == "passed"


async def test_what_would_crash_fails_with_its_place() -> None:
    [check] = await found("def f():\n    return undefined\n")
    assert (check.status, check.line, check.column) == ("failed", 15, 12)
    assert "F821" in check.message


async def test_what_merely_looks_wrong_is_a_warning() -> None:
    [check] = await found("def f(items=[]):\n    return items\n")
    assert check.status == "warning"


@pytest.mark.parametrize(
    "line",
    [
        "items.append(1)", "items[0] = 1", "del items[0]", "items += [1]", "random.shuffle(items)", "self.kept = items",
        "yield items", "other: list = items", "return items",
    ],
)  # fmt: skip
async def test_a_default_that_calls_share_and_one_changes_or_keeps_is_a_warning(line: str) -> None:
    [check] = await found(f"import random\ndef f(self, *, items=[]):\n    {line}\n")
    assert (check.status, check.line) == ("warning", 15)


@pytest.mark.parametrize("line", ["return sum(items)", "items = [*items, 1]", "for one in items: print(one)"])
async def test_a_default_that_is_only_read_is_right(line: str) -> None:
    [check] = await found(f"def f(items=[]):\n    {line}\n")
    assert check.status == "passed"


async def test_a_list_as_the_default_of_a_routes_parameter_is_right_and_of_another_function_is_not() -> None:
    route = '@app.get("/")\nasync def f(\n    q: list[str] = ["a"],\n):\n    return q\n'
    [check] = await found(route)
    assert check.status == "passed"
    [check] = await found(route + "def g(items=[]):\n    return items\n")
    assert (check.status, check.line) == ("warning", 19)


async def test_the_same_finding_is_told_once_and_many_are_cut() -> None:
    [again] = await found("def f():\n    return x, x, x\n")
    assert again.line == 15
    many = await found("def f():\n" + "".join(f"    print(name_{i})\n" for i in range(50)))
    assert len(many) == 21
    assert many[-1].message == "30 more findings are left out."


async def test_a_finding_that_the_author_has_seen_is_left_alone() -> None:
    [check] = await found("print(undefined)  # noqa: F821\n")
    assert check.status == "passed"


async def test_newer_syntax_is_right_where_the_header_asks_for_it() -> None:
    newer = HEADER.replace(ANY, ">=3.30")
    [right] = await found("type Name = str\n", newer)
    assert right.status == "passed"
    [wrong, *_] = await found("type Name = = str\n", newer)
    assert wrong.status == "failed"
