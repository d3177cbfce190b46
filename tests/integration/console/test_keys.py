"""The console by its keys alone."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import Console
from tests.support.waiting import until


@pytest.mark.requirement("console:keys")
def test_keys_go_to_pages_search_and_list_themselves(console: Console) -> None:
    console.open("/console")
    # Again where the machine was too slow for the two to be one sequence.
    until(lambda: _pressed(console, "g", "r") == "/console/runs")
    console.tab.press("?")
    console.sees("dialog", "Search everything")
    console.tab.press("Escape")
    console.waits("!document.querySelector('dialog')")
    console.tab.press("/")
    console.waits("document.activeElement?.type === 'search'")
    console.tab.do("Input.insertText", text="sett")
    console.sees("[role=option][aria-selected=true]", "Settings")
    console.tab.press("Enter")
    console.waits("location.pathname === '/console/settings'")


def _pressed(console: Console, *keys: str) -> str:
    console.tab.press(*keys)
    return str(console.tab.value("location.pathname"))


@pytest.mark.requirement("console:keys")
def test_arrows_move_in_the_list_of_runs_and_enter_opens_one(console: Console) -> None:
    console.run()
    console.run()
    console.open("/console/runs")
    console.waits("document.querySelectorAll('tbody tr').length > 1")
    console.tab.value("document.querySelector('tbody a.row-link').focus()")
    second = console.tab.value("document.querySelectorAll('tbody tr')[1].dataset.row")
    console.tab.press("j")
    assert console.tab.value("document.activeElement.closest('tr').dataset.row") == second
    console.tab.press("x")
    console.sees(".bulk", "1 run selected")
    console.tab.press("Enter")
    console.waits(f"location.pathname === '/console/runs/{second}'")


@pytest.mark.requirement("console:keys")
def test_the_first_key_leads_past_the_navigation_to_the_page(console: Console) -> None:
    console.open("/console/runs")
    console.tab.value("document.body.focus()")
    console.tab.press("Tab")
    console.waits("document.activeElement?.className === 'skip'")
    console.tab.press("Enter")
    console.waits("document.activeElement?.id === 'page'")
