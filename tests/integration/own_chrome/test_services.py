"""`chrome_extension` in a person's own Chrome: for those workflows only that were agreed to act there."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.integration.own_chrome.chrome import Chrome, until
from tests.integration.own_chrome.site import Site
from tests.support.http_runtime import Door
from tests.support.runtime import workflow

from codewords_mcp.runtime.api.runtime import Runtime

pytestmark = [pytest.mark.slow, pytest.mark.requirement("chrome:agreed")]
CODE = workflow(
    """
import os, httpx

@app.post("/")
async def act(request: Request):
    async with httpx.AsyncClient(timeout=60) as http:
        url = f"{os.environ['CODEWORDS_RUNTIME_URI']}/run/chrome_extension/actions"
        headers = {"Authorization": os.environ["CODEWORDS_API_KEY"]}
        return (await http.post(url, json=await request.json(), headers=headers)).json()
""",
    title="Reads a list",
)


def kinds(http: httpx.Client) -> list[str]:
    """In which kind of browser the last calls of the service were, newest first."""
    runs = http.get("/runs", params={"service_id": "chrome_extension", "limit": 3}).json()["items"]
    return [run["usage"].get("browser", {}).get("kind") for run in runs]


def test_a_workflow_acts_in_its_persons_chrome_once_that_was_agreed(
    door: Door, http: httpx.Client, chrome: Chrome, site: Site
) -> None:
    asked = http.post("/deploy", json={"code": CODE, "name": "Reads a list"}, timeout=300).json()["error"]
    said = "your Chrome  chrome_extension acts in your own Chrome, signed in as you, where it is paired"
    assert said in asked["asks"], asked
    deployed = http.post(
        "/deploy", json={"code": CODE, "name": "Reads a list", "allow": True}, timeout=300
    ).json()
    service = deployed["service_id"]
    steps = {
        "actions": [{"type": "navigate", "url": f"{site.url}/list"}, {"type": "extract", "selector": ".item"}]
    }
    done = http.post(f"/run/{service}/", json=steps, timeout=100).json()
    assert done["success"] is True, done
    assert done["data"]["text"].startswith("Item 0\nItem 1")
    until(lambda: kinds(http)[:1] == ["chrome"], "the record")

    def of_before(runtime: Runtime) -> Any:
        """As an older runtime left it."""
        narrowed = (
            "UPDATE versions SET manifest = json_remove(manifest, '$.browsers') WHERE workflow_id = :id"
        )
        database = runtime._container.database  # pyright: ignore[reportPrivateUsage]
        return database.write(lambda c: c.execute(text(narrowed), {"id": service}).rowcount)

    assert door.ask(of_before) == 1
    door.runtime._container.forget(service)  # pyright: ignore[reportPrivateUsage]
    run = http.post(f"/run_async/{service}/", json=steps).json()["request_id"]
    assert http.get(f"/result/{run}", params={"timeout": 60}, timeout=100).status_code == 200
    until(lambda: kinds(http)[:1] == ["headless"], "the record")
    assert "Nobody has agreed that this version acts" in http.get(f"/logs/{run}").text
    again = http.post("/deploy", json={"code": CODE, "service_id": service}, timeout=300).json()
    assert again["error"]["code"] == "consent_needed"
    assert again["error"]["asks"] == [said]


def test_a_cancelled_run_closes_its_window(http: httpx.Client, chrome: Chrome, site: Site) -> None:
    steps = {"actions": [{"type": "navigate", "url": f"{site.url}/form"}, {"type": "wait", "time": 20}]}
    run = http.post("/run_async/chrome_extension/", json=steps).json()["request_id"]

    def windows() -> int:
        return sum(t["type"] == "page" and t["url"] == f"{site.url}/form" for t in chrome.targets())

    until(windows, "the window")
    http.post(f"/runs/{run}/cancel").raise_for_status()
    until(lambda: windows() == 0, "the window to close")
    assert http.get(f"/request/{run}").json()["status"] == "cancelled"
