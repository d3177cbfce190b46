"""A home in which nothing is yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.console.helpers import DESKTOP, Console
from tests.support.chromium import tab
from tests.support.runtime import make_home
from tests.support.served_runtime import start_runtime


@pytest.mark.requirement("console:first")
def test_an_empty_home_deploys_a_template_and_runs_it_in_two_clicks(tmp_path: Path) -> None:
    with (
        start_runtime(make_home(tmp_path / "home")) as served,
        tab(tmp_path / "profile", width=DESKTOP[0], height=DESKTOP[1]) as page,
    ):
        page.open(served.call("POST", "/sign-ins", {"page": "/console"})["url"])
        console = Console(page, served, "")
        console.sees("main h1", "Run your first workflow")
        console.sees(".snippet", "claude mcp add")
        console.click("main button", "Deploy “Greeting”")
        console.click("main button", "Run it with its example")
        console.sees("main h1", "My First CodeWords Workflow succeeded")
        console.sees(".answer", "Hello Ada!")
        assert page.problems == []
