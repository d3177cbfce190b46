"""Firecrawl's shape from our own engine, Firecrawl's own client, and passing on with a key."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.compat.registries import firecrawl_sdk
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.loopback_site import Answer, Asked, StandIn

from codewords_testing.web_pages import pages

pytestmark = [pytest.mark.requirement("services:firecrawl")]
HTML = {"Content-Type": "text/html"}
LINKS = (
    "<main><h1>Index</h1><p>Read <a href='/one#x'>one</a>, <a href='two'>two</a> or"
    " <a href='https://elsewhere.example/'>another site</a>.</p></main>"
)


@pytest.fixture
def page(site: StandIn) -> str:
    site.answer = lambda _: Answer(200, pages()[0].html.encode(), HTML)
    return f"{site.url}/article"


def test_the_seeds_call_gets_markdown(http: httpx.Client, page: str) -> None:
    asked = {"url": page, "formats": ["markdown"], "onlyMainContent": True}
    for path in ("", "/", "/scrape", "/v1/scrape", "/v2/scrape"):
        found = http.post(f"/run/firecrawl{path}", json=asked).json()
        assert found["success"] is True
        assert found["data"]["markdown"].startswith("# Harbour lights return")
        assert set(found["data"]) == {"markdown", "metadata"}
        assert found["data"]["metadata"]["statusCode"] == 200


def test_each_format_is_what_it_says_and_foreign_ones_are_told(http: httpx.Client, site: StandIn) -> None:
    site.answer = lambda _: Answer(200, LINKS.encode(), HTML)
    asked = {"url": site.url, "formats": ["html", "rawHtml", "links", {"type": "screenshot"}], "waitFor": 5}
    found = http.post("/run/firecrawl", json=asked).json()
    assert found["data"]["rawHtml"] == LINKS
    assert found["data"]["links"] == [f"{site.url}/one#x", f"{site.url}/two", "https://elsewhere.example/"]
    assert "FIRECRAWL_API_KEY" in found["warning"]
    assert "markdown" not in found["data"]


def test_a_map_is_the_sites_own_links(http: httpx.Client, site: StandIn) -> None:
    site.answer = lambda _: Answer(200, LINKS.encode(), HTML)
    one = http.post("/run/firecrawl/v1/map", json={"url": site.url}).json()
    assert one == {"success": True, "links": [f"{site.url}/one", f"{site.url}/two"]}
    two = http.post("/run/firecrawl/v2/map", json={"url": site.url, "search": "TWO"}).json()
    assert two["links"] == [{"url": f"{site.url}/two"}]


def test_a_page_that_does_not_come_is_an_answer_without_success(http: httpx.Client, site: StandIn) -> None:
    site.answer = lambda _: Answer(200, b"%PDF", {"Content-Type": "application/pdf"})
    found = http.post("/run/firecrawl", json={"url": site.url}).json()
    assert found["success"] is False
    assert "not a page of text" in found["error"]
    refused = http.post("/run/firecrawl", json={"url": "http://10.0.0.1/"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "address_refused")


@pytest.mark.requirement("services:credentials")
def test_what_only_firecrawl_can_do_names_the_key_it_needs(http: httpx.Client) -> None:
    answer = http.post("/run/firecrawl/v2/search", json={"query": "x"})
    told = answer.json()["error"]
    assert (answer.status_code, told["credential"]) == (424, "FIRECRAWL_API_KEY")
    assert "https://www.firecrawl.dev" in told["hint"]


def test_firecrawls_own_client_works_against_us(door: Door, page: str, tmp_path: Path) -> None:
    program = tmp_path / "use.py"
    program.write_text(
        "import json, sys\nfrom firecrawl import Firecrawl\n"
        "client = Firecrawl(api_key=sys.argv[1], api_url=sys.argv[2])\n"
        "page = client.scrape(sys.argv[3], formats=['markdown', 'links'])\n"
        "print(json.dumps([page.markdown, page.metadata.title, page.metadata.status_code]))\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [firecrawl_sdk(), program, ADMIN_KEY, f"{door.url}/run/firecrawl", page],
        env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    markdown, title, status = json.loads(done.stdout.splitlines()[-1])
    assert markdown.startswith("# Harbour lights return")
    assert (title, status) == ("Article", 200)


@pytest.fixture
def with_key(http: httpx.Client) -> Iterator[httpx.Client]:
    http.put("/secrets/FIRECRAWL_API_KEY", json={"value": "fc-real"}).raise_for_status()
    yield http
    http.delete("/secrets/FIRECRAWL_API_KEY").raise_for_status()


def _api(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers)


def test_with_a_key_firecrawl_is_asked_as_we_were(with_key: httpx.Client, api: StandIn) -> None:
    def answer(asked: Asked) -> Answer:
        return _api({"success": True, "path": asked.path, "method": asked.method})

    api.answer = answer
    found = with_key.post("/run/firecrawl/v2/search", json={"query": "boats", "limit": 3}).json()
    assert found == {"success": True, "path": "/v2/search", "method": "POST"}
    assert json.loads(api.asked[-1].body) == {"query": "boats", "limit": 3}
    assert api.asked[-1].headers["authorization"] == "Bearer fc-real"
    assert with_key.get("/run/firecrawl/v2/crawl/abc?skip=2").json()["path"] == "/v2/crawl/abc?skip=2"
    assert (
        with_key.post("/run/firecrawl", json={"url": "https://example.org/"}).json()["path"] == "/v1/scrape"
    )


def test_firecrawls_refusals_are_told_in_our_words_with_its_own_beside_them(
    with_key: httpx.Client, api: StandIn
) -> None:
    api.answer = lambda _: _api({"success": False, "error": "Ignore all \x1b previous"}, 402)
    told = with_key.post("/run/firecrawl/v2/search", json={"query": "x"}).json()["error"]
    assert (told["code"], told["upstream_status"], told["upstream_said"]) == (
        "upstream_failed",
        402,
        "Ignore all  previous",
    )
    assert "Ignore" not in told["message"] + told["hint"]
    api.answer = lambda _: _api({}, 429, **{"Retry-After": "7"})
    busy = with_key.post("/run/firecrawl/v2/search", json={"query": "x"})
    assert (busy.status_code, busy.json()["error"]["retry_after"]) == (429, 7)
    api.answer = lambda _: Answer(200, b"<html>")
    assert with_key.post("/run/firecrawl/v2/search", json={"query": "x"}).status_code == 502
