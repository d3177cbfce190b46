"""SearchApi and SearXNG, Reddit's two hosts, Hunter: as they are documented, with their limits and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.http_runtime import ADMIN_KEY, Door

from codewords_mcp.settings import Settings
from codewords_testing.services import LoopbackServices, hunter, reddit, search

SECRETS = {
    "SEARCHAPI_API_KEY": search.KEY,
    "REDDIT_CLIENT_ID": reddit.CLIENT_ID,
    "REDDIT_CLIENT_SECRET": reddit.CLIENT_SECRET,
    "HUNTER_API_KEY": hunter.KEY,
}

REFUSALS: list[tuple[tuple[int, Any], int, str]] = [
    ((403, {"errors": []}), 429, "rate limit"),
    ((429, {"errors": []}), 429, "used up"),
    ((451, {"errors": [{"details": "claimed"}]}), 502, "451"),
    ((500, b"oops"), 502, "500"),
    ((200, {"data": []}), 502, "unexpected format"),
    ((222, {}), 502, "interrupted"),
]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, upstream: LoopbackServices) -> Iterator[Door]:
    """A runtime whose services ask the stand-ins."""
    given: dict[str, Any] = {"home": tmp_path_factory.mktemp("home"), "port": 0, "api_key": ADMIN_KEY}
    settings = Settings.model_validate(
        given | upstream.settings() | {"searxng_url": f"{upstream.url}/searxng"}
    )
    with Door(settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def bare(door: Door) -> Iterator[httpx.Client]:
    """Before any secret is set."""
    with door.client() as client:
        yield client


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        for name, value in SECRETS.items():
            client.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
        yield client
        for name in SECRETS:
            client.delete(f"/secrets/{name}")


def call(http: httpx.Client, path: str, data: Any) -> Any:
    answer = http.post(f"/run/{path}", json=data)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.requirement("services:credentials")
@pytest.mark.parametrize(
    ("path", "data", "credential", "where"),
    [
        ("reddit/posts", {"subreddit": "python"}, "REDDIT_CLIENT_ID", "reddit.com/prefs/apps"),
        ("hunter/domain_search", {"domain": "x.example"}, "HUNTER_API_KEY", "hunter.io/api-keys"),
    ],
)
def test_without_a_credential_nothing_is_asked_and_it_is_named(
    bare: httpx.Client, upstream: LoopbackServices, path: str, data: Any, credential: str, where: str
) -> None:
    before = len(upstream.requests)
    answer = bare.post(f"/run/{path}", json=data)
    error = answer.json()["error"]
    assert (answer.status_code, error["credential"]) == (424, credential)
    assert where in error["hint"]
    assert len(upstream.requests) == before


@pytest.mark.requirement("services:search")
def test_a_search_is_asked_as_searchapi_has_it_and_answered_as_it_answers(
    http: httpx.Client, upstream: LoopbackServices
) -> None:
    asked = {"engine": "google", "query": "wind turbines", "num_results": 3, "gl": "pt", "safe": True}
    found = call(http, "searchapi/search", asked)
    assert found["success"] is True
    assert [row["position"] for row in found["organic_results"]] == [1, 2, 3]
    assert found["search_parameters"] == {"engine": "google", "q": "wind turbines", "gl": "pt"}
    assert upstream.requests[-1].query["safe"] == "true"
    assert search.KEY not in upstream.requests[-1].query.values()
    assert call(http, "searchapi", {"q": "x", "page": 2})["organic_results"][0]["position"] == 11
    videos = call(http, "searchapi", {"engine": "youtube", "q": "x", "num": 2})
    assert (len(videos["videos"]), videos["organic_results"]) == (2, [])


@pytest.mark.requirement("services:search")
def test_without_a_key_a_searxng_answers_in_the_same_shape(bare: httpx.Client) -> None:
    found = call(bare, "searchapi/search", {"query": "wind", "num_results": 2, "hl": "de"})
    assert found["organic_results"][1] == {
        "position": 2, "title": "wind 1", "link": "https://general1.example/", "snippet": "Text.", "source": "mojeek",
    }  # fmt: skip
    assert found["search_metadata"]["provider"] == "searxng"
    assert call(bare, "searchapi", {"query": "wind", "engine": "youtube"})["videos"][0]["link"] == "https://videos0.example/"  # fmt: skip
    assert bare.post("/run/searchapi", json={"query": "x", "engine": "google_flights"}).status_code == 400


@pytest.mark.requirement("services:search")
@pytest.mark.parametrize("wrong", [{"query": ""}, {"query": "x", "api_key": "y"}, {"query": "x", "more": {"a": 1}}, {"query": "x", "engine": "../x"}])  # fmt: skip
def test_what_is_no_search_is_refused(http: httpx.Client, upstream: LoopbackServices, wrong: Any) -> None:
    before = len(upstream.requests)
    assert http.post("/run/searchapi", json=wrong).status_code == 400
    assert len(upstream.requests) == before


@pytest.mark.requirement("services:reddit")
def test_posts_come_page_by_page_with_one_token_of_the_other_host(
    http: httpx.Client, upstream: LoopbackServices
) -> None:
    before, titles, after = len(upstream.requests), list[str](), ""
    while after is not None:
        page = call(
            http,
            "reddit/posts",
            {"subreddit": "r/python", "sort": "top"} | ({"after": after} if after else {}),
        )
        titles += [post["title"] for post in page["posts"]]
        after = page["after"]
    assert titles == [f"Post {number} of python" for number in range(reddit.POSTS)]
    paths = [asked.path for asked in list(upstream.requests)[before:]]
    assert paths.count("/reddit/api/v1/access_token") <= 1
    last = upstream.requests[-1]
    assert (last.path, last.query["raw_json"]) == ("/reddit-api/r/python/top", "1")
    assert last.headers["user-agent"].startswith("python:codewords-mcp:")


@pytest.mark.requirement("services:reddit")
def test_a_token_that_was_revoked_is_had_anew_once(http: httpx.Client) -> None:
    call(http, "reddit/posts", {"subreddit": "python"})
    reddit.revoke()
    assert len(call(http, "reddit/search", {"query": "sandbox", "limit": 5})["posts"]) == 5


@pytest.mark.requirement("services:reddit")
def test_a_post_comes_with_its_comments_in_reading_order(http: httpx.Client) -> None:
    thread = call(http, "reddit/comments", {"post_id": "t3_p1"})
    assert thread["post"]["id"] == "p1"
    told = [(comment["id"], comment["depth"]) for comment in thread["comments"]]
    assert told == [("a", 0), ("a1", 1), ("a1a", 2), ("a2", 1), ("b", 0)]
    assert thread["more"] == 7
    assert all("replies" not in comment for comment in thread["comments"])


@pytest.mark.requirement("services:reddit")
def test_what_reddit_refuses_is_told(http: httpx.Client, upstream: LoopbackServices) -> None:
    def refusal(subreddit: str = "python") -> tuple[int, Any]:
        answer = http.post("/run/reddit/posts", json={"subreddit": subreddit})
        return answer.status_code, answer.json()["error"]

    assert refusal("nowhere")[0] == 404
    status, error = refusal("private")
    assert (status, error["upstream_status"]) == (502, 403)
    assert "private" in error["hint"]
    upstream.answer_next(429, {}, X_Ratelimit_Remaining="0.0", X_Ratelimit_Reset="93")
    status, error = refusal()
    assert (status, error["retry_after"]) == (429, 93)
    upstream.answer_next(200, b"<html>")
    assert refusal()[1]["code"] == "upstream_failed"
    http.put("/secrets/REDDIT_CLIENT_SECRET", json={"value": "wrong"})
    status, error = refusal()
    assert status == 502
    assert "REDDIT_CLIENT_SECRET" in error["message"]


@pytest.mark.requirement("services:hunter")
def test_addresses_of_a_company_of_a_person_and_what_they_are_worth(
    http: httpx.Client, upstream: LoopbackServices
) -> None:
    page = call(http, "hunter/domain_search", {"domain": "acme.example", "limit": 20, "offset": 20})
    assert [email["value"] for email in page["data"]["emails"]][-1] == "p24@acme.example"
    assert page["meta"]["results"] == hunter.ADDRESSES
    person = call(http, "hunter/email-finder", {"domain": "acme.example", "full_name": "Ada Example"})
    assert person["data"]["email"] == "ada@acme.example"
    assert call(http, "hunter/verify_email", {"email": "ada@acme.example"})["data"]["status"] == "valid"
    assert call(http, "hunter/verify_email", {"email": "slow@acme.example"})["pending"] is True
    assert call(http, "hunter/count", {"company": "Acme"})["data"]["total"] == 25
    assert call(http, "hunter/account", {})["data"]["plan_name"] == "Free"
    assert all(hunter.KEY not in asked.query.values() for asked in upstream.requests)


@pytest.mark.requirement("services:hunter")
@pytest.mark.parametrize(
    ("scripted", "status", "word"),
    REFUSALS,
)
def test_what_hunter_refuses_is_told(
    http: httpx.Client, upstream: LoopbackServices, scripted: tuple[int, Any], status: int, word: str
) -> None:
    upstream.answer_next(*scripted)
    answer = http.post("/run/hunter/verify_email", json={"email": "ada@acme.example"})
    assert (answer.status_code, word in answer.json()["error"]["message"]) == (status, True), answer.text


@pytest.mark.requirement("services:hunter")
@pytest.mark.parametrize(("path", "wrong"), [("find_email", {"domain": "x.example", "first_name": "Ada"}), ("domain_search", {}), ("verify_email", {"email": "no"}), ("domain_search", {"domain": "a/b"})])  # fmt: skip
def test_hunter_is_not_asked_for_what_is_not_whole(
    http: httpx.Client, upstream: LoopbackServices, path: str, wrong: Any
) -> None:
    before = len(upstream.requests)
    assert http.post(f"/run/hunter/{path}", json=wrong).status_code == 400
    assert len(upstream.requests) == before
