"""How much of a program is read is bounded before it is read."""

from __future__ import annotations

import pytest
from tests.unit.workflows.helpers import APP, HEADER, script

from codewords_mcp.errors import InvalidScript
from codewords_mcp.runtime.workflows.script import UnreadableScript, parse_script
from codewords_mcp.runtime.workflows.validation.code_size import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_PARSED_HERE,
    refuse_excess,
)


@pytest.mark.anyio
@pytest.mark.requirement("workflows:bounded")
@pytest.mark.parametrize(
    "body",
    [
        "x = 1\n" * (MAX_NODES // 3),
        "x = [" + "f(), " * (MAX_NODES // 2) + "]\n",
        "x = " + "+".join(["a"] * (MAX_DEPTH + 5)) + "\n",
        "x = a" + ".b" * (MAX_DEPTH + 5) + "\n",
    ],
)
@pytest.mark.slow
async def test_more_code_than_is_looked_at_is_refused_before_it_is_read_and_where_it_is(body: str) -> None:
    code = script(APP + body)
    with pytest.raises(UnreadableScript):
        parse_script(code)
    if len(code) > MAX_PARSED_HERE:
        with pytest.raises(InvalidScript):
            await refuse_excess(code)


@pytest.mark.anyio
@pytest.mark.requirement("workflows:bounded")
@pytest.mark.parametrize(
    "body", ["x = '" + "a" * 900_000 + "'\n", "# " + "-" * 900_000 + "\n", "def f(:\n" + "#" * 80_000]
)
async def test_long_data_and_what_is_no_python_pass_the_measuring(body: str) -> None:
    await refuse_excess(script(APP + body))


@pytest.mark.requirement("workflows:one-line-each")
@pytest.mark.parametrize("escape", ["\\n", "\\r", "\\x0b", "\\u2028", "\\x1b", "\\x00"])
@pytest.mark.parametrize("marker", ["os_name != 'x{}--index-url http://e'", "python_version < '3{}'"])
def test_a_dependency_whose_marker_holds_a_control_character_is_refused(escape: str, marker: str) -> None:
    entry = f"fastapi; {marker.format(escape)}"
    header = HEADER.replace('"fastapi==0.115.12"', f'"{entry}"')
    with pytest.raises(InvalidScript) as refused:
        parse_script(script(APP, header))
    assert refused.value.line in {3, 4}


@pytest.mark.requirement("workflows:fenced")
@pytest.mark.parametrize(
    "fence", ["```python", "```", "````py", "~~~", "\n  ```python", "Here it is:\n\n```python"]
)
def test_code_in_a_markdown_fence_is_told_as_that(fence: str) -> None:
    with pytest.raises(UnreadableScript) as refused:
        parse_script(f"{fence}\n{script()}\n```\n")
    assert "Markdown fence" in refused.value.message
    assert "between the fences" in refused.value.hint
