"""CORS headers of answers, on a bare app."""

from __future__ import annotations

from typing import cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from codewords_mcp.http.middleware.cors import Cors
from codewords_mcp.http.middleware.hosts import Trust

pytestmark = pytest.mark.requirement("http:cors")
PAGE = "https://app.example"


class OneOrigin:
    """Trusts one page."""

    def is_foreign_but_trusted(self, origin: str) -> bool:
        return origin == PAGE


def plain(_: Request) -> Response:
    return PlainTextResponse("plain", headers={"Vary": "Accept"})


def own_cors(_: Request) -> Response:
    return PlainTextResponse("own", headers={"Access-Control-Allow-Origin": "*", "Vary": "Accept"})


def options(_: Request) -> Response:
    return PlainTextResponse("the app's own OPTIONS")


@pytest.fixture
def client() -> TestClient:
    routes = [
        Route("/plain", plain),
        Route("/own", own_cors),
        Route("/options", options, methods=["OPTIONS"]),
    ]
    return TestClient(Cors(Starlette(routes=routes), cast("Trust", OneOrigin())))


def test_a_trusted_page_reads_the_answer_and_caches_know(client: TestClient) -> None:
    answer = client.get("/plain", headers={"Origin": "HTTPS://APP.example"})
    assert answer.headers["access-control-allow-origin"] == "HTTPS://APP.example"
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Accept, Origin"
    assert "access-control-allow-credentials" not in answer.headers


def test_a_workflow_that_speaks_cors_has_the_last_word(client: TestClient) -> None:
    answer = client.get("/own", headers={"Origin": PAGE})
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert "access-control-expose-headers" not in answer.headers
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", f"{PAGE}.evil.example"])
def test_an_answer_to_others_is_as_the_app_made_it(client: TestClient, origin: str | None) -> None:
    answer = client.get("/plain", headers={"Origin": origin} if origin else {})
    assert answer.headers["vary"] == "Accept"
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_preflight_is_answered_without_the_app_for_a_trusted_page_only(client: TestClient) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-a"}
    answer = client.options("/options", headers={"Origin": PAGE, **asks})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST, PUT, PATCH, DELETE"
    assert answer.headers["access-control-allow-headers"] == "authorization, x-a"
    assert answer.headers["access-control-max-age"] == "600"
    assert "access-control-allow-private-network" not in answer.headers
    assert "content-type" not in answer.headers
    assert (
        client.options("/options", headers={"Origin": "https://evil.example", **asks}).text
        == "the app's own OPTIONS"
    )
    assert client.options("/options", headers={"Origin": PAGE}).text == "the app's own OPTIONS"
