"""Workflows whose names, logs and answers try to be more than text."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import PROGRAM, Console

_BIDI = "\u202e"


@pytest.mark.requirement("console:text-is-data")
def test_names_logs_and_answers_are_text_with_marks(console: Console) -> None:
    run_id = console.run(kind="hostile")
    console.open(f"/console/runs/{run_id}", "succeeded")
    console.sees(".log [role=option]", "<img src=x onerror=alert(1)>")
    console.sees(".answer", "<script>window.hacked = 1</script>")
    assert console.sees(".answer .mark") == "U+202E"
    assert console.sees(".log .mark") == "U+202E"
    assert _BIDI not in console.tab.value("document.body.innerText")
    assert console.tab.value("document.querySelectorAll('main img, main a[href^=javascript]').length") == 0
    assert console.tab.value("window.hacked") is None
    assert console.tab.problems == []


@pytest.mark.requirement("console:text-is-data")
def test_html_of_a_workflow_runs_no_script_and_reaches_nothing(console: Console) -> None:
    run_id = console.run(kind="html")
    console.open(f"/console/runs/{run_id}", "succeeded")
    frame = "document.querySelector('.answer iframe')"
    console.waits(f"{frame}?.src.endsWith('/console/answers/{run_id}')")
    assert console.tab.value(f"{frame}.getAttribute('sandbox')") == ""
    assert console.tab.value(f"{frame}.contentDocument") is None
    assert console.tab.value("window.hacked") is None
    assert "ran" not in console.tab.value("document.title")


@pytest.mark.requirement("console:text-is-data")
def test_a_name_of_a_workflow_is_text_everywhere(console: Console) -> None:
    name = "<b onmouseover=hacked=1>Bold</b>"
    workflow = console.served.deploy(PROGRAM, name)
    hostile = Console(console.tab, console.served, workflow)
    run_id = hostile.run(kind="fail")
    for path in ("/console", "/console/runs", f"/console/runs/{run_id}"):
        console.open(path)
        console.sees("main", "onmouseover=hacked=1")
        assert console.tab.value("document.querySelectorAll('main [onmouseover]').length") == 0
    assert console.tab.value("window.hacked") is None
