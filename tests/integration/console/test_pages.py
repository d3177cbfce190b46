"""Each page at both widths, light and dark: no error, nothing sideways, no violation of accessibility rules."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import Console
from tests.integration.console.look import look

PAGES = (
    "/console",
    "/console/runs",
    "/console/workflows",
    "/console/templates",
    "/console/inbox",
    "/console/schedules",
    "/console/secrets",
    "/console/usage",
    "/console/settings",
)


@pytest.mark.requirement("console:pages")
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_phones_and_desktops_in_light_and_dark(console: Console, path: str) -> None:
    console.run(kind="fail")
    look(console, path)


@pytest.mark.requirement("console:pages")
def test_the_page_of_a_failed_run_fits_phones_and_desktops(console: Console) -> None:
    run_id = console.run(kind="fail", lines=40)
    look(console, f"/console/runs/{run_id}", "KeyError in step answer")


@pytest.mark.requirement("console:pages")
def test_the_page_of_a_run_with_a_table_fits_phones_and_desktops(console: Console) -> None:
    run_id = console.run(kind="table")
    console.open(f"/console/runs/{run_id}", "succeeded")
    console.sees(".answer td", "Item 7")
    look(console, f"/console/runs/{run_id}", "succeeded")


@pytest.mark.requirement("console:pages")
def test_an_address_without_a_page_leads_home(console: Console) -> None:
    console.open("/console/nothing", "There is no such page")
    console.click("main a", "Home")
    console.waits("location.pathname === '/'")
