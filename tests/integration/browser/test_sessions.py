"""Who shares a browser, when it ends, what it leaves, and what is said where there is none."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import httpx
import pytest
from tests.integration.browser.helpers import browsers
from tests.integration.browser.site import FORM, Site
from tests.integration.cli.terminal import Shell
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home, workflow
from tests.support.waiting import until

from codewords_mcp.cli._remedies import worded
from codewords_mcp.cli.doctor.findings import Finding, runtime_findings
from codewords_mcp.errors.remedies import reword
from codewords_mcp.http.remedies import WORDS
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.requirement("services:browser-sessions")

TOUR = workflow(
    """
import asyncio, os, httpx

async def steps(*actions):
    async with httpx.AsyncClient(timeout=60) as http:
        url = f"{os.environ['CODEWORDS_RUNTIME_URI']}/run/chrome_extension/actions"
        headers = {"Authorization": os.environ["CODEWORDS_API_KEY"]}
        answer = await http.post(url, json={"actions": list(actions)}, headers=headers)
        return answer.json()

@app.post("/")
async def tour(request: Request):
    site = (await request.json())["site"]
    await steps({"type": "navigate", "url": site + "/cookie"})
    here = await steps({"type": "extract", "selector": "title"})
    there = [steps({"type": "navigate", "url": f"{site}/{page}"}, {"type": "wait", "time": 0.3},
                   {"type": "extract", "selector": "title", "attribute": "lang"}) for page in ("form", "profile", "odd")]
    return {"here": here["title"], "there": [one["title"] for one in await asyncio.gather(*there)]}

@app.post("/twice")
async def twice(request: Request):
    await steps({"type": "navigate", "url": (await request.json())["site"] + "/cookie"})
    await asyncio.sleep(1)
    return await steps({"type": "extract", "selector": "title"})

@app.post("/long")
async def long(request: Request):
    return await steps({"type": "navigate", "url": (await request.json())["site"] + "/form"}, {"type": "wait", "time": 50})
""",
    env=("CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI"),
    title="Tour",
).replace(
    "# [tool.env-checker]", '# [tool.codewords]\n# services = ["chrome_extension"]\n# [tool.env-checker]'
)


@pytest.fixture(scope="module")
def tour(door: Door) -> str:
    with door.client() as http:
        answer = http.post("/deploy", json={"code": TOUR, "name": "Tour", "allow": True}, timeout=300)
        assert answer.status_code == 200, answer.text
        return answer.json()["service_id"]


def test_calls_of_one_run_share_a_browser_and_calls_at_once_have_a_tab_each(
    http: httpx.Client, site: Site, tour: str
) -> None:
    site.cookies.clear()
    answer = http.post(f"/run/{tour}/", json={"site": site.url}, timeout=120)
    assert answer.json() == {"here": "Set", "there": ["Order", "Ada Lovelace", "Odd"]}, answer.text
    assert site.cookies[0] == ""
    assert set(site.cookies[1:]) <= {"seen=yes", ""}
    assert site.cookies.count("seen=yes") >= 3
    until(lambda: not browsers())


def test_a_cancelled_run_takes_its_browser_along(http: httpx.Client, site: Site, tour: str) -> None:
    site.asked.clear()
    run = http.post(f"/run_async/{tour}/long", json={"site": site.url}).json()["request_id"]
    until(lambda: "/form" in site.asked)
    assert browsers()
    http.post(f"/runs/{run}/cancel").raise_for_status()
    until(lambda: not browsers())


@pytest.mark.requirement("services:browser-start")
def test_a_browser_reads_no_fonts_again_and_opens_no_page_that_nobody_sees(
    http: httpx.Client, site: Site, tour: str
) -> None:
    site.asked.clear()
    run = http.post(f"/run_async/{tour}/long", json={"site": site.url}).json()["request_id"]
    until(lambda: "/form" in site.asked)
    processes = browsers()
    assert not any("--top-chrome-webui" in line for line in processes.values())
    [(main, line)] = [(path, line) for path, line in processes.items() if "--type=" not in line]
    *of_playwright, last = [
        set(word.partition("=")[2].split(","))
        for word in line.split()
        if word.startswith("--disable-features=")
    ]
    assert of_playwright[0] < last, "Chromium heeds only the last list"
    # Fonts that the machine's cache lacks are read anew, and noted here.
    assert not (main / "root/tmp/fonts").exists()
    http.post(f"/runs/{run}/cancel").raise_for_status()
    until(lambda: not browsers())


def test_a_person_who_hangs_up_leaves_no_browser(http: httpx.Client, site: Site) -> None:
    site.asked.clear()
    asked = {"actions": [{"type": "navigate", "url": f"{site.url}/odd"}, {"type": "wait", "time": 50}]}
    with pytest.raises(httpx.ReadTimeout):
        http.post("/run/chrome_extension/", json=asked, timeout=httpx.Timeout(30, read=4))
    until(lambda: not browsers())


def test_what_a_call_took_is_on_its_record(http: httpx.Client, site: Site) -> None:
    asked = {"actions": [{"type": "navigate", "url": f"{site.url}/form"}]}
    answer = http.post("/run/chrome_extension/", json=asked, timeout=60)
    path = f"/request/{answer.headers['x-request-id']}"
    until(lambda: http.get(path).status_code == 200)
    run = http.get(path).json()
    assert run["usage"]["browser"]["kind"] == "headless"
    assert run["usage"]["browser"]["seconds"] > 0
    totals = http.get("/usage", params={"by": "workflow"}).json()["items"]
    [of_service] = [one for one in totals if one["of"] == "chrome_extension"]
    assert of_service["egress_in"] >= len(FORM)
    assert of_service["cpu_seconds"] > 0


def test_there_are_so_many_browsers_at_once_and_no_more(http: httpx.Client, site: Site) -> None:
    site.asked.clear()
    steps = [{"type": "navigate", "url": f"{site.url}/form"}, {"type": "wait", "time": 50}]
    held = [http.post("/run_async/chrome_extension", json={"actions": steps}).json() for _ in range(2)]
    until(lambda: site.asked.count("/form") == 2)
    refused = http.post("/run/chrome_extension", json={"actions": steps}, timeout=60)
    assert refused.status_code == 429
    assert refused.json()["error"]["limit"] == "browsers"
    assert "CODEWORDS_BROWSERS" in refused.json()["error"]["hint"]
    for one in held:
        http.post(f"/runs/{one['request_id']}/cancel").raise_for_status()
    until(lambda: not browsers())


def test_a_browser_that_nobody_uses_ends_before_its_run_and_a_runtime_that_ends_leaves_none(
    tmp_path_factory: pytest.TempPathFactory, site: Site
) -> None:
    settings = Settings.model_validate(
        {
            "home": (home := make_home(tmp_path_factory.mktemp("idle") / "home")),
            "port": 0,
            "api_key": ADMIN_KEY,
            "egress_allow_private": [site.url.removeprefix("http://")],
            "browser_idle_timeout": 0.1,
        }
    )
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with Door(settings) as opened, opened.client() as http:
            deployed = http.post("/deploy", json={"code": TOUR, "name": "Tour", "allow": True}, timeout=300)
            path = f"/run/{deployed.json()['service_id']}/twice"
            second = http.post(path, json={"site": site.url}, timeout=120).json()
            assert second["results"][0]["reason"] == "no_page", "it came to another browser"
            site.asked.clear()
            url, headers = f"{opened.url}/run/chrome_extension/", {"Authorization": ADMIN_KEY}
            asked = {
                "actions": [{"type": "navigate", "url": f"{site.url}/form"}, {"type": "wait", "time": 50}]
            }
            waiting = pool.submit(httpx.post, url, json=asked, headers=headers, timeout=60, trust_env=False)
            until(lambda: "/form" in site.asked)
        assert waiting.exception() is not None or waiting.result().status_code >= 400
    assert not browsers()
    assert [one for one in (home / "run").iterdir() if one.is_dir()] == []


OWN = "No Chrome of yours is paired."


@pytest.mark.parametrize(
    ("more", "sentence", "fix"),
    [
        ({"chromium": "/nowhere/chromium"}, f"{OWN} There is no Chromium where CODEWORDS_CHROMIUM says.", "apt-get install chromium"),
        ({"sandbox": "process"}, f"{OWN} The isolation of this machine (tier P) cannot hold a browser.", "browser pair"),
        ({"browsers": 0}, "Browsers are off here.", "CODEWORDS_BROWSERS"),
    ],
)  # fmt: skip
def test_where_there_is_no_browser_the_same_sentence_is_said_everywhere(
    tmp_path_factory: pytest.TempPathFactory, more: dict[str, Any], sentence: str, fix: str
) -> None:
    home = make_home(tmp_path_factory.mktemp("none") / "home")
    settings = Settings.model_validate({"home": home, "port": 0, "api_key": ADMIN_KEY} | more)
    with Door(settings) as opened, opened.client() as http:
        asked = {"actions": [{"type": "navigate", "url": "https://example.org/"}]}
        answer = http.post("/run/chrome_extension/", json=asked)
        services = {one["name"]: one for one in http.get("/services").json()["items"]}
        status = http.get("/status").json()
        at_runtime = {"CODEWORDS_RUNTIME_URL": opened.url, "CODEWORDS_API_KEY": ADMIN_KEY}
        listed = Shell(home, at_runtime)("codewords", "services").out
    told = status["browser"]
    assert answer.status_code == 424
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("not_connected", sentence)
    assert fix in error["hint"]
    for name in ("chrome_extension", "web_automation_agent"):
        assert services[name]["unavailable"] == sentence
        assert (services[name]["fix"], services[name]["remedy"]) == (told["fix"], told["remedy"])
    fixed = {"fix": told["fix"], "remedy": told["remedy"]}
    assert told == {"ready": False, "sentence": sentence} | fixed
    assert reword(told["fix"], told["remedy"] or {}, WORDS)[0] == error["hint"]
    as_command = worded(told["fix"], told["remedy"])
    assert f"{sentence} {as_command}" in listed
    assert Finding("browser", "note", sentence, as_command) in runtime_findings(status)
