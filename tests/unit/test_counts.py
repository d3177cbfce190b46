"""Numbers of things, in words."""

from __future__ import annotations

import pytest

from codewords_mcp.common.counts import counted

pytestmark = pytest.mark.requirement("cli:counts")


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries"), (12_345, "12,345 entries")]
)
def test_one_thing_is_not_several(number: int, words: str) -> None:
    assert counted(number, "entry", "entries") == words


def test_a_plural_ends_with_an_s() -> None:
    assert (counted(1, "run"), counted(2, "run")) == ("1 run", "2 runs")
