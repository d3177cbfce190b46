"""GitHub's API as it is documented: searches with pages, limits of two kinds, what needs a token."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.support.loopback_site import Answer, Asked, StandIn

pytestmark = [pytest.mark.requirement("services:github")]
JSON = {"Content-Type": "application/json; charset=utf-8"}


def told(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(
        status, json.dumps(body).encode(), JSON | {name.replace("_", "-"): v for name, v in headers.items()}
    )


def searched(asked: Asked) -> Answer:
    """75 matches, in pages, with GitHub's Link header."""
    url = urlsplit(asked.path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    page, size = int(query["page"]), int(query["per_page"])
    items = [{"login": f"user{n}", "q": query["q"]} for n in range((page - 1) * size, min(page * size, 75))]
    link = ""
    if page * size < 75:
        link = f'<http://x{url.path}?page={page + 1}>; rel="next", <http://x{url.path}?page=9>; rel="last"'
    return told({"total_count": 75, "incomplete_results": False, "items": items}, Link=link)


@pytest.mark.parametrize(("path", "upstream"), [("search_profiles", "users"), ("search_repositories", "repositories"), ("search_issues", "issues")])  # fmt: skip
def test_a_search_goes_through_its_pages(http: httpx.Client, api: StandIn, path: str, upstream: str) -> None:
    api.answer = searched
    names: list[str] = []
    page: int | None = 1
    while page is not None:
        found = http.post(f"/run/github/{path}", json={"query": "python developers", "page": page}).json()
        assert (found["success"], found["total_count"]) == (True, 75)
        names += [item["login"] for item in found["items"]]
        page = found["next_page"]
    assert names == [f"user{number}" for number in range(75)]
    assert api.asked[-1].path.startswith(f"/search/{upstream}?")
    assert api.asked[-1].headers["x-github-api-version"] == "2022-11-28"
    assert api.asked[-1].headers["user-agent"].startswith("codewords-mcp")
    assert "authorization" not in api.asked[-1].headers


@pytest.fixture
def with_token(http: httpx.Client) -> Iterator[httpx.Client]:
    http.put("/secrets/GITHUB_TOKEN", json={"value": "ghp_of_the_tests"}).raise_for_status()
    yield http
    http.delete("/secrets/GITHUB_TOKEN").raise_for_status()


def test_code_is_searched_with_a_token(with_token: httpx.Client, api: StandIn) -> None:
    api.answer = searched
    assert with_token.post("/run/github/search_code", json={"query": "x in:file"}).json()["total_count"] == 75
    assert api.asked[-1].headers["authorization"] == "Bearer ghp_of_the_tests"


@pytest.mark.requirement("services:credentials")
def test_code_without_a_token_names_it_and_asks_nothing(http: httpx.Client, api: StandIn) -> None:
    before = len(api.asked)
    answer = http.post("/run/github/search_code", json={"query": "x"})
    error = answer.json()["error"]
    assert (answer.status_code, error["credential"]) == (424, "GITHUB_TOKEN")
    assert "https://github.com/settings/tokens" in error["hint"]
    assert len(api.asked) == before


def test_a_repository_its_readme_and_a_user_are_shown(http: httpx.Client, api: StandIn) -> None:
    content = base64.encodebytes("# Größe\n".encode() * 20).decode()

    def answer(asked: Asked) -> Answer:
        return {
            "/repos/python/cpython": told({"full_name": "python/cpython"}),
            "/repos/python/cpython/readme": told(
                {"name": "README.md", "content": content, "html_url": "https://x"}
            ),
            "/users/python": told({"login": "python"}),
        }[asked.path]

    api.answer = answer
    which = {"owner": "python", "repo": "cpython"}
    assert http.post("/run/github/repository", json=which).json()["item"] == {"full_name": "python/cpython"}
    assert http.post("/run/github/readme", json=which).json()["content"] == "# Größe\n" * 20
    assert http.get("/run/github/user?username=python").json()["item"] == {"login": "python"}


def test_a_repository_that_moved_is_followed(http: httpx.Client, api: StandIn) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == "/repos/old/name":
            return told({"message": "Moved Permanently"}, 301, Location=f"{api.url}/repositories/7")
        return told({"id": 7})

    api.answer = answer
    assert http.post("/run/github/repository", json={"owner": "old", "repo": "name"}).json()["item"] == {
        "id": 7
    }


@pytest.mark.parametrize(
    ("answer", "least", "most"),
    [
        (told({"message": "You have exceeded a secondary rate limit."}, 403, Retry_After="11"), 11, 11),
        (told({"message": "You have exceeded a secondary rate limit."}, 403), 60, 60),
        (told({"message": "API rate limit exceeded"}, 403, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(int(time.time()) + 7200)), 1800, 7200),
        (told({}, 429), 60, 60),
    ],
)  # fmt: skip
def test_both_kinds_of_limits_say_when_to_come_back(
    http: httpx.Client, api: StandIn, answer: Answer, least: int, most: int
) -> None:
    api.answer = lambda _: answer
    reply = http.post("/run/github/search_profiles", json={"query": "x"})
    assert reply.status_code == 429
    assert least <= reply.json()["error"]["retry_after"] <= most
    assert "GITHUB_TOKEN" in reply.json()["error"]["hint"]


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (told({"message": "Not Found"}, 404), 404, "not_found"),
        (told({"message": "Validation Failed"}, 422), 502, "upstream_failed"),
        (told({"message": "Resource not accessible"}, 403), 502, "upstream_failed"),
        (told({"message": "Bad credentials"}, 401), 502, "upstream_failed"),
        (told({}, 503), 502, "upstream_failed"),
        (told([1]), 502, "upstream_failed"),
        (Answer(200, b"<html>not json"), 502, "upstream_failed"),
    ],
)
def test_what_github_refuses_is_told_in_our_words(
    http: httpx.Client, api: StandIn, answer: Answer, status: int, code: str
) -> None:
    api.answer = lambda _: answer
    reply = http.post("/run/github/user", json={"username": "x"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert "Validation" not in reply.json()["error"]["message"]


@pytest.mark.parametrize("wrong", [{"owner": "a/b", "repo": "c"}, {"owner": "..", "repo": ".."}, {"owner": "a"}, {"owner": "a?b", "repo": "%2e"}])  # fmt: skip
def test_a_name_cannot_lead_elsewhere(http: httpx.Client, api: StandIn, wrong: dict[str, str]) -> None:
    before = len(api.asked)
    assert http.post("/run/github/repository", json=wrong).status_code in {400, 404}
    assert len(api.asked) == before


def test_an_empty_search_is_refused(http: httpx.Client) -> None:
    assert http.post("/run/github/search_profiles", json={"query": ""}).status_code == 400
