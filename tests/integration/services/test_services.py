"""Library services through the real door: calls, records, descriptions, and what they refuse."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from mcp import Client
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.loopback_site import Answer, Asked, StandIn
from tests.support.mcp_clients import over_http
from tests.support.waiting import until

from codewords_testing.web_pages import pages

PAGE = pages()[0]
HTML = {"Content-Type": "text/html; charset=utf-8"}


def call(http: httpx.Client, service: str, data: Any) -> Any:
    answer = http.post(f"/run/{service}", json=data)
    assert answer.status_code == 200, answer.text
    return answer.json()


def failure(http: httpx.Client, service: str, data: Any, status: int) -> Any:
    answer = http.post(f"/run/{service}", json=data)
    assert answer.status_code == status, answer.text
    assert answer.headers["error-origin"] == "platform"
    return answer.json()["error"]


@pytest.fixture
def page(site: StandIn) -> str:
    site.answer = lambda _: Answer(200, PAGE.html.encode(), HTML)
    return f"{site.url}/article"


@pytest.mark.requirement("services:markdown")
def test_a_page_is_read_as_markdown(http: httpx.Client, page: str) -> None:
    found = call(http, "webpage_to_markdown", {"url": page})
    assert found["success"] is True
    assert found["markdown"].startswith("# Harbour lights return")
    assert (found["title"], found["url"], found["status_code"]) == ("Article", page, 200)
    by_query = http.get("/run/webpage_to_markdown/", params={"url": page, "main_content": "false"})
    assert "Careers and press" in by_query.json()["markdown"]


@pytest.mark.requirement("services:markdown")
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(404, b"<h1>gone</h1>", HTML), "answered 404"),
        (Answer(200, b"%PDF-1.7", {"Content-Type": "application/pdf"}), "not a page of text"),
    ],
)
def test_what_is_no_page_is_told(http: httpx.Client, site: StandIn, answer: Answer, message: str) -> None:
    site.answer = lambda _: answer
    told = failure(http, "webpage_to_markdown", {"url": site.url}, 502)
    assert told["code"] == "upstream_failed"
    assert message in told["message"]
    assert told["upstream_status"] == answer.status


@pytest.mark.requirement("services:addresses")
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://169.254.169.254/", "http://localhost/", "http://[::1]/"]
)
def test_a_private_address_is_refused_also_the_runtimes_own(http: httpx.Client, door: Door, url: str) -> None:
    for target in (url, door.url):
        assert failure(http, "webpage_to_markdown", {"url": target}, 403)["code"] == "address_refused"


@pytest.mark.requirement("services:records")
def test_a_call_is_a_run_whose_record_keeps_what_the_settings_allow(http: httpx.Client, page: str) -> None:
    answer = http.post(
        "/run/webpage_to_markdown", json={"url": page}, headers={"X-Correlation-Id": "chain-1"}
    )
    record = http.get(f"/request/{answer.headers['x-request-id']}").json()
    assert (record["serviceId"], record["status"], record["correlationId"]) == (
        "webpage_to_markdown",
        "succeeded",
        "chain-1",
    )
    assert record["responseStatus"] == 200
    assert record["responseJson"] == answer.json()
    assert failure(http, "schedule_runs", {"operation": "sing"}, 400)["code"] == "invalid_input"
    refused = http.post("/run/webpage_to_markdown", json={"url": "nothing"})
    record = http.get(f"/request/{refused.headers['x-request-id']}").json()
    assert (record["status"], record["error"]["code"]) == ("failed", "invalid_input")


@pytest.mark.requirement("services:records")
def test_a_large_answer_is_kept_in_part(http: httpx.Client, site: StandIn) -> None:
    site.answer = lambda _: Answer(200, ("<main><p>" + "long words " * 3000 + "</p></main>").encode(), HTML)
    answer = http.post("/run/webpage_to_markdown", json={"url": site.url})
    assert len(answer.content) > 30_000
    record = http.get(f"/request/{answer.headers['x-request-id']}").json()
    assert record["responseTruncated"] is True
    assert len(record["responseContent"]) <= 16384


@pytest.mark.requirement("services:records")
def test_a_background_call_is_awaited_by_its_id(http: httpx.Client, page: str) -> None:
    run_id = http.post("/run_async/webpage_to_markdown/", json={"url": page}).json()["request_id"]
    record = http.get(f"/result/{run_id}", params={"timeout": 30}).json()
    assert record["responseJson"]["title"] == "Article"


@pytest.mark.requirement("services:records")
@pytest.mark.parametrize("body", [b"[1]", b"{", b'"x"', b"[" * 5000])
def test_a_body_that_is_no_object_gets_a_sentence(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/run/webpage_to_markdown/", content=body)
    assert answer.status_code == 400
    assert "body" in answer.json()["error"]["message"]


@pytest.mark.requirement("services:protocol")
def test_what_is_there_is_described_over_http_and_in_the_api_description(http: httpx.Client) -> None:
    items = {one["name"]: one for one in http.get("/services").json()["items"]}
    assert items["webpage_to_markdown"]["ready"] is True
    assert items["openai"]["ready"] is False
    assert http.get("/services/webpage_to_markdown").json() == items["webpage_to_markdown"]
    assert http.get("/services/nothing").status_code == 404
    document = http.get("/openapi.json").json()
    described = document["paths"]["/run/webpage_to_markdown/"]["post"]
    assert "url" in described["requestBody"]["content"]["application/json"]["schema"]["properties"]
    for name in items:
        assert any(path.startswith(f"/run/{name}/") for path in document["paths"]), name


@pytest.mark.anyio
@pytest.mark.requirement("services:protocol")
async def test_a_model_reads_what_there_is_as_a_resource(door: Door) -> None:
    async with over_http(f"{door.url}/mcp", ADMIN_KEY, "legacy") as client:
        await _reads(client)


async def _reads(client: Client) -> None:
    [page] = (await client.read_resource("services://all")).contents
    assert "**webpage_to_markdown**" in page.text  # type: ignore[union-attr]
    assert "OPENAI_API_KEY is not set" in page.text  # type: ignore[union-attr]
    [one] = (await client.read_resource("services://webpage_to_markdown")).contents
    assert '"main_content"' in one.text  # type: ignore[union-attr]


@pytest.fixture
def stuck(site: StandIn) -> Iterator[tuple[str, threading.Event]]:
    """The address of a page that comes when the event is set."""
    come = threading.Event()

    def answer(_asked: Asked) -> Answer:
        come.wait(120)
        return Answer(200, PAGE.html.encode(), HTML)

    site.answer = answer
    yield site.url, come
    come.set()


@pytest.mark.requirement("services:background")
def test_a_background_call_gives_its_id_before_it_is_done(
    http: httpx.Client, stuck: tuple[str, threading.Event]
) -> None:
    url, come = stuck
    run_id = http.post("/run_async/webpage_to_markdown/", json={"url": url}).json()["request_id"]
    assert http.get(f"/result/{run_id}", params={"timeout": 0}).status_code == 504
    assert http.get(f"/request/{run_id}").json()["status"] in {"starting", "running"}
    come.set()
    record = http.get(f"/result/{run_id}", params={"timeout": 30}).json()
    assert (record["status"], record["responseJson"]["title"]) == ("succeeded", "Article")
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["succeeded"]


@pytest.mark.requirement("services:background")
def test_a_background_call_that_fails_is_a_failed_run(http: httpx.Client) -> None:
    run_id = http.post("/run_async/webpage_to_markdown/", json={"url": "nothing"}).json()["request_id"]
    record = http.get(f"/result/{run_id}", params={"timeout": 30}).json()
    assert (record["status"], record["error"]["code"]) == ("failed", "invalid_input")


@pytest.mark.requirement("services:background")
def test_a_delayed_call_waits_in_line_and_is_made(http: httpx.Client, page: str) -> None:
    answer = http.post("/run_async/webpage_to_markdown/", json={"url": page}, headers={"Codewords-Delay": "0.2"})  # fmt: skip
    record = http.get(f"/result/{answer.json()['request_id']}", params={"timeout": 30}).json()
    assert record["responseJson"]["title"] == "Article"


@pytest.mark.requirement("services:background")
def test_calls_are_cancelled_by_their_id(http: httpx.Client, stuck: tuple[str, threading.Event]) -> None:
    url, _ = stuck
    run_id = http.post("/run_async/webpage_to_markdown/", json={"url": url}).json()["request_id"]
    cancelled = http.post(f"/runs/{run_id}/cancel").json()
    assert (cancelled["status"], cancelled["error"]["code"]) == ("cancelled", "run_cancelled")
    assert cancelled["attempts"][0]["outcome"] == "cancelled"
    waiting = http.post("/run_async/webpage_to_markdown/", json={"url": url}, headers={"Codewords-Delay": "600"})  # fmt: skip
    assert http.post(f"/runs/{waiting.json()['request_id']}/cancel").json()["status"] == "cancelled"


@pytest.mark.requirement("services:background")
def test_a_call_that_somebody_waits_for_is_cancelled_by_its_provisioned_id(
    http: httpx.Client, site: StandIn, stuck: tuple[str, threading.Event]
) -> None:
    url, _ = stuck
    run_id = http.post("/provision-request").json()["request_id"]
    before = len(site.asked)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(
            http.post, "/run/webpage_to_markdown/", json={"url": url}, headers={"X-Provisioned-Request-Id": run_id}
        )  # fmt: skip
        while len(site.asked) == before:
            assert not call.done()
        assert http.post(f"/runs/{run_id}/cancel").json()["status"] == "cancelled"
        assert call.result().status_code == 499


@pytest.mark.requirement("services:idempotency")
@pytest.mark.parametrize("route", ["run", "run_async"])
def test_a_repeated_key_gets_the_first_answer_and_asks_nothing(
    http: httpx.Client, site: StandIn, page: str, route: str
) -> None:
    key = {"Idempotency-Key": f"once-by-{route}"}
    first = http.post(f"/{route}/webpage_to_markdown/", json={"url": page}, headers=key)
    run_id = first.headers["x-request-id"]
    http.get(f"/result/{run_id}", params={"timeout": 30})
    asked = len(site.asked)
    again = http.post(f"/{route}/webpage_to_markdown/", json={"url": page}, headers=key)
    assert (again.json(), again.headers["x-request-id"]) == (first.json(), run_id)
    assert len(site.asked) == asked
    other = http.post("/run/redis_coordinator/", json={"action": "get", "key": "x"}, headers=key)
    assert other.headers["x-request-id"] != run_id


@pytest.mark.requirement("services:idempotency", "runs:repeated")
def test_a_call_with_a_key_is_made_though_its_caller_hangs_up_and_its_repetition_waits_for_it(
    door: Door, http: httpx.Client, site: StandIn, stuck: tuple[str, threading.Event]
) -> None:
    url, come = stuck
    before, body = len(site.asked), json.dumps({"url": url})
    key = {"Idempotency-Key": "lost-answer"}
    with door.connect() as wire:
        wire.request(
            "POST",
            "/run/webpage_to_markdown/",
            "Idempotency-Key: lost-answer",
            f"Content-Length: {len(body)}",
            body=body.encode(),
        )
        until(lambda: len(site.asked) > before, "the page to be asked for")
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(http.post, "/run/webpage_to_markdown/", json={"url": url}, headers=key)
        come.set()
        assert (again.result().status_code, again.result().json()["title"]) == (200, "Article")
    assert again.result().headers["idempotent-replay"] == "true"
    assert len(site.asked) == before + 1


@pytest.mark.requirement("services:idempotency")
def test_an_answer_that_was_not_kept_whole_is_not_given_again(http: httpx.Client, site: StandIn) -> None:
    site.answer = lambda _: Answer(200, ("<main><p>" + "long words " * 3000 + "</p></main>").encode(), HTML)
    key = {"Idempotency-Key": "long-answer"}
    assert http.post("/run/webpage_to_markdown/", json={"url": site.url}, headers=key).status_code == 200
    again = http.post("/run/webpage_to_markdown/", json={"url": site.url}, headers=key)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
