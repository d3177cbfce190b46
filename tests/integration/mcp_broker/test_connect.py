"""MCP servers are connected by their address, found, described and called over HTTP."""

from __future__ import annotations

import httpx
import pytest
from tests.integration.mcp_broker.helpers import PIXEL, TOKEN, ServedMcp, call, connected, refused, told
from tests.support.browser_client import sign_in
from tests.support.http_runtime import ADMIN_KEY, Door


@pytest.mark.requirement("mcp-broker:connect")
def test_a_server_without_sign_in_is_connected_found_described_and_called(
    http: httpx.Client, notes: ServedMcp
) -> None:
    found = connected(http, notes.url, name="notes")
    assert (found["app"], found["status"], found["env_var"]) == ("mcp_notes", "connected", "")

    hits = told(http.get("/integrations", params={"query": "write a note"}))["actions"]
    assert (hits[0]["key"], hits[0]["writes"], hits[0]["backend"]) == ("mcp_notes/add_note", True, "mcp")
    listed = told(http.get("/integrations/mcp_notes"))
    assert [action["key"] for action in listed["actions"]][:2] == [
        "mcp_notes/search_notes",
        "mcp_notes/add_note",
    ]

    shown = told(http.post("/integrations/mcp_notes/describe", json={"action": "add_note"}))["action"]
    assert shown["description"] == "Write a new note."
    fields = {prop["name"]: (prop["type"], prop["required"]) for prop in shown["props"]}
    assert fields == {"text": ("string", True), "tags": ("any", False)}

    done = told(call(http, "mcp_notes", "mcp_notes/add_note", {"text": "water the plants"}))
    assert (done["backend"], done["ret"]) == ("mcp", {"result": "Added: water the plants"})
    assert notes.calls == [("add_note", {"text": "water the plants", "tags": None})]


@pytest.mark.requirement("mcp-broker:sse")
def test_a_server_of_the_older_transport_is_used_alike(http: httpx.Client, notes_over_sse: ServedMcp) -> None:
    connected(http, notes_over_sse.url, name="older")
    for number in range(3):
        done = told(call(http, "mcp_older", "add_note", {"text": f"note {number}"}))
        assert done["ret"] == {"result": f"Added: note {number}"}


@pytest.mark.requirement("mcp-broker:token")
def test_a_token_is_typed_on_a_page_and_goes_to_its_server_only(
    door: Door, http: httpx.Client, notes_with_token: ServedMcp
) -> None:
    body = {"url": notes_with_token.url, "name": "guarded", "agree": True}
    asked = told(http.post("/integrations/mcp/connect", json=body))
    assert (asked["status"], asked["connected"]) == ("missing", False)
    with sign_in(door.url, ADMIN_KEY) as browser:
        page = browser.get(asked["connect_link_url"]).text
        assert "MCP_GUARDED_TOKEN" in page
        typed = page.partition('class="button" href="')[2].partition('"')[0]
        browser.submit(typed, data={"value": TOKEN})
        page = browser.get(asked["connect_link_url"]).text
        assert "says that it only reads" in page
        seen = page.partition('name="seen" value="')[2].partition('"')[0]
        browser.submit(asked["connect_link_url"], data={"seen": seen, "believe": "yes"})

    assert told(http.post("/integrations/mcp_guarded/connect", json={}))["connected"]
    assert told(call(http, "mcp_guarded", "search_notes", {"query": "milk"}))["ret"] == {
        "result": ["buy milk"]
    }
    http.put("/secrets/MCP_GUARDED_TOKEN", json={"value": "another-token-0123456789"}).raise_for_status()
    error = refused(call(http, "mcp_guarded", "search_notes", {"query": "milk"}), 424)
    assert "MCP_GUARDED_TOKEN" in error["message"]
    assert not told(http.post("/integrations/mcp_guarded/connect", json={}))["connected"]
    http.put("/secrets/MCP_GUARDED_TOKEN", json={"value": TOKEN}).raise_for_status()
    assert told(http.post("/integrations/mcp_guarded/connect", json={}))["connected"]


@pytest.mark.requirement("mcp-broker:answers")
def test_pictures_sounds_and_data_become_files_with_links(
    door: Door, http: httpx.Client, notes: ServedMcp
) -> None:
    connected(http, notes.url, name="notes")
    done = told(call(http, "mcp_notes", "draw", {"size": 1}))
    assert done["ret"] == "Here it is."
    assert done["exports"]["links"] == [{"name": "notes", "uri": "https://example.com/notes"}]
    kinds = [(file["mime_type"], file["size"]) for file in done["files"]]
    assert kinds == [("image/png", len(PIXEL)), ("audio/wav", 5), ("application/zip", 3)]
    with door.client(None) as stranger:
        assert stranger.get(done["files"][0]["url"]).content == PIXEL

    long = told(call(http, "mcp_notes", "long_text", {"characters": 300_000}))
    names = [file["name"] for file in long["files"]]
    assert names == ["answer.txt", "answer.json"]
    assert len(long["ret"]) < 3_000


@pytest.mark.requirement("mcp-broker:errors")
def test_a_tool_that_fails_or_is_not_there_says_so_in_our_words(http: httpx.Client, notes: ServedMcp) -> None:
    connected(http, notes.url, name="notes")
    error = refused(call(http, "mcp_notes", "fail", {}), 502)
    assert error["upstream_said"].endswith("the disk of the notes is full")
    assert "disk" not in error["message"]
    missing = refused(call(http, "mcp_notes", "ad_note", {"text": "x"}), 404)
    assert "add_note" in missing["hint"]
    assert "`text`" in refused(call(http, "mcp_notes", "add_note", {}), 400)["message"]
    unknown = refused(call(http, "mcp_elsewhere", "add_note", {}), 404)
    assert "no MCP server" in unknown["message"]


@pytest.mark.requirement("mcp-broker:address")
@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://key:secret@mcp.example.com/mcp", 400),
        ("https://mcp.example.com/mcp?api_key=0123456789", 400),
        ("ftp://mcp.example.com", 400),
        ("http://169.254.169.254/latest/meta-data", 403),
        ("http://127.0.0.1:1/mcp", 403),
        ("http://[::1]/mcp", 403),
    ],
)
def test_addresses_with_keys_and_private_ones_are_not_connected(
    http: httpx.Client, url: str, status: int
) -> None:
    answer = http.post("/integrations/mcp/connect", json={"url": url, "agree": True})
    assert answer.status_code == status, answer.text
    assert "secret" not in answer.text.replace("secrets", "")
    assert not [one for one in http.get("/connections").json()["items"] if one["backend"] == "mcp"]
