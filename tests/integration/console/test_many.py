"""Long logs and timelines: what is in the document stays bounded."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import Console

_LINES = 20_000
_ROWS = 120
"""Rows in the document, at the most: those in sight and some before and after."""


@pytest.mark.requirement("console:many")
def test_a_long_log_is_in_the_document_only_where_it_is_in_sight(console: Console) -> None:
    run_id = console.run(lines=_LINES)
    console.open(f"/console/runs/{run_id}", "succeeded")
    console.sees(".log .foot", "2,000 lines · older ones come")
    console.sees(".log [role=option]", "Finished server process")
    console.waits(
        "(list => { list.scrollTop = list.scrollTop ? 0 : 1; return !list.closest('.log').innerText.includes('older ones come') })(document.querySelector('.log .virtual'))"
    )
    console.waits(
        f"(document.querySelector('.log .foot')?.innerText.match(/^[\\d,]+/)?.[0].replaceAll(',', '')) >= {_LINES}"
    )
    for place in (0, 0.5, 1):
        console.tab.value(
            f"(list => list.scrollTop = {place} * list.scrollHeight)(document.querySelector('.log .virtual'))"
        )
        console.waits(
            "(list => { const box = list.getBoundingClientRect();"
            " return [...list.querySelectorAll('[role=option]')].some(row => { const at = row.getBoundingClientRect();"
            " return at.top <= box.top + box.height / 2 && at.bottom >= box.top + box.height / 2; }) })(document.querySelector('.log .virtual'))"
        )
        assert console.tab.value("document.querySelectorAll('.log [role=option]').length") <= _ROWS
    console.sees(".log [role=option]", "Finished server process")


@pytest.mark.requirement("console:many")
def test_a_line_of_a_long_log_is_found_and_shown_whole(console: Console) -> None:
    run_id = console.run(lines=_LINES)
    console.open(f"/console/runs/{run_id}?q={_LINES - 7}", "succeeded")
    console.sees(".log [role=option]", str(_LINES - 7))
    console.tab.value("document.querySelector('.log .virtual').focus()")
    console.tab.press("ArrowDown")
    console.sees(".line-whole dd", str(_LINES - 7))
