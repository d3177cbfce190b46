"""Long logs and timelines: what is in the document stays bounded."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import Console
from tests.support.runtime import workflow

_CALLS = 300
_CALLER = workflow(
    f"""
import os
import httpx

@app.post("/")
async def ask():
    headers = {{"Authorization": os.environ["CODEWORDS_API_KEY"]}}
    async with httpx.AsyncClient(base_url=os.environ["CODEWORDS_RUNTIME_URI"], headers=headers) as client:
        for number in range({_CALLS}):
            name = "none" if number % 30 == 7 else "send_email"
            await client.get(f"/services/{{name}}?number={{number}}")
            if number < 20:
                await client.get(f"/result/{{number}}")
    return {{}}
""",
    title="Asks often",
)
_TIMES = "\N{MULTIPLICATION SIGN}"
_LINES = 20_000
_ROWS = 120
"""Rows in the document, at the most: those in sight and some before and after."""


@pytest.mark.requirement("console:many")
def test_a_long_log_is_in_the_document_only_where_it_is_in_sight(console: Console) -> None:
    run_id = console.run(lines=_LINES)
    console.open(f"/console/runs/{run_id}", "succeeded")
    console.sees(".log .foot", "2,000 lines · scroll up for older")
    console.sees(".log [role=option]", "Finished server process")
    console.waits(
        "(list => { list.scrollTop = list.scrollTop ? 0 : 1; return !list.closest('.log').innerText.includes('for older ones') })(document.querySelector('.log .virtual'))"
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
def test_a_scroll_that_is_told_when_the_log_is_gone_changes_nothing(console: Console) -> None:
    console.open(f"/console/runs/{console.run(lines=200)}")
    console.waits("window.left = document.querySelector('main .virtual')")
    console.click("nav a", "Runs")
    console.waits("!window.left.isConnected")
    console.tab.value("window.left.dispatchEvent(new Event('scroll'))")
    assert console.tab.problems == []


@pytest.mark.requirement("console:many")
def test_a_line_of_a_long_log_is_found_and_shown_whole(console: Console) -> None:
    run_id = console.run(lines=_LINES)
    console.open(f"/console/runs/{run_id}?q={_LINES - 7}", "succeeded")
    console.sees(".log [role=option]", str(_LINES - 7))
    console.tab.value("document.querySelector('.log .virtual').focus()")
    console.tab.press("ArrowDown")
    console.sees(".line-whole dd", str(_LINES - 7))


@pytest.mark.requirement("console:equal-calls", "console:many")
def test_equal_calls_are_one_row_that_opens(console: Console) -> None:
    service = console.served.deploy(_CALLER, "Asks often")
    run_id = console.served.call("POST", f"/run_async/{service}/", {})["request_id"]
    console.served.call("GET", f"/result/{run_id}")
    failed = _CALLS // 30
    spans = [
        span
        for span in console.served.call("GET", f"/runs/{run_id}/trace")["spans"]
        if span["name"] == "GET /services/send_email"
    ]

    console.open(f"/console/runs/{run_id}", "succeeded")
    console.sees(".timeline [role=option]", f"{_CALLS - failed} {_TIMES} GET /services/send_email")
    console.sees(".timeline [role=option].error", f"{failed} {_TIMES} GET /services/none")
    console.sees(".timeline [role=option]", f"20 {_TIMES} GET /result/…")
    assert console.tab.value("document.querySelectorAll('.timeline [role=option]').length") < 12
    assert console.tab.value("document.querySelector('.timeline path').getBBox().width > 0")

    console.click(".timeline [role=option]", "GET /services/send_email")
    console.sees(".span-facts", "Median")
    console.click(".span-facts button", f"Show each of the {_CALLS - failed} calls")
    console.waits(f"document.querySelector('.timeline [aria-setsize]').ariaSetSize > {_CALLS - failed}")
    assert console.tab.value("document.querySelectorAll('.timeline [role=option]').length") <= _ROWS

    # More keys in a short time than browsers take addresses.
    moved = 250
    console.tab.value(
        f"""(async () => {{
          for (let left = {moved}; left > 0; left -= 1) {{
            document.querySelector(".timeline .virtual").dispatchEvent(new KeyboardEvent("keydown", {{ key: "ArrowDown", bubbles: true }}));
            await new Promise(requestAnimationFrame);
          }}
        }})()"""
    )
    console.waits(f"location.search.includes('span={spans[moved - 1]['id']}')")
    console.waits("document.querySelector('.timeline [aria-selected=true]')")
    console.click(".timeline [role=option] .label", "GET /services/send_email")

    console.open(f"/console/runs/{run_id}?span={spans[-1]['id']}", "succeeded")
    console.waits(f"document.querySelector('.timeline [aria-setsize]').ariaSetSize > {_CALLS - failed}")
    assert console.tab.problems == []
