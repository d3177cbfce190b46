"""Messages of MCP that are malformed, huge, deep or concurrent: each is answered or refused, and the server goes on."""

from __future__ import annotations

import functools
import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from codewords_mcp.runtime.auth.access_table import TABLE
from tests.fuzz.parsers import mutate
from tests.support.access_walk import Walk, open_walk
from tests.support.http_runtime import ADMIN_KEY
from tests.support.stdio_client import Peer, environment

_AT_ONCE = 8
_MAX_WAIT_S = 120.0
_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
_METHODS = [rule.name for rule in TABLE if rule.kind == "method" and rule.name != "subscriptions/listen"] + [
    "notifications/cancelled", "notifications/progress", "none", "", "tools/list\x00", "rpc.discover",
]  # fmt: skip
_TOOLS = [rule.name for rule in TABLE if rule.kind == "tool"]
_SUBJECTS = [
    "run://x",
    "run://x/logs",
    "workflow://x",
    "services://all",
    "skill://none",
    "debug_run",
    "none",
    "",
    "\ud83d\ude00",
    "a" * 4000,
]


@dataclass(slots=True)
class Report:
    """What came of the messages: `failures` are (message, what happened)."""

    cases: int = 0
    failures: list[tuple[bytes, str]] = field(default_factory=list[tuple[bytes, str]])


def message(chance: random.Random) -> bytes:
    """One message: well formed with any values, or bytes near one."""
    made: dict[str, Any] = {
        "jsonrpc": "2.0",
        "id": chance.choice(["x", 2**60, chance.randrange(10**5, 10**6)]),
    }
    made["method"] = method = chance.choice(_METHODS)
    params: Any = {"_meta": dict(_META)}
    if method == "tools/call":
        names = [
            "name",
            "workflow_id",
            "run_id",
            "code",
            "confirm",
            "limit",
            "cursor",
            "wait_seconds",
            "input",
            "schedule_id",
            "query",
        ]
        arguments = {name: _value(chance) for name in chance.sample(names, chance.randrange(4))}
        params |= {
            "name": chance.choice(_TOOLS),
            "arguments": arguments if chance.random() < 0.9 else _value(chance),
        }
    else:
        for name in (
            "uri",
            "name",
            "cursor",
            "taskId",
            "ref",
            "argument",
            "arguments",
            "level",
            "requestId",
            "inputResponses",
        ):
            if chance.random() < 0.3:
                params[name] = chance.choice(_SUBJECTS) if chance.random() < 0.5 else _value(chance)
    made["params"] = params if chance.random() < 0.95 else _value(chance)
    if chance.random() < 0.1:
        made[chance.choice(list(made))] = _value(chance)
    data = json.dumps(made).encode()
    if chance.random() < 0.25:
        return mutate(chance, (data,))
    return data


def _value(chance: random.Random, depth: int = 0) -> Any:
    match chance.randrange(10 if depth < 3 else 7):
        case 0:
            return chance.choice([None, True, False])
        case 1:
            return chance.choice([0, -1, 2**31, 2**63, 10**30, 1e308, -0.0])
        case 2:
            return chance.choice(_SUBJECTS)
        case 3:
            return "\u202e\u0000\x1b[2J" * chance.randrange(5)
        case 4:
            return "x" * chance.choice([0, 1, 300, 70_000])
        case 5:
            return _deep(chance.choice([5, 90, 400]))
        case 6:
            return {}
        case 7:
            return [_value(chance, depth + 1) for _ in range(chance.randrange(4))]
        case _:
            return {
                chance.choice(_SUBJECTS)[:20]: _value(chance, depth + 1) for _ in range(chance.randrange(4))
            }


def _deep(levels: int) -> Any:
    value: Any = 1
    for number in range(levels):
        value = [value] if number % 2 else {"a": value}
    return value


def over_http(walk: Walk, cases: int, seed: int, caller: str = "admin") -> Report:
    """So many messages, several at a time."""
    chance, report = random.Random(seed), Report()  # repeatable, not secret
    waiting = [message(chance) for _ in range(cases)]
    with walk.door.client(walk.keys[caller]) as http, ThreadPoolExecutor(_AT_ONCE) as pool:
        http.timeout = httpx.Timeout(_MAX_WAIT_S)
        for data, fault in zip(waiting, pool.map(functools.partial(_post, http), waiting), strict=True):
            report.cases += 1
            if fault:
                report.failures.append((data, fault))
        if _post(
            http,
            json.dumps(
                {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": _META}}
            ).encode(),
        ):
            report.failures.append((b"", "the server does not answer any more"))
    return report


def _post(http: httpx.Client, data: bytes) -> str:
    """What was wrong with the answer; nothing where it is one."""
    headers = {
        "Accept": "application/json, text/event-stream", "Content-Type": "application/json", "MCP-Protocol-Version": "2026-07-28",
        **_names(data),
    }  # fmt: skip
    try:
        answer = http.post("/mcp", content=data, headers=headers)
    except httpx.TimeoutException:
        return f"no answer within {_MAX_WAIT_S:.0f} s"
    if answer.status_code >= 500:
        return f"{answer.status_code}: {answer.text[:300]}"
    return "internal error: " + answer.text[:300] if "failed on this request" in answer.text else ""


def _names(data: bytes) -> dict[str, str]:
    """The headers that repeat what the message says, as the protocol wants them."""
    try:
        told: Any = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    headers: dict[str, str] = {}
    match told:
        case {"method": str() as method} if method and method.isascii() and method.isprintable():
            headers["Mcp-Method"] = method
        case _:
            pass
    match told:
        case {"params": {"name": str() as named} | {"uri": str() as named} | {"taskId": str() as named}}:
            if named.isascii() and named.isprintable() and 0 < len(named) < 1000:
                headers["Mcp-Name"] = named
        case _:
            pass
    return headers


def over_stdio(walk: Walk, folder: Path, cases: int, seed: int) -> Report:
    """The same by what a chat host starts: lines on its stdin. It answers to the end."""
    chance, report = random.Random(seed), Report()  # repeatable, not secret
    remote = {"CODEWORDS_RUNTIME_URL": walk.door.url, "CODEWORDS_API_KEY": ADMIN_KEY}
    with Peer(environment(folder, **remote)) as peer:
        for number in range(cases):
            data = message(chance).replace(b"\n", b" ")
            report.cases += 1
            peer.write(data + b"\n")
            if number % 50 == 49 or number == cases - 1:
                try:
                    answered = peer.modern("tools/list")
                except AssertionError as error:
                    report.failures.append((data, str(error)[-500:]))
                    break
                if "result" not in answered:
                    report.failures.append((data, json.dumps(answered)[:300]))
        if "Traceback" in str(peer.errors):
            report.failures.append((b"", str(peer.errors)[-1000:]))
    return report


def fuzz_all(folder: Path, cases: int, seed: int, only: str) -> int:
    """Both transports; prints what failed."""
    failed = total = 0
    with open_walk(folder) as walk:
        for name, run in (
            ("http", lambda: over_http(walk, cases, seed)),
            ("published key", lambda: over_http(walk, cases // 4, seed + 1, "published")),
            ("stdio", lambda: over_stdio(walk, folder, cases // 4, seed + 2)),
        ):
            if not name.startswith(only):
                continue
            report = run()
            total += report.cases
            failed += len(report.failures)
            sys.stdout.write(f"{name:16} {report.cases:8} messages, {len(report.failures)} failures\n")
            for data, fault in report.failures[:10]:
                sys.stdout.write(f"    {fault}\n    {data[:400]!r}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{total} messages, {failed} failures\n")
    return 1 if failed else 0
