"""Every operation that changes something has an entry, whatever the front door, and so has whoever is refused one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import httpx
import pytest
from tests.support.access_walk import SECRET_NAME, Walk, ask_http, open_walk
from tests.support.waiting import until

from codewords_mcp.runtime.auth.access_table import TABLE

pytestmark = pytest.mark.slow

T = TypeVar("T")
_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "a chat host", "version": "1"},
}
_NUMBERS = itertools.count(1)
_FORMS = ("/sign-in", "/sign-out", "/answer/", "/login/", "/join/")
"""Of another page they are refused before it is known which one it is."""
_OPENED = {"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Walk]:
    with open_walk(tmp_path_factory.mktemp("walk")) as opened:
        yield opened


def entries(walk: Walk, **params: Any) -> list[dict[str, Any]]:
    """All entries of these filters, the newest first."""
    with walk.door.client() as http:
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = http.get("/audit", params={**params, "cursor": cursor} if cursor else params).json()
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def settled(walk: Walk, find: Callable[[list[dict[str, Any]]], T]) -> T:
    """What is found in the entries, once the operation of the last answer is recorded, which ends after its answer."""
    found = find(entries(walk))
    for _ in range(20):
        again = find(entries(walk))
        if again == found:
            return found
        found = again
    return found


def call_tool(walk: Walk, name: str, arguments: dict[str, Any]) -> httpx.Response:
    message = {
        "jsonrpc": "2.0", "id": next(_NUMBERS), "method": "tools/call",
        "params": {"name": name, "arguments": arguments, "_meta": _META},
    }  # fmt: skip
    headers = {
        "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call",
        "Mcp-Name": name,
    }  # fmt: skip
    with walk.door.client() as http:
        return http.post("/mcp", json=message, headers=headers)


@pytest.mark.requirement("audit:operations")
def test_every_operation_of_http_that_changes_something_has_an_entry(walk: Walk) -> None:
    changing = {
        rule.name
        for rule in TABLE
        if rule.kind in {"http", "websocket"}
        and rule.effect == "writes"
        # A page asks for a session before it is known which page it is.
        and rule.level != "page"
        # Its messages have entries of their own.
        and not rule.transport
        and not rule.name.partition(" ")[2].startswith(_FORMS)
        # Served to a sandbox alone.
        and rule.name != "WS /debugger"
    }
    assert len(changing) > 80
    with walk.door.client() as http:
        for rule in TABLE:
            if rule.name in changing:
                ask_http(walk, http, rule, potent=True)
    walk.door.stopped.clear()
    assert settled(walk, lambda found: changing - {entry["operation"] for entry in found}) == set()


@pytest.mark.requirement("audit:operations")
def test_every_tool_that_changes_something_has_an_entry(walk: Walk) -> None:
    changing = [rule.name for rule in TABLE if rule.kind == "tool" and rule.effect == "writes"]
    for name in changing:
        call_tool(walk, name, {"unknown": 1})
    wanted = {f"tool {name}" for name in changing}
    until(lambda: wanted <= {entry["operation"] for entry in entries(walk, outcome="failed")}, "the tools")
    [entry] = entries(walk, outcome="failed")[:1]
    assert (entry["front_door"], entry["address"]) == ("mcp", "127.0.0.1")


@pytest.mark.requirement("audit:operations")
def test_a_change_over_mcp_is_that_tools_of_this_host(walk: Walk) -> None:
    answer = call_tool(walk, "edit_workflow", {"code": "x = 1"})
    assert answer.status_code == 200

    def of_tool() -> list[dict[str, Any]]:
        return [
            entry for entry in entries(walk, outcome="done") if entry["operation"] == "tool edit_workflow"
        ]

    [entry] = until(of_tool, "the entry")
    assert entry["actor"] == "local"
    assert entry["agent"].startswith("a chat host")


@pytest.mark.requirement("audit:with-the-change")
def test_a_secret_that_is_set_has_one_entry_which_is_there_with_the_answer(walk: Walk) -> None:
    key = walk.door.make_key(scopes=["write"])
    with walk.door.client(key) as http:
        http.headers["User-Agent"] = "a script"
        http.put("/secrets/SET_BY_A_SCRIPT", json={"value": "never-to-be-seen"}).raise_for_status()
    [entry] = entries(walk, target="SET_BY_A_SCRIPT")
    assert (entry["action"], entry["operation"]) == ("secret.create", "PUT /secrets/{name}")
    assert (entry["front_door"], entry["agent"], entry["address"]) == ("http", "a script", "127.0.0.1")
    assert entry["key_id"]
    assert "ciphertext" in entry["hidden"]
    assert "never-to-be-seen" not in json.dumps(entries(walk))


@pytest.mark.requirement("audit:operations")
def test_a_run_has_an_entry_that_says_who_started_it(walk: Walk) -> None:
    with walk.door.client() as http:
        code = http.get("/templates/greeting").status_code  # any request that only looks
        assert code in {200, 404}
    runs = entries(walk, action="run")
    assert runs
    assert {entry["action"] for entry in runs} == {"run.create"}
    [first] = [entry for entry in runs if entry["target"] == walk.ids["run_id"]]
    assert first["operation"] == "* /run/{service_id}/{path}"
    assert first["after"]["service_id"] == walk.ids["service_id"]


@pytest.mark.requirement("audit:operations")
def test_looking_at_things_leaves_no_entry(walk: Walk) -> None:
    newest = entries(walk)[0]["id"]
    with walk.door.client() as http:
        for path in ("/workflows", "/runs", "/secrets", "/audit", "/status"):
            assert http.get(path).status_code == 200
    assert entries(walk)[0]["id"] == newest


@pytest.mark.requirement("audit:refusals")
def test_a_wrong_key_and_a_missing_scope_are_told(walk: Walk) -> None:
    narrow = walk.door.make_key(scopes=["read"])
    with walk.door.client("cwk-wrong-key-0123456789abcdef0123456789") as http:
        assert http.get("/workflows").status_code == 401
    with walk.door.client(narrow) as http:
        assert http.delete(f"/secrets/{SECRET_NAME}").status_code == 403
    with walk.door.client(None) as http:
        assert http.get("/workflows").status_code == 401

    def refused(**params: Any) -> list[tuple[str, str]]:
        found = entries(walk, outcome="refused", **params)
        return [(entry["operation"], entry["error"]) for entry in found][:2]

    missing = ("DELETE /secrets/{name}", "insufficient_scope")
    wanted = [missing, ("", "unauthenticated")]
    until(lambda: refused() == wanted, "the two refusals")
    # Whether there is such a secret or not.
    assert refused(target=SECRET_NAME)[0] == missing


@pytest.mark.requirement("audit:sign-in")
def test_signing_in_and_out_of_a_browser_and_failing_to_are_told(walk: Walk) -> None:
    with walk.door.client(key=None) as http:
        http.headers.update(
            {"Origin": walk.door.url, "Sec-Fetch-Site": "same-origin", "User-Agent": "Firefox"}
        )
        assert http.post("/sign-in", data={"key": "cwk-wrong", "to": "/"}).status_code == 401
        http.get(walk.door.sign_in_address(), headers=_OPENED)
        assert http.cookies
        assert http.post("/sign-out").status_code == 200

    def told() -> list[tuple[str, str]]:
        found = [entry for entry in entries(walk) if entry["agent"] == "Firefox"]
        return [(entry["action"], entry["outcome"]) for entry in found]

    wanted = [("session.end", "done"), ("session.begin", "done"), ("refuse", "refused")]
    until(lambda: told() == wanted, "the three entries")


@pytest.mark.requirement("audit:scope")
def test_the_trail_needs_its_scope_and_shows_others_only_their_own(walk: Walk) -> None:
    ann = walk.door.make_key(owner="ann")
    auditor = walk.door.make_key(owner="carol", scopes=["audit"])
    with walk.door.client(ann) as http:
        http.put("/secrets/OF_ANN", json={"value": "x"}).raise_for_status()
        assert {entry["owner"] for entry in http.get("/audit").json()["items"]} == {"ann"}
        assert http.get("/audit", params={"owner": "local"}).json()["items"][0]["owner"] == "ann"
        assert http.get("/audit/verification").status_code == 403
    with walk.door.client(auditor) as http:
        assert http.get("/audit", params={"owner": "ann"}).json()["items"]
        assert http.get("/audit/verification").json()["problems"] == []
        assert http.get("/workflows").status_code == 403
    with walk.door.client(walk.door.make_key(scopes=["read", "run", "write"])) as http:
        assert http.get("/audit").status_code == 403


@pytest.mark.requirement("audit:lists")
def test_pages_have_every_entry_once_and_bad_filters_say_so(walk: Walk) -> None:
    found = entries(walk, limit=7)
    ids = [entry["id"] for entry in found]
    assert ids == sorted(set(ids), reverse=True)
    with walk.door.client() as http:
        for params in (
            {"outcome": "good"},
            {"limit": 0},
            {"cursor": "x"},
            {"since": "then"},
            {"after": "-1"},
        ):
            assert http.get("/audit", params=params).status_code == 400, params


@pytest.mark.requirement("audit:chain")
def test_entries_are_sealed_by_themselves(walk: Walk) -> None:
    with walk.door.client() as http:
        http.put("/secrets/SEALED_SOON", json={"value": "x"}).raise_for_status()
        until(lambda: entries(walk, target="SEALED_SOON")[0]["seq"] is not None, "the seal")
        last = entries(walk, target="SEALED_SOON")[0]["seq"]
        assert http.get("/audit", params={"after": last - 1}).json()["items"][0]["seq"] == last
        assert http.get("/audit/verification").json()["problems"] == []
