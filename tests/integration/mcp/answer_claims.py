"""Sentences of tools' answers that can be tried: addresses, shell lines, commands, calls of tools, names of tools.

Each is carried out against the runtime that answered. `Claims.false` has those that do not hold.
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from jsonschema import Draft202012Validator
from mcp import Client
from tests.support.command_server import command_server
from tests.support.served_runtime import environment

FENCE = re.compile(r"<([0-9a-f]{8})> .*?</\1>", re.DOTALL)
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+[^\s`\"')>,“”]*")
COMMAND = re.compile(r"`(codewords [^`]+)`")
TOOL_WORD = re.compile(
    r"\b(?:add|call|cancel|change|connect|delete|deploy|edit|generate|get|list|query|read|rollback|run|schedule|search|set|show|"
    r"try|validate)_[a-z_]+\b"
)
READS = frozenset(
    {"get_run", "get_workflow", "list_runs", "list_workflows", "list_templates", "list_schedules"}
)
REFUSED = frozenset({401, 403, 405, 415})
"""Statuses that say that a call is none of the workflow's."""
SECONDS = 20


@dataclass
class Claims:
    """Tries what answers say. `url`, `key` and `home` are of the runtime that answered."""

    client: Client
    url: str
    key: str
    home: Path
    schemas: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    tried: Counter[str] = field(default_factory=Counter[str])
    text: str = ""
    false: list[str] = field(default_factory=list[str])

    async def load_tools(self) -> None:
        for tool in (await self.client.list_tools()).tools:
            self.schemas[tool.name] = tool.input_schema

    def expect(self, kind: str, claim: str, *, holds: bool, why: object = "") -> None:
        self.tried[kind] += 1
        if not holds:
            self.false.append(f"{kind}: {claim}: {why}")

    async def check(self, text: str, routes: list[dict[str, Any]]) -> None:
        """Try what a text says outside of its fences. `routes` are those of the workflow that it is about."""
        self.text = text
        own = FENCE.sub("", text)
        for address in ADDRESS.findall(own):
            self.check_address(address.rstrip("."))
        for command in COMMAND.findall(own):
            self.check_command(command)
        for word in sorted(set(TOOL_WORD.findall(own))):
            if word in self.schemas or own.count(f"{word}(") or word.endswith("_workflow"):
                self.expect("tool named", word, holds=word in self.schemas)
        for call in _calls(own, self.schemas):
            await self.check_call(call, routes)

    def check_address(self, address: str) -> None:
        """An address leads somewhere, for whoever it is shown to."""
        with httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, trust_env=False) as http:
            path = urlsplit(address).path
            if path.startswith("/run/"):
                # Asking it would run the workflow; its routes are tried by the shell line.
                reply = http.get(f"{self.url}/workflows/{path.split('/')[2]}")
            elif path.startswith("/console/workflows/"):
                self.expect("link", address, holds=http.get(address).status_code == 200)
                reply = http.get(f"{self.url}/workflows/{path.rpartition('/')[2]}")
            elif path.startswith("/webhook/"):
                self.expect("webhook", address, holds=http.post(address, json={}).is_success)
                return
            elif path.startswith("/consents/"):
                # A page for a person who signs in there: without that it is a way to sign in, and the question waits.
                waiting = [one["path"] for one in http.get(f"{self.url}/waiting").json()["items"]]
                self.expect("question", address, holds=path in waiting, why=waiting)
                shown = http.get(address, headers={"Authorization": "", "Accept": "text/html"})
                self.expect(
                    "link",
                    address,
                    holds=shown.status_code == 401 and "codewords open" in shown.text,
                    why=shown.text,
                )
                return
            else:
                reply = http.get(address, headers={"Authorization": ""}, follow_redirects=True)
        self.expect("link", address, holds=reply.status_code == 200, why=(reply.status_code, self.text))

    def check_command(self, command: str) -> None:
        """A command exists with these options; one that opens a page gives an address that leads to it."""
        words = shlex.split(command)
        env = environment(self.home) | {"CODEWORDS_API_KEY": self.key, "CODEWORDS_RUNTIME_URI": self.url}
        opens = words[1] == "open" and len(words) == 3
        sent = [*words, "--print", "--json"] if opens else [*words[: _verbs(words)], "--help"]
        code, out, err = command_server().run(sent, env, "", 60)
        self.expect("command", command, holds=code == 0, why=out + err)
        if opens and code == 0:
            address = out.split('"url": "')[1].split('"')[0]
            self.check_page(address, command)

    def check_page(self, address: str, command: str) -> None:
        """A browser that opens this address sees a page of the workflow."""
        parts = urlsplit(address)
        host, ours = parts.netloc, f"http://127.0.0.1:{parts.port}"
        browser = {
            "Host": host,
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Site": "none",
            "Sec-Fetch-Mode": "navigate",
        }
        with httpx.Client(trust_env=False, timeout=SECONDS) as http:
            opened = http.get(f"{ours}{parts.path}", headers=browser)
            cookie = opened.headers.get("set-cookie", "").split(";")[0]
            target = opened.headers.get("refresh", "").partition("url=")[2]
            same = browser | {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
            shown = http.get(f"{ours}{target}", headers=same)
        kind = shown.headers.get("content-type", "")
        self.expect(
            "page",
            command,
            holds=shown.status_code == 200 and "text/html" in kind,
            why=(shown.status_code, kind),
        )

    def check_shell(self, line: str, folder: Path) -> None:
        """A shell line reaches a route of the workflow with an input that it takes."""
        for name in re.findall(r"=@([\w.-]+)", line):
            (folder / name).write_text("name,score\nAda,7\n", encoding="utf-8")
        shell = f"{line} -s -w '\\n%{{http_code}}' --max-time {SECONDS}"
        done = subprocess.run(
            ["sh", "-c", shell],
            cwd=folder, env={"PATH": "/usr/bin:/bin", "CODEWORDS_API_KEY": self.key}, capture_output=True, encoding="utf-8",
            check=False,
        )  # fmt: skip
        body, _, status = done.stdout.rpartition("\n")
        # A workflow may refuse an example in its own words; these are FastAPI's for a call that is none of its own.
        foreign = '"detail":"Not Found"' in body or '"detail":[{' in body
        holds = int(status or 0) not in REFUSED and not foreign
        self.expect("shell line", line, holds=holds, why=(status, body[:300]))

    async def check_call(self, call: ast.Call, routes: list[dict[str, Any]]) -> None:
        """A call has a tool's own arguments, with values that it takes; one that only reads succeeds."""
        assert isinstance(call.func, ast.Name)
        name, shown = call.func.id, ast.unparse(call)
        schema = self.schemas[name]
        arguments = {one.arg: one.value for one in call.keywords if one.arg}
        unknown = arguments.keys() - schema["properties"].keys()
        values = {key: ast.literal_eval(value) for key, value in arguments.items() if not _open(value)}
        faults = [
            error.message
            for key, value in values.items()
            if key not in unknown
            for error in cast("Any", Draft202012Validator(schema["properties"][key])).iter_errors(value)
        ]
        self.expect("call", shown, holds=not unknown and not faults, why=(unknown, faults))
        if name in READS and len(values) == len(arguments):
            answer = await self.client.call_tool(
                name, values | ({"wait_seconds": 0} if "wait_seconds" in values else {})
            )
            self.expect("call made", shown, holds=not answer.is_error, why=answer.content)
        if name == "run_workflow" and routes and not _open(arguments.get("path")):
            wanted = (values.get("method", "POST"), values.get("path", "/"))
            there = {(route["method"], route["path"]) for route in routes}
            self.expect("route of a call", shown, holds=wanted in there, why=there)


def _verbs(words: list[str]) -> int:
    """How many words name a command: up to the first argument."""
    count = 1
    while count < len(words) and re.fullmatch(r"[a-z][a-z-]+", words[count]) and count < 3:
        count += 1
    return count


def _calls(text: str, tools: dict[str, Any]) -> list[ast.Call]:
    found: list[ast.Call] = []
    for match in re.finditer(r"\b([a-z_]+)\(", text):
        if match[1] not in tools:
            continue
        depth, end = 0, match.end() - 1
        for end in range(match.end() - 1, len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if depth == 0:
                break
        source = (
            text[match.start() : end + 1]
            .replace("…", "...")
            .replace("true", "True")
            .replace("false", "False")
        )
        parsed = ast.parse(source, mode="eval").body
        assert isinstance(parsed, ast.Call)
        found.append(parsed)
    return found


def _open(value: ast.expr | None) -> bool:
    """Whether a value has a gap that the reader fills in."""
    return value is not None and any(
        isinstance(one, ast.Constant) and one.value is ... for one in ast.walk(value)
    )
