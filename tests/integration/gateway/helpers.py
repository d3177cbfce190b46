"""Requests to the gateway, with what they cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import httpx
from tests.support.http_runtime import Door
from tests.support.runtime import HEADER

CHAT: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 100,
}


MESSAGE: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
}


def with_table(table: str) -> str:
    """The usual header with a table of ours."""
    first, rest = HEADER.format(more="").split("# /// script\n")
    assert first == ""
    return "# /// script\n" + rest.replace("# ///", table)


ASKING = """
import os
import httpx
BASE = os.environ["RUNTIME_URI"]
KEY = {"Authorization": "Bearer " + os.environ["CODEWORDS_API_KEY"]}

@app.post("/")
def ask(data: dict):
    with httpx.Client(base_url=BASE, headers=KEY, timeout=60) as client:
        for _ in range(data.get("calls", 1)):
            answer = client.post("/openai/chat/completions", json=data["chat"])
        if data.get("then"):
            client.post(f"/run/{data['then']}/", json={"chat": data["chat"]}).raise_for_status()
    return [answer.status_code, answer.json()]
"""


def costs(client: httpx.Client, by: str) -> list[dict[str, Any]]:
    answer = client.get("/costs", params={"by": by})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


KEYS = {"openai": "sk-real-openai-key", "anthropic": "sk-ant-real-key", "gemini": "AIza-real-key"}


MAX_BODY = 16 << 20


BILLING = {f"{name}-bills": name for name in ("gpt-4o-mini", "claude-sonnet-4-6", "gemini-2.5-flash")}
"""Models that the providers on loopback bill pictures and stored things of, as real ones do."""


STEERED = ("gpt-4o-mini-w200", "gpt-4o-mini-cut", "err-400")
"""Models that are priced as gpt-4o-mini, and steer the stand-in."""


class _Closes(Protocol):
    @property
    def close(self) -> Callable[[], object]: ...


C = TypeVar("C", bound=_Closes)
_opened: list[_Closes] = []


def closed_after_test(client: C) -> C:
    """The client, which the fixture `closed_clients` closes: a socket left to the collector warns in a later test."""
    _opened.append(client)
    return client


def close_clients() -> None:
    """Close the clients of a test that has ended."""
    while _opened:
        _opened.pop().close()


def new_key(door: Door, http: httpx.Client, usd: float | None = None, **options: Any) -> tuple[str, str]:
    """A key of the owner `speaker`, with a budget if one is given, and its id."""
    key = door.make_key(owner="speaker", **options)
    found = next(item for item in http.get("/keys").json()["items"] if key.startswith(item["prefix"]))
    if usd is not None:
        answer = http.put("/budgets/key", json={"usd": usd, "subject": found["id"]})
        assert answer.status_code == 200, answer.text
    return key, found["id"]


def sums(http: httpx.Client, key_id: str) -> dict[str, Any]:
    """The costs of a key; empty where it has none."""
    return next((item for item in costs(http, "key") if item["key_id"] == key_id), dict[str, Any]())
