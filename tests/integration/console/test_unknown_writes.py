"""Writes of which a run does not know whether they were carried out, answered on its page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.console.helpers import DESKTOP, Console
from tests.integration.console.look import look
from tests.support.counting_host import CountingHost, counting_host
from tests.support.resumable_runs import resumable
from tests.support.runtime import make_home
from tests.support.served_runtime import start_runtime


@pytest.fixture
def host() -> Iterator[CountingHost]:
    with counting_host() as running:
        yield running


@pytest.fixture
def page(signed_in: Console, host: CountingHost, tmp_path: Path) -> Iterator[Console]:
    """The tab at a runtime whose workflow writes to the host."""
    allowed = f'["127.0.0.1:{host.port}"]'
    with start_runtime(make_home(tmp_path / "home"), CODEWORDS_EGRESS_ALLOW_PRIVATE=allowed) as served:
        service = served.deploy(resumable("{count = 3, resume = true}"), "Writes")
        console = replace(signed_in, served=served, workflow=service)
        console.tab.resize(*DESKTOP)
        console.tab.open(served.call("POST", "/sign-ins", {"page": "/"})["url"])
        console.tab.problems.clear()
        yield console


@pytest.mark.requirement("inbox:in-place", "runs:resume-asks")
def test_several_writes_are_answered_at_once_on_the_page_of_their_run(
    page: Console, host: CountingHost
) -> None:
    # Each is cut off once it was read, so the run can't know.
    host.fate = lambda _key: 0
    writes = [["POST", f"{host.url}/write", {"key": key}, None] for key in ("first", "second")]
    run_id = page.run(steps=[writes], strict=True)
    assert page.record(run_id)["error"]["code"] == "write_unknown"
    listed = page.served.call("GET", f"/runs/{run_id}/resume")["writes"]
    assert len(listed) == 2
    host.fate = lambda _key: 200
    look(page, f"/console/runs/{run_id}", ready=".failure fieldset")

    page.tab.resize(*DESKTOP)
    page.open(f"/console/runs/{run_id}")
    page.sees(".failure fieldset", "/write")
    assert page.tab.value("document.querySelector('.failure .actions button').disabled")
    choices = (
        "[...document.querySelectorAll('.failure fieldset')].map((one) => [...one.querySelectorAll('input')])"
    )
    page.tab.value(f"{choices}.forEach((two, n) => two[n].click())")
    page.click(".failure .actions button", "send 1 write again")
    page.waits(f"!location.pathname.endsWith('{run_id}')")
    before = dict(host.writes)
    resumed = str(page.tab.value("location.pathname")).rpartition("/")[2]
    page.waits("document.querySelector('main h1')")
    page.served.call("GET", f"/result/{resumed}?timeout=60")
    assert page.record(resumed)["status"] == "succeeded"
    assert sorted(host.writes.values()) == [1, 2], before
    page.open(f"/console/runs/{run_id}")
    page.sees(".failure", "A new run goes on")
