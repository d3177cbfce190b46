"""What counts as a write, whatever a program does to make it look like a read."""

from __future__ import annotations

import json

import pytest

from codewords_mcp.runtime.recording.exchanges import RecordedRequest
from codewords_mcp.runtime.recording.graphql_documents import reads_only
from codewords_mcp.runtime.recording.held_writes import HeldWrite, effect_of, write_lines
from codewords_mcp.runtime.recording.journal import repeat_key, takes_our_key
from codewords_mcp.runtime.recording.writes import (
    call_write,
    egress_write,
    gateway_write,
    kind_of,
    why_write,
)

pytestmark = pytest.mark.requirement("runs:dry-run")
JSON = [(b"content-type", b"application/json")]
API = "https://api.example.com"


def body(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_reading_method_without_a_body_reads(method: str) -> None:
    assert egress_write(method, f"{API}/things?page=2", [(b"content-length", b"0")], b"") == ""


@pytest.mark.parametrize(
    ("method", "url", "headers", "sent"),
    [
        *(
            (method, f"{API}/things", [], b"")
            for method in ("POST", "PUT", "PATCH", "DELETE", "get", "PURGE", "TRACE")
        ),
        ("GET", f"{API}/things", [], b"x"),
        ("GET", f"{API}/things", [], None),
        ("GET", f"{API}/things", [(b"Content-Length", b"3")], b""),
        ("GET", f"{API}/things", [(b"transfer-encoding", b"chunked")], b""),
        ("GET", f"{API}/things", [(b"trailer", b"x-http-method-override")], b""),
        ("GET", f"{API}/things", [(b"X-HTTP-Method-Override", b"DELETE")], b""),
        ("GET", f"{API}/things", [(b"x-method-override", b"GET"), (b"x-http-method", b" delete ")], b""),
        ("GET", f"{API}/things?_method=delete", [], b""),
        ("GET", f"{API}/things?a=1;%5Fmethod=PUT", [], b""),
        ("GET", f"{API}/graphql?query=mutation%7Bpay%7D", [], b""),
        ("GET", f"{API}/graphql?query=%7Ba%7D&query=mutation%7Bpay%7D", [], b""),
        ("POST", f"{API}/search", JSON, body({"query": "{a}"})),
        ("POST", f"{API}/rpc", JSON, body({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})),
    ],
)
def test_what_is_not_known_to_read_is_a_write(
    method: str, url: str, headers: list[tuple[bytes, bytes]], sent: bytes | None
) -> None:
    assert egress_write(method, url, headers, sent)


@pytest.mark.parametrize("url", ["http://host@[::1", "http://host@[::1?_method=delete"])
def test_an_address_that_cannot_be_read_is_a_write_that_is_listed(url: str) -> None:
    assert egress_write("GET", url, [], b"") == "its address cannot be read"
    request = RecordedRequest("egress", "GET", url, [], b"", writes=True)
    assert why_write(request) == "its address cannot be read"
    (line,) = write_lines([HeldWrite(1, "run", request, "key", why_write(request), effect_of(request))])
    assert line == f"GET {url.removeprefix('http://')}"
    assert not takes_our_key(request)
    assert not repeat_key(request)


def test_a_websocket_is_a_write() -> None:
    assert "websocket" in egress_write("GET", f"{API}/live", [], b"", upgrades=True)


@pytest.mark.parametrize(
    "document",
    [
        "{ me { id } }",
        "query Mine($in: Input = {a: 1}) @live { me(in: $in) { ...f } } fragment f on User { id }",
        '# mutation { pay }\nquery { search(text: "mutation { pay }", long: """ } mutation \\""" { """) { id } }',
    ],
)
def test_graphql_queries_read(document: str) -> None:
    assert reads_only(document)
    assert egress_write("POST", f"{API}/graphql", JSON, body({"query": document})) == ""


@pytest.mark.parametrize(
    "document",
    [
        "mutation { pay }",
        "query A { a } mutation B { pay }",
        "subscription { paid }",
        "fragment f on User { id }",
        "{ a # }\r mutation { pay }",
        '{ a(text: "\n") } ',
        "{ a } }",
        "query",
        "",
        '"""doc""" { a }',
        "{" + " a" * 60_000 + "}",
    ],
)
def test_what_is_no_graphql_query_is_a_write(document: str) -> None:
    assert not reads_only(document)
    assert egress_write("POST", f"{API}/graphql", JSON, body({"query": document}))


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        (JSON, b'{"query": "{a}", "query": "mutation{pay}"}'),
        (JSON, b'{"query": "{a}", "Query": "mutation{pay}"}'),
        (JSON, body([{"query": "{a}"}, {"query": "mutation{pay}"}])),
        (JSON, body([])),
        (JSON, body({"extensions": {"persistedQuery": {}}})),
        (JSON, body({"query": ["mutation{pay}"]})),
        (JSON, "﻿".encode("utf-16") + b"{}"),
        ([*JSON, (b"content-encoding", b"gzip")], body({"query": "{a}"})),
        ([(b"content-type", b"application/graphql")], b"mutation{pay}"),
        ([(b"content-type", b"application/json; charset=utf-7")], body({"query": "{a}"})),
        ([], body({"query": "{a}"})),
        (JSON, None),
        ([*JSON, (b"x-http-method-override", b"PUT")], body({"query": "{a}"})),
    ],
)
def test_an_ambiguous_graphql_request_is_a_write(
    headers: list[tuple[bytes, bytes]], sent: bytes | None
) -> None:
    assert egress_write("POST", f"{API}/graphql", headers, sent)


@pytest.mark.parametrize(
    ("name", "reads"), [("tools/list", True), ("initialize", True), ("tools/call", False), ("x", False)]
)
def test_mcp_messages_read_or_call(name: str, reads: bool) -> None:
    sent = body({"jsonrpc": "2.0", "id": 1, "method": name})
    assert (egress_write("POST", f"{API}/mcp", JSON, sent) == "") is reads
    assert (call_write("POST", "/mcp", JSON, sent) == "") is reads


def test_a_call_of_a_model_that_only_prompts_is_no_write() -> None:
    assert gateway_write("POST", body({"model": "m", "tools": [{"type": "web_search"}]}), metered=True) == ""
    assert gateway_write("POST", b"--boundary\r\n", metered=True) == ""
    assert gateway_write("GET", b"", metered=False) == ""


@pytest.mark.parametrize(
    ("sent", "metered"),
    [
        (body({"tools": [{"type": "mcp", "server_url": "https://evil.example"}]}), True),
        (body({"mcp_servers": [{"url": "https://evil.example"}]}), True),
        (b'{"tools": [], "tools": [{"type": "mcp"}]}', True),
        (None, True),
        (body({"purpose": "batch"}), False),
    ],
)
def test_what_acts_at_a_model_provider_is_a_write(sent: bytes | None, metered: bool) -> None:
    assert gateway_write("POST", sent, metered=metered)


@pytest.mark.parametrize(
    ("method", "path", "writes"),
    [
        ("POST", "/run/report_12345678/", True),
        ("GET", "/run_async/send_email/", True),
        ("POST", "/run/send_email/outbox", False),
        ("POST", "/run/webpage_to_markdown/", False),
        ("POST", "/run/pipedream/", True),
        ("POST", "/v1/scrape", True),
        ("GET", "/result/abc", False),
        ("POST", "/provision-request", False),
        ("POST", "/file", False),
        ("PUT", "/file/abc", True),
        ("POST", "/webhook/abc", True),
        ("DELETE", "/mcp", False),
    ],
)
def test_requests_to_the_runtime_that_change_something_themselves_are_writes(
    method: str, path: str, writes: bool
) -> None:
    assert bool(call_write(method, path, [], b"")) is writes


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/run/redis_coordinator", b'{"action": "get", "key": "k"}', "read"),
        ("/run/redis_coordinator", b'{"operation": "get", "key": "k"}', "read"),
        ("/run/redis_coordinator", b'{"action": "set", "key": "k", "value": "get"}', "write"),
        ("/run/redis_coordinator", b'{"action": "get", "operation": "set", "key": "k"}', "write"),
        ("/run/redis_coordinator", b'{"action": "get", "action": "set", "key": "k"}', "write"),
        ("/run/redis_coordinator", b'{"action": ["get"], "key": "k"}', "write"),
        ("/run/redis_coordinator", b"{}", "write"),
        ("/run/schedule_runs/", b'{"operation": "list"}', "read"),
        ("/run/schedule_runs/", b'{"service_id": "greeting"}', "write"),
        ("/run/pipedream", b'{"operation": "search_apps", "query": "sheets"}', "read"),
        ("/run/pipedream", b'{"app": "slack", "action": "send-message"}', "write"),
        ("/run/firecrawl", b'{"url": "https://a.example/", "mobile": true}', "read"),
        ("/run/firecrawl/v1/scrape", b'{"url": "https://a.example/", "actions": [{}]}', "write"),
        ("/run/firecrawl/map", b'{"url": "https://a.example/"}', "read"),
        ("/run_async/webpage_to_markdown", None, "read"),
        ("/run/github/repository", b"[", "read"),
        ("/run/github/create_issue", b"{}", "write"),
        ("/run/send_email", b"{}", "write"),
        ("/run/greeting_1/", b"{}", "write"),
        ("/run/greeting_1/status", b"", "write"),
        ("/run/openai", b'{"prompt": "Hello"}', "prompt"),
        ("/result/run_1", b"", "read"),
    ],
)
def test_a_call_of_a_service_is_judged_by_what_the_service_says_of_its_operations(
    path: str, body: bytes | None, kind: str
) -> None:
    method = "GET" if path.startswith("/result") else "POST"
    request = RecordedRequest("call", method, f"http://runtime{path}", [], body, writes=False)
    assert kind_of(request) == kind
