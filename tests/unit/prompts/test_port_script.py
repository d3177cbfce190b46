"""What a text is that is to be ported, told without reading any of it twice."""

from __future__ import annotations

import pytest

from codewords_mcp.prompts.port_script import _kind  # pyright: ignore[reportPrivateUsage]

pytestmark = pytest.mark.requirement("mcp:prompts")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("# m h dom mon dow\n  0 9 * * 1-5\t/usr/bin/report\n", "cron"),
        ("@daily /usr/bin/report", "cron"),
        ("print('hello')", "script"),
        ("0\n9\n*\n*\n1\nx", "script"),
    ],
)
def test_a_table_of_cron_is_told_by_its_lines(source: str, kind: str) -> None:
    assert _kind(source) == (kind, "")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("word", ["\n", " ", "\t\n", "0\t\n", "0", "@a", "*/"])
def test_a_long_text_holds_nobody_up(word: str) -> None:
    """The runtime does nothing else meanwhile."""
    assert _kind((word * 200_000)[:200_000]) == ("script", "")
