"""Paths into JSON."""

from __future__ import annotations

from typing import Any

import pytest

from codewords_mcp.runtime.triggers.sources.json_path import NoSuchPath, find_path

pytestmark = pytest.mark.requirement("triggers:json-path")
DATA: Any = {"data": {"items": [{"id": 1}, {"id": 2}], "a b": 3, "x.y": 4}, "": 5}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("", DATA),
        ("$", DATA),
        ("data.items[0].id", 1),
        ("$.data.items[-1]['id']", 2),
        ('data["x.y"]', 4),
        ("data.a b", 3),
    ],
)
def test_a_path_leads_to_its_value(path: str, value: Any) -> None:
    assert find_path(DATA, path) == value


@pytest.mark.parametrize(
    "path", ["data.none", "data.items[5]", "data[0]", "data.items.id", "[", "a..b", "data["]
)
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(NoSuchPath):
        find_path(DATA, path)
