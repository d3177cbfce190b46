"""Parsers of what comes from outside: each returns, or refuses with an error of its own, whatever it is given."""

from __future__ import annotations

import functools
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from codewords_mcp.common.bounded_json import parse, parse_or_none, parse_stored
from codewords_mcp.errors import CodewordsError
from codewords_mcp.http.bodies import parse_json
from codewords_mcp.http.middleware.auth import find_key, is_open
from codewords_mcp.http.middleware.headers import content_length, inward, number, outward, token
from codewords_mcp.http.middleware.hosts import host_name
from codewords_mcp.mcp_server.text import clean, clean_json, fence, one_line
from codewords_mcp.mcp_server.toolsets import parse_toolsets
from codewords_mcp.runtime.egress.dns import respond
from codewords_mcp.runtime.egress.fake_names import FakeNames
from codewords_mcp.runtime.egress.proxy import BadRequest, ProxyRequestParser
from codewords_mcp.runtime.gateway.canonical import canonical
from codewords_mcp.runtime.gateway.estimates import estimate
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.providers import find_route
from codewords_mcp.runtime.gateway.request_facts import read_request
from codewords_mcp.runtime.model.addresses import parse_address
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.model.host_names import normal_host
from codewords_mcp.runtime.model.json_sample import make_example
from codewords_mcp.runtime.model.log_text import fields_of, level_of
from codewords_mcp.runtime.model.time_bounds import parse_moment, parse_seconds
from codewords_mcp.runtime.runs.results import CapturedBody, WorkflowResponse, response_record
from codewords_mcp.runtime.secrets.rules import make_rule
from codewords_mcp.runtime.triggers import cron
from codewords_mcp.runtime.triggers import webhook_events as events
from codewords_mcp.runtime.triggers import webhook_signatures as signatures
from codewords_mcp.runtime.workflows import declarations
from codewords_mcp.runtime.workflows.header import read_header
from codewords_mcp.runtime.workflows.openapi import normalise, read_routes, read_title
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.main_route import main_route

SLOW = 2.0
"""Seconds over which an input counts as a hang."""
_HEADER = (
    '# /// script\n# requires-python = "==3.11.*"\n# dependencies = ["fastapi==0.115.12", "httpx; os_name != \'x\'"]\n'
    '# [tool.env-checker]\n# env_vars = ["PORT=8000", "A_KEY"]\n# [tool.codewords]\n# hosts = ["api.example.com"]\n# ///\n'
)


@dataclass(frozen=True, slots=True)
class Target:
    """A parser: `call` takes bytes; `seeds` are inputs that it takes; `refuses` how it says no."""

    name: str
    call: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    refuses: tuple[type[Exception], ...] = (CodewordsError,)


@dataclass(slots=True)
class Report:
    """What a run of a target came to: `failures` are (input, error)."""

    cases: int = 0
    refused: int = 0
    slowest: float = 0.0
    slow: list[bytes] = field(default_factory=list[bytes])
    failures: list[tuple[bytes, str]] = field(default_factory=list[tuple[bytes, str]])


def _text(call: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: call(data.decode("utf-8", "surrogateescape"))


def _utf8(call: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: call(data.decode("utf-8", "replace"))


def _answered(data: bytes) -> object:
    kept = CapturedBody(1 << 20)
    kept.add(data)
    return json.dumps(
        response_record(WorkflowResponse(200, [(b"content-type", b"application/json")]), kept, whole=True)
    ).encode()


def _headers(data: bytes) -> list[tuple[bytes, bytes]]:
    lines = (line.partition(b":") for line in data.split(b"\n"))
    return [(name.strip().lower(), value.strip()) for name, _, value in lines]


def _every_header(data: bytes) -> object:
    headers = _headers(data)
    for pure in (inward, outward, content_length):
        pure(headers)
    for read in (
        lambda: token(headers, b"idempotency-key"),
        lambda: number(headers, b"codewords-delay", low=0, high=100, usual=0),
        lambda: number(headers, b"codewords-priority", low=1, high=100, usual=50, whole=True),
        lambda: find_key(headers, "/gemini/v1", data),
    ):
        try:
            read()
        except CodewordsError:
            continue
    return None


def _budget(data: bytes) -> object:
    """What is estimated is what is sent: the canonical body reads as the same request."""
    kind, _, body = data.partition(b"\n")
    path, mount = _ROUTES[kind[0] % len(_ROUTES)] if kind else _ROUTES[0]
    route = find_route(mount, "POST", path, run_mount=False)  # type: ignore[arg-type]
    asked = canonical(read_request(route, body), [(b"content-type", b"application/json")])
    again = canonical(read_request(route, asked.body), [(b"content-type", b"application/json")])
    assert again.parsed == asked.parsed
    found = estimate(asked, _PRICES)
    assert found is None or min(found.input_cost, found.output_tokens, found.per_output) >= 0
    return found


_ROUTES = (
    ("/v1/chat/completions", "openai"),
    ("/v1/responses", "openai"),
    ("/v1/messages", "anthropic"),
    ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini"),
    ("/v1/embeddings", "openai"),
)
_PRICES = Prices({}, {})


def _service_headers(data: bytes) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in _headers(data)}


def _signed(data: bytes) -> object:
    head, _, body = data.partition(b"\n\n")
    headers = _service_headers(head)
    for check in (signatures.slack, signatures.hub, signatures.standard, signatures.stripe):
        try:
            check("whsec_c2VjcmV0", headers, body, 1_700_000_000.0)
        except (signatures.SignatureInvalid, CodewordsError):
            continue
    return None


def _webhook(data: bytes) -> object:
    head, _, body = data.partition(b"\n\n")
    headers = _service_headers(head)
    for read in (events.read_slack, events.read_whatsapp, functools.partial(events.read_other, signed=True)):
        try:
            read(headers, body)
        except CodewordsError:
            continue
    return None


def _header(text: str) -> object:
    header = read_header(text)
    declarations.requires_python(header)
    declarations.dependencies(header)
    declarations.environment_variables(header)
    return declarations.tool(header)


def _dependency(text: str) -> object:
    """A dependency as any TOML string can spell it; what the header makes of it is read again later."""
    return parse_script(_HEADER.replace("fastapi==0.115.12", json.dumps(text)[1:-1])).uses_our_client


def _option(text: str) -> object:
    return parse_script(
        _HEADER.replace('["api.example.com"]', f"{' '.join(text.split())}\n# concurrency = 1")
    )


def _cron(text: str) -> object:
    expression = cron.check(text)
    return cron.next_times(expression, UTC, datetime(2026, 2, 1, tzinfo=UTC), 3)


def _described(data: bytes) -> object:
    found: Any = parse(data)
    if not isinstance(found, dict):
        return None
    document = normalise(cast("dict[str, Any]", found))
    route = main_route(read_routes(document))
    return json.dumps(document), read_title(document), make_example(route.schema) if route else None


def _log_line(text: str) -> object:
    return json.dumps([level_of(text), fields_of(text)])


_JSON_SEEDS = (
    b'{"a": [1, 2.5, -3e4, true, null, "x\\u00e9\\ud83d\\ude00"]}', b"[" * 60 + b"]" * 60, b'{"a":1,"a":2}', b'"\\ud800"',
    b"1e999", b"NaN", b"-0", b"123456789012345678901234567890", b'{"": {"": {"": []}}}',
)  # fmt: skip
_BODY = (
    b'{"model": "gpt-4o", "messages": [{"role": "user", "content": [{"type": "image\\u005furl", "image_url": {"url": "data:"}}]}],'
    b' "max_tokens": 10, "n": 2, "stream": true}'
)
_DESCRIPTION = (
    b'{"info": {"title": "x"}, "paths": {"/": {"post": {"requestBody": {"content": {"application/json": {"schema": '
    b'{"$ref": "#/components/schemas/A"}}}}}}}, "components": {"schemas": {"A": {"$ref": "#/components/schemas/A"}}}}'
)
_SCHEMA = (
    b'{"type": "object", "required": ["a", "b", "c"], "properties": {"a": {"type": "array", "minItems": 20, "items": '
    b'{"type": "string", "minLength": 5, "format": "email"}}, "b": {"anyOf": [{"type": "integer", "exclusiveMinimum": 3, '
    b'"multipleOf": 2}, {"enum": [1]}]}, "c": {"allOf": [{"const": 1}]}}}'
)
_CHAT = b"\x00\n" + _BODY
_HTTP_HEAD = b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\nProxy-Authorization: Basic eDp5\r\n\r\n"
_DNS = bytes.fromhex("abcd01000001000000000000076578616d706c6503636f6d0000010001")
TARGETS: tuple[Target, ...] = (
    Target("json", parse, _JSON_SEEDS, (ValueError,)),
    Target("json: stored", lambda data: json.dumps(parse_stored(data)), _JSON_SEEDS, (ValueError,)),
    Target("json: or none", parse_or_none, _JSON_SEEDS),
    Target("json: body", parse_json, _JSON_SEEDS),
    Target("log line", _utf8(_log_line), (b'{"level": "error", "a": 1}', b"ERROR: x", b"[warning] y", b'{"event": "z"}')),
    Target("answer", _answered, _JSON_SEEDS),
    Target("headers", _every_header, (
        b"idempotency-key: a\ncodewords-delay: 1e3\ncontent-length: 12", b"authorization: Bearer cwk-1\nx-api-key: cwk-2",
        b"authorization: Basic eDp5", b"connection: upgrade, x\ntransfer-encoding: chunked\ncodewords-priority: nan",
    )),
    Target("host: request", _text(host_name), (b"127.0.0.1:80", b"[::1]:1", b"a.example.", b"localhost")),
    Target("host: name", _utf8(normal_host), (b"Example.COM.", b"xn--bcher-kva.example", b"127.1", b"0x7f.1", "bücher.example".encode())),
    Target("host: address", _utf8(parse_address), (b"127.0.0.1", b"::ffff:10.0.0.1", b"2130706433", b"fe80::1%eth0")),
    Target("host: rule", _utf8(lambda text: make_rule(text.split(","))), (b"api.example.com,*.b.example:8443", b"x")),
    Target("egress pattern", _utf8(lambda text: EgressPolicy(hosts=frozenset(text.split(",")))), (b"api.example.com,*.b.example",), (CodewordsError, ValueError)),
    Target("proxy request", lambda data: ProxyRequestParser().feed(data), (
        _HTTP_HEAD, b"GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
    ), (BadRequest,)),
    Target("dns", lambda data: respond(data, FakeNames()), (_DNS,)),
    Target("script header", _utf8(_header), (_HEADER.encode(),)),
    Target("script dependency", _utf8(_dependency), (
        b"httpx[a,b]>=1,<2; os_name == '\\\\'", b"httpx; python_version in '3.11' and ('a' not in extra or \"'\" != sys_platform)",
        b"httpx==1.*; platform_release ~= '\\x41'", b"a @ https://example.com/a.whl",
    )),
    Target("script option", _utf8(_option), (b'["api.example.com"]', b"[1, 1e999, 0x1f, 2026-12-24T18:00:00Z]", b"'x'", b'{a.b = """x"""}', b"9" * 5000)),
    Target("script", _utf8(lambda text: parse_script(_HEADER + text)), (b"import fastapi\napp = fastapi.FastAPI()\n", b"x = '''", b"\tif 1:\n  y")),
    Target("cron", _utf8(_cron), (b"0 9 * * 1-5", b"@daily", b"*/7 1,2 L * *", b"0 0 31 2 *", b"59 23 29 2 7#5")),
    Target("moment", _utf8(lambda text: parse_moment(text, zone=UTC)), (b"2026-12-24T18:00+01:00", b"9999-12-31", b"2026-W52-1")),
    Target("duration", _utf8(lambda text: parse_seconds(text, "x")), (b"1.5", b"1e308", b"-0", b"nan", b"1_000")),
    Target("toolsets", _utf8(parse_toolsets), (b"runs,secrets", b",", b"a-b_c")),
    Target("open path", _text(is_open), (b"/file/x", b"/secrets/enter/a/../b", b"/healthz")),
    Target("budget", _budget, (_CHAT, *(bytes([number]) + b"\n" + _BODY for number in range(1, 5)))),
    Target("webhook", _webhook, (
        b'x-slack-signature: v0=a\n\n{"type": "event_callback", "event": {"type": "message", "channel": "C1"}}',
        b'x\n\n{"entry": [{"changes": [{"value": {"messages": [{"id": "w", "from": "1"}]}}]}]}', b"x-github-event: push\n\n{}",
    )),
    Target("signature", _signed, (
        b"x-slack-signature: v0=ab\nx-slack-request-timestamp: 1700000000\n\n{}", b"stripe-signature: t=1700000000,v1=ab\n\n{}",
        b"webhook-id: a\nwebhook-timestamp: 1700000000\nwebhook-signature: v1,YWI=\n\n{}", b"x-hub-signature-256: sha256=ab\n\n{}",
    )),
    Target("workflow description", _described, (
        _DESCRIPTION, _DESCRIPTION.replace(b'{"$ref": "#/components/schemas/A"}', _SCHEMA),
    ), (ValueError,)),
    Target("shown text", _utf8(lambda text: (clean(text), one_line(text, 40), fence("x", text, 100))), (b"a\x1b[31m```\xe2\x80\xae\xc2\x9b",)),
    Target("shown json", lambda data: json.dumps(clean_json(parse_or_none(data))), _JSON_SEEDS),
)  # fmt: skip

_PIECES = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\r\n", b"\n\n", b'"', b"\\u", b"\\ud800", b"{", b"[" * 200, b"}", b"1e999", b"-", b"NaN",
    b"%2e%2e/", b"//", b"::", b"127.1", b"0x7f", b"999999999999999999999", b"```", b"'''", b"# ///", b"\x1b[2J", b"a" * 5000, b",", b":", b"*", b"=",
)  # fmt: skip


def mutate(chance: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """One input near a seed: bytes changed, cut, doubled, joined with another, or with a piece that often breaks parsers."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0 if data:
                data[at % len(data)] = chance.randrange(256)
            case 1:
                data[at:at] = chance.choice(_PIECES)
            case 2:
                del data[at : at + chance.choice((1, 2, 8, 64))]
            case 3:
                data += data[: chance.randrange(1, 64)]
            case 4:
                data[at:] = chance.choice(seeds)[chance.randrange(16) :]
            case 5:
                data[at:at] = chance.randbytes(chance.randrange(1, 12))
            case _:
                data[at:at] = str(chance.choice((0, -1, 2**31, 2**63, 10**30, 0.1))).encode()
    return bytes(data[:20_000])


def run_one(target: Target, data: bytes, report: Report) -> None:
    """Give an input to a target and note what came of it."""
    began = time.monotonic()
    report.cases += 1
    try:
        target.call(data)
    except target.refuses:
        report.refused += 1
    except Exception as error:  # noqa: BLE001  # whatever else it raises is what is looked for
        report.failures.append((data, f"{type(error).__name__}: {str(error)[:200]}"))
    took = time.monotonic() - began
    report.slowest = max(report.slowest, took)
    if took > SLOW:
        report.slow.append(data)


def fuzz(target: Target, cases: int, seed: int) -> Report:
    """Give a target so many inputs, the same for the same seed."""
    chance, report = random.Random(f"{target.name}:{seed}"), Report()  # repeatable, not secret
    for data in target.seeds:
        run_one(target, data, report)
    while report.cases < cases and len(report.failures) < 20:
        run_one(target, mutate(chance, target.seeds), report)
    return report
