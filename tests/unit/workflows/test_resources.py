"""Resources of a header: read, refused, bounded by the home's limits, and told."""

from __future__ import annotations

from typing import Any

import pytest

from codewords_mcp.errors import InvalidScript
from codewords_mcp.runtime.sandboxes.base import Limits
from codewords_mcp.runtime.workflows.resources import check_resources, limits_for, parse_size
from codewords_mcp.runtime.workflows.script import parse_script

pytestmark = pytest.mark.requirement("limits:header")
HOME = Limits(memory=1 << 30, disk=2 << 30)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512 << 20), ("2 GB", 2 << 30), ("64MiB", 64 << 20), ("100kb", 100 << 10),
        ("512", None), ("-1MB", None), ("1TB", None), (512, None), (None, None), ("1.5GB", None),
    ],
)  # fmt: skip
def test_a_size_is_a_number_with_its_unit(text: object, size: int | None) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "line",
    ['memory = "1MB"', "memory = 512", 'disk = "much"', "cpu = true", "cpu = 0", "cpu = 1000", 'cpu = "1"'],
)
def test_a_wrong_resource_is_refused_with_its_line(line: str) -> None:
    code = f"# /// script\n# dependencies = []\n# [tool.codewords]\n# {line}\n# ///\nprint(1)\n"
    with pytest.raises(InvalidScript) as refused:
        parse_script(code)
    assert refused.value.line == 4
    assert f"`{line.partition(' ')[0]}`" in refused.value.message


@pytest.mark.parametrize(
    ("table", "limits"),
    [
        ({}, HOME),
        ({"memory": "128MB"}, Limits(memory=128 << 20, disk=2 << 30)),
        ({"memory": "64GB", "disk": "1GB"}, Limits(memory=1 << 30, disk=1 << 30)),
        ({"cpu": 0.5}, Limits(memory=1 << 30, disk=2 << 30, processors=0.5)),
    ],
)
def test_a_run_never_gets_more_than_the_home_has(table: dict[str, Any], limits: Limits) -> None:
    assert limits_for(HOME, table) == limits


def test_the_check_tells_what_a_run_gets_and_fails_for_more() -> None:
    assert check_resources({}, HOME, groups=True) == []
    [fits] = check_resources({"memory": "128MB", "cpu": 0.5}, HOME, groups=True)
    assert (fits.status, fits.message) == (
        "passed", "A run of it gets 128 MB of memory, 2 GB of disk, 0.5 processors.",
    )  # fmt: skip
    [more] = check_resources({"memory": "4GB"}, HOME, groups=True)
    assert (more.status, more.message) == (
        "failed",
        "It asks for 4 GB of memory, and a run gets at most 1 GB here.",
    )
    assert "CODEWORDS_MEMORY_LIMIT" in (more.fix or "")
    assert [check.status for check in check_resources({"cpu": 1}, HOME, groups=False)] == [
        "passed",
        "warning",
    ]
