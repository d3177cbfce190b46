"""Each page at both widths, light and dark: no error, nothing sideways, no violation of accessibility rules."""

from __future__ import annotations

import json

import pytest
from tests.integration.console.helpers import Console
from tests.integration.console.look import look
from tests.unit.console.modules import CONSOLE

from codewords_mcp.console.compact import style

PAGES = (
    "/console",
    "/console/runs",
    "/console/workflows",
    "/console/templates",
    "/console/services",
    "/console/services/github",
    "/console/api",
    "/console/integrations",
    "/console/inbox",
    "/console/schedules",
    "/console/secrets",
    "/console/usage",
    "/console/settings",
    "/console/members",
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


@pytest.mark.requirement("console:chart")
def test_the_days_of_a_chart_are_read_by_keys_and_by_pointing(console: Console) -> None:
    console.run()
    console.open("/console/usage")
    console.waits("document.querySelector('.chart svg rect')")
    console.tab.value("document.querySelector('.chart [role=img]').focus()")
    console.tab.press("ArrowLeft")
    assert "Succeeded" in console.sees(".chart .reading", "Succeeded")
    console.tab.press("Escape")
    console.waits("!document.querySelector('.chart .reading').innerText")
    x, y = console.tab.value(
        "(box => [box.right - 40, box.top + 60])(document.querySelector('.chart svg').getBoundingClientRect())"
    )
    console.tab.do("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    console.sees(".chart .reading", "Failed")
    first_tick = "document.querySelector('.chart .tick text').textContent"
    assert console.tab.value(first_tick) == "0"


@pytest.mark.requirement("console:compact")
def test_compact_styles_make_the_same_rules(console: Console) -> None:
    for path in CONSOLE.rglob("*.css"):
        written = path.read_text(encoding="utf-8")
        rules = [
            console.tab.value(
                "(text => { const sheet = new CSSStyleSheet(); sheet.replaceSync(text);"
                # The value of a custom property is told as it was written.
                f" return [...sheet.cssRules].map(rule => rule.cssText.replaceAll(', ', ',')); }})({json.dumps(text)})"
            )
            for text in (written, style(written))
        ]
        assert rules[0] == rules[1], path.name
        assert rules[0], path.name


@pytest.mark.requirement("console:pages")
def test_an_address_without_a_page_leads_home(console: Console) -> None:
    console.open("/console/nothing", "There is no such page")
    console.click("main a", "Home")
    console.waits("location.pathname === '/'")
