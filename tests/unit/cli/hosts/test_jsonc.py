"""Members are put into a person's JSON and taken out again; every other character stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.cli.hosts import jsonc

pytestmark = pytest.mark.requirement("install:untouched")

PATH = ["mcpServers", "codewords"]
ENTRY: dict[str, Any] = {"command": "/opt/codewords-mcp", "args": []}
COMMENTED = """// Settings of mine
{
    /* a block, with "mcpServers": {} in it */
    "theme": "dark", // at the end
    "mcpServers": {
        "other": {"command": "x", "args": ["//not a comment", "{"]}, // the other one
    },
}
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{ }\n",
        '{"mcpServers": {}}',
        '{"mcpServers": {"other": {}}, "last": [1, 2,]}',
        '{\n\t"a": 1\n}\n',
        COMMENTED,
        COMMENTED.replace("\n", "\r\n"),
        "\ufeff{}",
    ],
)
def test_what_was_put_is_there_and_all_else_is_as_before(text: str) -> None:
    before: Any = jsonc.loads(text) if text else {}
    after = jsonc.put(text, PATH, ENTRY)
    assert jsonc.loads(after) == {
        **before,
        "mcpServers": {**before.get("mcpServers", {}), "codewords": ENTRY},
    }
    at = 0
    for line in text.splitlines():
        kept = line.strip().strip("{}[], ")
        if len(kept) > 3 and "mcpServers" not in kept:
            at = after.index(kept, at)
    assert jsonc.put(after, PATH, ENTRY) == after
    changed = jsonc.put(after, PATH, {"command": "y"})
    servers: Any = jsonc.loads(changed)
    assert servers["mcpServers"]["codewords"] == {"command": "y"}
    assert jsonc.loads(jsonc.take(after, PATH)) == {**before, "mcpServers": before.get("mcpServers", {})}


def test_it_is_written_as_the_file_is() -> None:
    assert jsonc.put(COMMENTED, PATH, ENTRY) == COMMENTED.replace(
        '    "mcpServers": {\n',
        '    "mcpServers": {\n        "codewords": {\n            "command": "/opt/codewords-mcp",\n'
        '            "args": []\n        },\n',
    )
    assert jsonc.take(jsonc.put(COMMENTED, PATH, ENTRY), PATH) == COMMENTED


@pytest.mark.parametrize(
    "text", ["[]", "null", '{"mcpServers": []}', "{", '{"a": }', "not json", '{"a": 1} {"b": 2}', "/*"]
)
def test_what_is_no_object_of_objects_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        jsonc.put(text, PATH, ENTRY)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    document=st.dictionaries(st.text(max_size=5), _values, max_size=4),
    servers=st.none() | st.dictionaries(st.text(max_size=9), _values, max_size=3),
    indent=st.sampled_from([None, 1, 2, 4, "\t"]),
)
def test_any_document_comes_back_with_one_member_more(
    document: dict[str, Any], servers: dict[str, Any] | None, indent: int | str | None
) -> None:
    before = servers or {}
    document = {**document, "mcpServers": before}
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    after = jsonc.put(text, PATH, ENTRY)
    assert json.loads(after) == {**document, "mcpServers": {**before, "codewords": ENTRY}}
    assert json.loads(jsonc.take(after, PATH)) == {**document, "mcpServers": before}
