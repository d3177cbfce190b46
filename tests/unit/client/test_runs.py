"""Running workflows and services through either client."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from enum import Enum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel, HttpUrl
from structlog.contextvars import bound_contextvars
from tests.unit.client.fake_runtime import KEY, FakeRuntime

from codewords_client import AsyncCodewordsClient, CodewordsHTTPError, CodewordsTimeout

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("client:run")]


@pytest.mark.parametrize("keyword", ["inputs", "data"])
async def test_a_run_takes_its_body_by_either_dialects_keyword(
    client: Any, runtime: FakeRuntime, keyword: str
) -> None:
    await client.run("hello_12345678", path="/greet", **{keyword: {"name": "Ada"}})
    asked = runtime.last("POST", "/run/hello_12345678/greet")
    assert asked.json == {"name": "Ada"}
    assert asked.headers["authorization"] == KEY
    assert asked.headers["content-type"] == "application/json"


async def test_both_keywords_at_once_are_refused(client: Any) -> None:
    with pytest.raises(TypeError, match="inputs= or data="):
        await client.run("hello", {"a": 1}, data={"a": 2})


async def test_a_run_without_path_or_body_posts_nothing_to_the_trailing_slash(
    client: Any, runtime: FakeRuntime
) -> None:
    await client.run("redis")
    asked = runtime.last("POST", "/run/redis/")
    assert asked.body == b""
    assert "content-type" not in asked.headers


async def test_a_get_sends_its_inputs_as_query_beside_the_paths_own(
    client: Any, runtime: FakeRuntime
) -> None:
    await client.run("hello", {"page": 2, "deep": True, "none": None}, "/list?sort=up", method="GET")
    asked = runtime.last("GET", "/run/hello/list")
    assert (asked.query, asked.body) == ("sort=up&page=2&deep=true", b"")


async def test_bytes_go_as_they_are_and_text_as_a_json_string(client: Any, runtime: FakeRuntime) -> None:
    await client.run("hello", b"\x00\xff")
    await client.run("hello", "words")
    raw, text = runtime.asked[-2:]
    assert (raw.body, raw.headers["content-type"]) == (b"\x00\xff", "application/octet-stream")
    assert text.json == "words"


async def test_what_workflows_commonly_hold_becomes_json(client: Any, runtime: FakeRuntime) -> None:
    class Colour(Enum):
        RED = "red"

    class Model(BaseModel):
        url: HttpUrl

    link = HttpUrl("https://example.com/a")
    held = {
        "model": Model(url=link), "url": link, "when": datetime(2026, 1, 2, tzinfo=UTC), "colour": Colour.RED, "set": {1},
        "id": UUID(int=1), "path": PurePosixPath("/a"), "list": [Model(url=link)],
    }  # fmt: skip
    await client.run("hello", held)
    assert runtime.asked[-1].json == {
        "model": {"url": "https://example.com/a"}, "url": "https://example.com/a", "when": "2026-01-02T00:00:00+00:00",
        "colour": "red", "set": [1], "id": str(UUID(int=1)), "path": "/a", "list": [{"url": "https://example.com/a"}],
    }  # fmt: skip


@pytest.mark.parametrize("bad", [object(), float("nan"), {"x": object()}])
async def test_what_has_no_json_form_is_refused_before_anything_is_sent(
    client: Any, runtime: FakeRuntime, bad: object
) -> None:
    with pytest.raises((TypeError, ValueError), match="JSON"):
        await client.run("hello", bad)
    assert runtime.asked == []


async def test_a_runs_marks_travel_as_headers(client: Any, runtime: FakeRuntime) -> None:
    await client.run("hello", request_id="run-7", correlation_id="chain-7", run_as_template=True)
    headers = runtime.asked[-1].headers
    assert headers["x-provisioned-request-id"] == "run-7"
    assert headers["x-correlation-id"] == "chain-7"
    assert headers["run-as-template"] == "yes"


@pytest.mark.requirement("client:correlation")
async def test_the_runs_own_correlation_id_goes_down_the_chain(client: Any, runtime: FakeRuntime) -> None:
    with bound_contextvars(correlation_id="chain-1"):
        await client.run("hello")
        await client.run("hello", correlation_id="other")
    await client.run("hello")
    bound, given, unbound = (asked.headers.get("x-correlation-id") for asked in runtime.asked[-3:])
    assert (bound, given, unbound) == ("chain-1", "other", None)


async def test_names_with_slashes_stay_one_path_part(client: Any, runtime: FakeRuntime) -> None:
    await client.run("a/b c")
    assert runtime.asked[-1].path == "/run/a/b c/"  # as Starlette decodes it


@pytest.mark.requirement("client:errors")
async def test_a_refused_run_raises_with_the_bodys_own_explanation(client: Any) -> None:
    with pytest.raises(CodewordsHTTPError) as caught:
        await client.run("refuses")
    error = caught.value
    assert isinstance(error, httpx.HTTPStatusError)
    assert str(error) == "422: that is not a number"
    assert (error.response.status_code, error.origin, error.request_id) == (422, "service", "run-9")


@pytest.mark.requirement("client:errors")
async def test_the_platforms_own_refusal_is_told_apart(client: Any) -> None:
    with pytest.raises(CodewordsHTTPError) as caught:
        await client.run("missing")
    assert str(caught.value) == "501: This runtime has no missing yet. See `codewords services`."
    assert (caught.value.origin, caught.value.code) == ("platform", "service_not_available")


@pytest.mark.requirement("client:errors")
async def test_a_validation_error_keeps_its_list(client: Any) -> None:
    with pytest.raises(CodewordsHTTPError) as caught:
        await client.run("invalid")
    assert caught.value.detail == [{"loc": ["body", "x"], "msg": "Field required"}]
    assert "Field required" in str(caught.value)


@pytest.mark.requirement("client:background")
@pytest.mark.parametrize("start", ["start_service", "run"])
async def test_a_background_run_gives_a_handle_to_its_result_logs_and_record(
    client: Any, runtime: FakeRuntime, start: str
) -> None:
    how = {"in_background": True} if start == "run" else {}
    handle = await getattr(client, start)("hello", {"name": "Ada"}, path="/greet", **how)
    assert handle.target.request_id == "run-minted"
    assert runtime.last("POST", "/run_async/hello/greet").json == {"name": "Ada"}
    assert (await handle.result())["message"] == "Hello"
    assert len(await handle.logs()) == 5
    assert (await handle.details())["id"] == "run-minted"


@pytest.mark.requirement("client:background")
async def test_polling_asks_again_while_the_run_is_pending(client: Any, runtime: FakeRuntime) -> None:
    runtime.pending_answers = 1
    answer = await client.poll_result("run-1", 30)
    assert answer["responseJson"] == {"message": "Hello"}
    assert [asked.path for asked in runtime.asked] == ["/result/run-1"] * 2
    assert runtime.asked[0].query == "timeout=30"


@pytest.mark.requirement("client:background")
async def test_polling_ends_with_a_timeout_that_names_the_run_and_is_bounded_in_requests(
    client: Any, runtime: FakeRuntime
) -> None:
    runtime.pending_answers = 1000
    with pytest.raises(CodewordsTimeout, match="Run run-1 did not finish within 1 seconds") as caught:
        await client.poll_result("run-1", timeout=1)
    assert isinstance(caught.value, httpx.TimeoutException)
    assert isinstance(caught.value, TimeoutError)
    assert len(runtime.asked) <= 5


@pytest.mark.requirement("client:background")
async def test_polling_an_unknown_run_raises_at_once(client: Any, runtime: FakeRuntime) -> None:
    with pytest.raises(CodewordsHTTPError, match="404: There is no run missing"):
        await client.poll_result("missing")
    assert len(runtime.asked) == 1


@pytest.mark.requirement("client:unreachable")
async def test_no_runtime_at_the_address_is_said_with_what_to_do(client: Any) -> None:
    async with AsyncCodewordsClient("http://127.0.0.1:9", KEY) as nowhere:
        with pytest.raises(
            httpx.ConnectError,
            match=r"No CodeWords runtime answers at http://127.0.0.1:9.*codewords-mcp serve",
        ):
            await nowhere.run("hello")


def test_one_async_client_serves_several_event_loops(runtime: FakeRuntime) -> None:
    shared = AsyncCodewordsClient(runtime.url, KEY)

    async def once() -> Any:
        answer = await shared.run("hello")
        await shared.close()
        return answer["message"]

    assert [asyncio.run(once()) for _ in range(2)] == ["Hello", "Hello"]


async def test_a_hundred_runs_at_once_share_one_client(runtime: FakeRuntime) -> None:
    async with AsyncCodewordsClient(runtime.url, KEY) as client:
        answers = await asyncio.gather(*(client.run("hello", {"n": n}) for n in range(100)))
    assert [answer["message"] for answer in answers] == ["Hello"] * 100
    assert sorted(json.loads(asked.body)["n"] for asked in runtime.asked) == list(range(100))
