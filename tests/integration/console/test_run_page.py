"""The page of a run: why it failed, its timeline, its live log, and running it again."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import Console
from tests.support.waiting import until


@pytest.mark.requirement("console:failure")
def test_a_failed_run_says_why_in_plain_words(console: Console) -> None:
    console.run()
    run_id = console.run(kind="fail")
    console.open(f"/console/runs/{run_id}", "KeyError in step answer")
    assert console.sees(".failure .error") == "KeyError: 'summary'"
    assert 'return answer["summary"]' in console.sees(".failure .around .at")
    console.sees(".failure", "Likely fix")
    worked = console.sees(".failure p", "of the same code succeeded at")
    assert "T" not in worked.partition("succeeded at ")[2], "a time is told as this person's clock shows it"
    assert console.tab.value("Boolean(document.querySelector('.failure p a[href^=\"/console/runs/\"]'))")
    assert console.tab.value("Boolean(document.querySelector('.failure p time').title)")


@pytest.mark.requirement("console:failure")
def test_an_input_that_does_not_fit_can_be_edited_and_run_again(console: Console) -> None:
    run_id = console.run(kind="fail")
    console.open(f"/console/runs/{run_id}", "KeyError")
    console.click("main button", "Edit the input")
    console.waits("document.querySelector('dialog textarea')?.value.includes('fail')")
    console.tab.value(
        "(() => { const area = document.querySelector('dialog textarea'); area.value = '{\"kind\": \"table\"}';"
        " area.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    console.click("dialog button", "Run Page monitor with this input")
    console.waits(f"!location.pathname.includes('{run_id}')")
    console.sees("main h1", "succeeded")
    console.sees(".answer td", "Item 3")


@pytest.mark.requirement("console:live")
def test_a_run_that_goes_on_is_live_and_can_be_cancelled(console: Console) -> None:
    run_id = console.start(seconds=600)
    console.open(f"/console/runs/{run_id}", "has been running for")
    console.sees(".log [role=option]", "answer")
    console.click("main button", "Cancel this run")
    console.click("dialog button", "Cancel the run of Page monitor")
    console.sees("main h1", "Cancelled after")
    assert console.record(run_id)["status"] == "cancelled"


@pytest.mark.requirement("console:live")
def test_the_list_of_runs_is_live_and_keeps_its_filters_in_the_address(console: Console) -> None:
    console.open("/console/runs")
    run_id = console.start(seconds=600)
    console.waits(f"document.querySelector('[data-row=\"{run_id}\"] .running')")
    console.served.call("POST", f"/runs/{run_id}/cancel")
    console.waits(f"document.querySelector('[data-row=\"{run_id}\"] .cancelled')")

    console.tab.value(
        "(() => { const choice = document.querySelector('select[name=status]'); choice.value = 'cancelled';"
        " choice.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    console.waits("location.search === '?status=cancelled'")
    console.waits(
        "document.querySelector('tbody tr') && !document.querySelector('tbody .succeeded, tbody .failed')"
    )
    console.tab.value("history.back()")
    console.waits("location.search === ''")


@pytest.mark.requirement("console:runs-searched")
def test_runs_are_searched_by_their_input_and_the_list_says_how_far_it_looked(console: Console) -> None:
    run_id = console.run(note="a needle of 77ab")
    console.run(note="hay")
    console.open("/console/runs?q=NEEDLE%20of%2077ab", "1 run matches")
    console.waits(f"document.querySelector('[data-row=\"{run_id}\"]')")
    assert console.tab.value("document.querySelectorAll('tbody tr').length") == 1
    assert "note: a needle of 77ab" in console.sees("tbody .input")
    console.sees("main [role=status]", "Looked through")


@pytest.mark.requirement("console:log")
def test_the_log_is_filtered_by_level_and_text_in_the_address(console: Console) -> None:
    run_id = console.run(lines=40)
    console.open(f"/console/runs/{run_id}?level=warning", "succeeded")
    console.sees(".log .foot", "4 of")
    assert "number=11" in console.sees(".log [role=option]", "Compared  number=11")
    console.open(f"/console/runs/{run_id}?q=number", "succeeded")
    console.open(f"/console/runs/{run_id}?q=31", "succeeded")
    console.sees(".log mark", "31")


@pytest.mark.requirement("console:timeline")
def test_the_timeline_is_zoomed_by_dragging_and_by_keys(console: Console) -> None:
    run_id = console.run()
    console.open(f"/console/runs/{run_id}", "succeeded")
    console.sees(".timeline [role=option]", "prepare")
    box = console.tab.value(
        "(() => { const b = document.querySelector('.scale .bars').getBoundingClientRect(); return [b.left, b.width, b.top + b.height / 2]; })()"
    )
    left, width, middle = box
    for kind, x in (("mousePressed", 0.2), ("mouseMoved", 0.3), ("mouseMoved", 0.6), ("mouseReleased", 0.6)):
        console.tab.do(
            "Input.dispatchMouseEvent", type=kind, x=left + x * width, y=middle, button="left", buttons=1, clickCount=1
        )  # fmt: skip
    console.waits("location.search.includes('zoom=')")
    console.tab.value("document.querySelector('.timeline .virtual').focus()")
    console.tab.press("Escape")
    console.waits("!location.search.includes('zoom=')")
    console.tab.press("ArrowDown", "ArrowDown")
    console.waits("location.search.includes('span=')")
    console.sees(".span-facts", "Took")


@pytest.mark.requirement("console:unseen")
def test_a_page_that_is_not_seen_follows_no_changes_and_reads_what_it_missed(console: Console) -> None:
    console.open("/console/runs")
    console.tab.value(
        "(close => { window.streamsClosed = 0; EventSource.prototype.close = function () { window.streamsClosed += 1; close.call(this); }; })"
        "(EventSource.prototype.close)"
    )
    show = (
        "Object.defineProperty(document, 'visibilityState', {{value: '{}', configurable: true}});"
        "document.dispatchEvent(new Event('visibilitychange')); window.streamsClosed"
    )
    assert console.tab.value(show.format("hidden")) == 1
    run_id = console.run()
    assert console.tab.value(show.format("visible")) == 1
    console.waits(f"document.querySelector('[data-row=\"{run_id}\"]')")


@pytest.mark.requirement("console:back")
def test_a_page_goes_on_when_the_runtime_is_back(console: Console) -> None:
    console.open("/console/runs")
    console.tab.do(
        "Network.emulateNetworkConditions",
        offline=True,
        latency=0,
        downloadThroughput=-1,
        uploadThroughput=-1,
    )
    try:
        run_id = console.run()
    finally:
        console.tab.do(
            "Network.emulateNetworkConditions",
            offline=False,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )
    console.tab.value("window.dispatchEvent(new Event('online'))")
    until(
        lambda: console.tab.value(f"!!document.querySelector('[data-row=\"{run_id}\"]')"),
        "the run that was missed",
    )
