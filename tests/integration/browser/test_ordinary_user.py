"""What a browser does for root it does for an ordinary user, without cgroups: this file is the test, and what runs as that user."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import uv
from tests.integration.browser.site import Site
from tests.support import as_user
from tests.support.egress import relayed_to
from tests.support.http_runtime import Door

from codewords_mcp.runtime.browser.actions import Extract, Navigate
from codewords_mcp.runtime.browser.base import BrowserUser, StepFailed
from codewords_mcp.runtime.browser.headless.driver import PROGRAM, HeadlessBrowser
from codewords_mcp.runtime.egress import Egress, EgressEvent, EgressPolicy
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.deep("a tour that ran as root, once more"),
    pytest.mark.requirement("services:browser-confined"),
    pytest.mark.needs("root"),
]


async def tour(site: str) -> dict[str, Any]:
    """What the browser shows of a page, and says of an address that is refused."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = EnvironmentRef(Path(os.environ["SANDBOX_TEST_ENVIRONMENT"]), Path(sys.base_prefix), python)
    policy = EgressPolicy("internet", frozenset({site.removeprefix("http://")}))
    with tempfile.TemporaryDirectory() as folder:
        hears: list[HeadlessBrowser] = []

        def heard(sandbox_id: str, event: EgressEvent) -> None:
            for one in hears:
                one.on_connection(sandbox_id, event)

        egress = Egress(policy, relayed_to("127.0.0.1", 1), on_event=heard)
        driver = await LocalDriver.open(egress, Path(folder) / "run")

        async def opened() -> LocalDriver:
            return driver

        async def built_by_root(_: str) -> EnvironmentRef:
            return environment

        browser = HeadlessBrowser(Settings(home=Path(folder)), opened, built_by_root, egress)
        hears.append(browser)
        try:
            session = await browser.open(BrowserUser(Caller("local", "user"), "run"))
            tab = await session.open_tab()
            await tab.act(Navigate(type="navigate", url=f"{site}/form"), 20)
            read = await tab.act(Extract(type="extract", selector="h1"), 20)
            try:
                await tab.act(Navigate(type="navigate", url="http://127.0.0.1:8765/"), 20)
            except StepFailed as failed:
                return {"tier": driver.tier.id, "text": read.values["text"], "refused": failed.reason}
            return {"refused": None}
        finally:
            await browser.close()
            await driver.close()


def test_an_ordinary_user_has_a_browser_too(door: Door, site: Site) -> None:
    async def built() -> EnvironmentRef:
        home = door.settings.home
        environments = Environments(home, Settings(home=home, python_downloads=False), Path(uv.find_uv_bin()))
        return (await environments.ensure(parse_script(PROGRAM.read_text(encoding="utf-8")))).ref

    with tempfile.TemporaryDirectory(prefix="codewords-user-") as folder:
        here = Path(__file__).relative_to(as_user.PROJECT)
        program = Path(folder) / "places" / "project" / here
        command, variables = as_user.command(Path(folder), asyncio.run(built()), program, site.url)
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=110, env=variables, cwd="/", check=False
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["tier"] in {"A", "B"}
    assert (told["text"], told["refused"]) == ("Order tea", "refused")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(tour(sys.argv[1]))))
