"""How the tests ask a runtime for integrations, and read what it says."""

from __future__ import annotations

from typing import Any

import httpx


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return answer.json().get("error", answer.json())


def call(http: httpx.Client, app: str, action: str, props: dict[str, Any], **more: Any) -> httpx.Response:
    return http.post(f"/integrations/{app}/call", json={"action": action, "props": props, **more})


def service(http: httpx.Client, **asked: Any) -> httpx.Response:
    return http.post("/run/pipedream/", json=asked)


TOKEN = "token-of-the-tests-0123456789"


USER = "codewords-local"
