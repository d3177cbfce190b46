"""Bytes and files that a real browser loads when it visits every page."""

from __future__ import annotations

import pytest
from tests.integration.console.helpers import Console
from tests.support.waiting import until
from tests.unit.console.modules import served, served_bytes

_LOADED = """Object.fromEntries(performance.getEntriesByType("resource")
    .map((one) => [new URL(one.name).pathname.split("/"), one.encodedBodySize])
    .filter(([path]) => path[2] === "assets").map(([path, size]) => [path.slice(4).join("/"), size]))"""


def _loads(console: Console, path: str, *wanted: str) -> dict[str, int]:
    """Open a page and wait until it has these files, some of which it loads when it is idle; all that it has, with sizes."""
    console.open(path)
    return until(
        lambda: found if set(wanted) <= set(found := dict(console.tab.value(_LOADED))) else {},
        f"{', '.join(wanted)} on {path}",
    )


@pytest.mark.requirement("console:linked", "console:small")
def test_all_pages_load_each_script_once_and_no_more_than_is_counted(console: Console) -> None:
    run_id = console.run(kind="table")
    console.tab.do("Network.clearBrowserCache")
    visits = {
        f"/console/runs/{run_id}": ["run.js", "run_parts.js"],
        "/console": ["home.js", "lists.js", "forms.js"],
        "/console/workflows": ["workflows.js"],
        f"/console/workflows/{console.workflow}": ["workflow.js", "workflow_parts.js"],
        "/console/api": ["services.js", "forms.js"],
        "/console/drafts/new": ["draft.js", "draft_parts.js", "editor.js", "vendor/codemirror.js"],
        "/console/usage": ["charts.js"],
        "/console/audit": ["audit.js"],
        "/console/members": ["members.js"],
    }
    assert {"app.js", *(name for wanted in visits.values() for name in wanted)} <= set(served())
    loaded: dict[str, int] = {}
    for path, wanted in visits.items():
        found = _loads(console, path, "app.js", *wanted)
        assert all(loaded.get(name, size) == size for name, size in found.items())
        loaded |= found

    assert loaded == {name: served_bytes(name) for name in served() if name != "index.html"}
    assert console.tab.problems == []


@pytest.mark.requirement("console:linked")
def test_modules_are_shown_as_they_are_written_to_who_looks_for_a_fault(console: Console) -> None:
    console.open("/console/workflows?as-written")
    found = dict(console.tab.value(_LOADED))
    assert {"as-written/app.js", "as-written/parts/frame.js", "as-written/pages/workflows.js"} <= set(found)
    assert all(name.startswith("as-written/") for name in found)
    assert console.tab.problems == []
