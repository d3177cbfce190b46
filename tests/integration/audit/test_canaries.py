"""A text that an operation refused is kept nowhere, and one that it took only where its place is.

A canary, a text of its own, goes into every free-text field of every route, tool and command, by their own descriptions.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.browser_client import sign_in
from tests.support.canaries import KEY, Canaries, Place, sample, texts, with_text
from tests.support.command_server import command_server
from tests.support.otlp_collector import Collector
from tests.support.runtime import ECHO, make_home
from tests.support.served_runtime import ServedRuntime, environment, start_runtime

from codewords_mcp.cli._boundary import command_tree
from codewords_mcp.cli.app import codewords
from codewords_mcp.http.app import operations
from codewords_mcp.http.operations import HttpOperation

pytestmark = [pytest.mark.deep("asks every operation"), pytest.mark.slow, pytest.mark.timeout(900)]

PLACES = {
    "alert_settings.settings": "where a person wants alerts sent",
    "audit_entries.detail": "names of things that a change has made, in columns that are shown",
    "audit_entries.owner": "whom a key is for",
    "audit_entries.target": "the name of a thing that is there",
    "collector /v1/traces": "names that spans have by OpenTelemetry's conventions",
    "deployed_files.json": "the folder of a workflow's code, as the terminal's commands know it",
    "pushed_files.json": "the folder of a workflow's code, as the terminal's commands know it",
    "drafts.code": "the code of a draft",
    "drafts.facts": "what a draft says of itself",
    "drafts.name": "the name of a draft",
    "files.filename": "the name of a file",
    "keys.models": "models that a key may call",
    "keys.owner": "whom a key is for",
    "links.subject": "the name of a secret that waits for its value",
    "members.name": "the name of a member",
    "owner_quotas.owner": "whose quota it is",
    "published.tool": "the name of a published tool",
    "replays.result": "the outcome of a draft that was tried, which repeats its input",
    "recordings.path": "the path of a request that is recorded with its run",
    "run_requests.request": "the request of a run that is carried out later",
    "runs.correlation_id": "the caller's own name for a request",
    "runs.idempotency_key": "the caller's own name for a run, by which it is found again",
    "runs.input": "the request of a run",
    "runs.path": "the path of a run's request",
    "runs.response_content": "what the workflow answered, which repeats its input",
    "runs.response_json": "what the workflow answered, which repeats its input",
    "log_chunks.body": "the log of a run, in which the workflow's server names the path",
    "schedules.input": "what a schedule sends",
    "schedules.name": "the name of a schedule",
    "schedules.path": "the route that a schedule calls",
    "secrets.name": "the name of a secret",
    "secrets.rule": "the hosts that may get a secret",
    "versions.code": "the code of a version",
    "webhooks.filters": "what a webhook takes",
    "webhooks.name": "the name of a webhook",
    "webhooks.path": "the route that a webhook calls",
    "workflows.config": "plain configuration values",
    "workflows.description": "the description of a workflow",
    "workflows.name": "the name of a workflow",
    "codewords.db": "the database",
    "codewords.db-wal": "the database's log",
}
"""Places of texts that were taken, and why they are there."""
OF_A_RUN = {"runs.input", "run_requests.request", "log_chunks.body", "codewords.db", "codewords.db-wal"}
"""Places of a request that began a run, also where the run failed: that is on record as any run is."""
_BEGINS_RUNS = re.compile(
    r"(\*|POST) /(run|run_async|v1|v2)/|tool run_workflow|command (run|services|files|database) "
)
_NAMED_IN_SPANS = re.compile(
    r"a (prompt|tool)'s name|a resource's address|(\*|POST) /(run/)?(openai|anthropic|gemini)/"
)
"""Texts that a span has, as OpenTelemetry's conventions want it: the operator chose where spans go."""
_ROUTES_LEFT_OUT = {"POST /stop": "ends the runtime", "POST /secrets/rotate-key": "has no text"}
_COMMANDS_LEFT_OUT = {
    "dev": "serves until Ctrl-C", "load": "measures for seconds", "stop": "ends the runtime", "open": "opens a browser",
    "backup": "writes a file elsewhere", "restore": "writes a home", "e2b": "asks another company", "new": "writes a folder",
    "schema": "writes a file", "endpoint": "starts a runtime",
}  # fmt: skip
_COMMAND_SECONDS = 8.0
_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "a chat host", "version": "1"},
}


class Kept:
    """What was put into every field, and everything that the runtime left behind."""

    def __init__(self, home: Path) -> None:
        self.canaries = Canaries()
        self.home = home
        self.collector = Collector()
        self.answers: list[tuple[int, str]] = []
        """(canary, answer) of refused calls of tools."""

    def places(self, *, accepted: bool) -> dict[str, set[str]]:
        """Fields by the place in which their canary was found."""
        found = [*self.canaries.in_database(self.home / "codewords.db"), *self.canaries.in_files(self.home)]
        for path, body in self.collector.bodies:
            found += [(f"collector {path}", number) for number in self.canaries.found(body)]
        places: dict[str, set[str]] = {}
        for place, number in found:
            if (number in self.canaries.accepted) is accepted:
                places.setdefault(place, set()).add(self.canaries.fields[number])
        return places


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("canaries")
    kept = Kept(make_home(folder / "home"))
    thread = threading.Thread(target=kept.collector.server.serve_forever, daemon=True)
    thread.start()
    with start_runtime(kept.home, OTEL_EXPORTER_OTLP_ENDPOINT=kept.collector.url) as runtime:
        known = _fill(runtime)
        key = {"Authorization": f"Bearer {runtime.key}"}
        with (
            httpx.Client(base_url=runtime.url, headers=key, timeout=60, trust_env=False) as http,
            sign_in(runtime.url, runtime.key, base_url=runtime.url) as browser,
        ):
            browser.headers.update({"Origin": runtime.url, "Sec-Fetch-Site": "same-origin"})
            # Things are deleted last, so that the other routes find them.
            for operation in sorted(operations(), key=lambda one: one.method == "DELETE"):
                if operation.rule.name in _ROUTES_LEFT_OUT or operation.rule.transport:
                    continue
                for client in (browser, http) if operation.rule.level == "page" else (http,):
                    _Route(client, operation, known, kept.canaries).ask_all()
            _ask_tools(http, _fill(runtime), kept)
            _ask_commands(runtime, _fill(runtime), kept.canaries, folder)
            metrics = http.get("/metrics").content
            assert not kept.canaries.found(metrics), "labels of metrics"
    kept.collector.server.shutdown()
    thread.join()
    kept.collector.server.server_close()
    return kept


def _fill(runtime: ServedRuntime) -> dict[str, Any]:
    """Make one of everything; names and ids by the fields that take them."""
    number = len(runtime.call("GET", "/workflows")["items"])
    service_id = runtime.deploy(ECHO, f"Echo {number}")
    runtime.call("PUT", "/secrets/STORED", {"value": "a value"})
    runtime.call("POST", f"/run/{service_id}/", {"a": 1})
    tool = f"published_tool_{number}"
    runtime.call("POST", f"/workflows/{service_id}/publish", {"tool": tool, "toolset": "published"})
    draft = runtime.call("POST", "/drafts", {"code": ECHO, "name": "A draft"})
    member = runtime.call("POST", "/members", {"name": f"somebody-{number}", "role": "viewer"})["member"]
    draft_id = draft["draft"]["draft_id"]
    return {
        "service_id": service_id, "workflow_id": service_id, "service": service_id, "workflow": service_id,
        "run_id": runtime.call("GET", "/runs")["items"][0]["id"], "draft_id": draft_id, "draft": draft_id,
        "schedule_id": runtime.call("POST", "/schedules", {"service_id": service_id, "cron": "0 9 1 1 *"})["id"],
        "webhook_id": runtime.call("POST", "/webhooks", {"service_id": service_id})["id"], "name": "STORED",
        "member_id": member["id"], "tool": tool, "toolset": "published", "cron": "0 9 1 1 *", "scope": "total", "app": "slack",
        "value": "x", "path": "", "allow": True, "role": "viewer", "method": "POST", "code": ECHO,
    }  # fmt: skip


class _Route:
    """A route, and a request for it that would be taken."""

    def __init__(
        self, http: httpx.Client, operation: HttpOperation, known: Mapping[str, Any], canaries: Canaries
    ) -> None:
        self._http = http
        self._operation = operation
        self._known = known
        self._canaries = canaries
        body = operation.body
        if isinstance(body, type):
            body = body.model_json_schema()
        self._schema = body
        self._body = None if self._schema is None else sample(self._schema, known)

    def ask_all(self) -> None:
        """Ask once for each field with each of its canaries."""
        for name in re.findall(r"\{(\w+)\}", self._operation.path):
            self._ask(f"{{{name}}}", of_path=name)
        for parameter in self._operation.parameters:
            if parameter.schema.get("type") == "string" and "enum" not in parameter.schema:
                self._ask(
                    f"{parameter.where} {parameter.name}",
                    of_query=parameter.name if parameter.where == "query" else "",
                    of_header=parameter.name if parameter.where == "header" else "",
                    of_path=parameter.name if parameter.where == "path" else "",
                )
        self._ask("query, an unknown one", of_query="unknown")
        if self._schema is not None:
            for place in (*texts(self._schema), (KEY,)):
                self._ask(f"body {place}", place=place)

    def _ask(
        self,
        field: str,
        *,
        of_path: str = "",
        of_query: str = "",
        of_header: str = "",
        place: Place | None = None,
    ) -> None:
        operation = self._operation
        method = "POST" if operation.method == "*" else operation.method
        for number, text in self._canaries.both(f"{operation.method} {operation.path} {field}"):
            known = {**self._known, of_path: text}
            path = re.sub(r"\{(\w+)\}", lambda found: str(known.get(found[1], "x")), operation.path)  # noqa: B023
            body = self._body if place is None else with_text(self._body, place, text)
            content: dict[str, Any] = {}
            if body is not None:
                is_form = operation.body_media == "application/x-www-form-urlencoded"
                content["data" if is_form else "json"] = body
            query = {of_query: text} if of_query else {}
            headers = {of_header: text} if of_header else {}
            with (
                suppress(httpx.ReadTimeout),
                self._http.stream(
                    method,
                    httpx.URL(self._http.base_url, path=path, params=query),
                    headers=headers,
                    **content,
                ) as answer,
            ):
                if answer.status_code < 400:
                    self._canaries.accepted.add(number)
                # The end of an operation is recorded behind its answer; streams have none.
                if "event-stream" not in answer.headers.get("content-type", ""):
                    answer.read()


def _message(http: httpx.Client, method: str, params: dict[str, Any]) -> tuple[bool, str]:
    """(whether it was taken, the answer)."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": _META}}
    headers = {
        "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method,
    }  # fmt: skip
    if name := params.get("name") or params.get("uri"):
        headers["Mcp-Name"] = name
    answer = http.post("/mcp", json=message, headers=headers)
    is_error = '"isError":true' in answer.text or '"error":{' in answer.text
    return answer.status_code < 400 and not is_error, answer.text


def _ask_tools(http: httpx.Client, known: Mapping[str, Any], kept: Kept) -> None:
    text = _message(http, "tools/list", {})[1]
    found = json.loads(text if text.startswith("{") else text.partition("data:")[2])
    tools = found["result"]["tools"]
    assert len(tools) > 20
    calls: list[tuple[str, str, dict[str, Any], Place]] = [
        (f"tool {tool['name']} {place}", "tools/call", {"name": tool["name"], "arguments": arguments}, place)
        for tool in tools
        for arguments in [sample(tool["inputSchema"], known)]
        for place in [*texts(tool["inputSchema"]), (KEY,)]
    ]
    calls += [
        ("a tool's name", "tools/call", {"arguments": {}}, ("name",)),
        ("a prompt's name", "prompts/get", {"arguments": {}}, ("name",)),
        ("a resource's address", "resources/read", {}, ("uri",)),
    ]
    for field, method, params, place in calls:
        for number, text in kept.canaries.both(field):
            way = ("arguments", *place) if "arguments" in params and field.startswith("tool ") else place
            taken, answer = _message(http, method, with_text(params, way, text))
            if taken:
                kept.canaries.accepted.add(number)
            else:
                kept.answers.append((number, answer))


def _ask_commands(runtime: ServedRuntime, known: Mapping[str, Any], canaries: Canaries, folder: Path) -> None:
    variables = environment(runtime.home) | runtime.environment() | {"HOME": str(folder)}
    calls: list[tuple[int, list[str]]] = []
    for words, command in _leaves(command_tree(codewords), []):
        if words[0] in _COMMANDS_LEFT_OUT:
            continue
        plain = {one.name: str(known.get(one.name or "", "x")) for one in command.params if one.required}
        for parameter in command.params:
            if getattr(parameter, "is_flag", False):
                continue
            number, text = canaries.one(f"command {' '.join(words)} {parameter.name}")
            values = plain | {parameter.name: text}
            argv = ["codewords", *words]
            for one in command.params:
                if one.name in values:
                    argv += [one.opts[0]] if one.param_type_name == "option" else []
                    argv.append(values[one.name])
            calls.append((number, argv))

    def ask(call: tuple[int, list[str]]) -> None:
        if _exit_code(call[1], variables, folder) == 0:
            canaries.accepted.add(call[0])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, calls))


def _exit_code(argv: list[str], variables: Mapping[str, str], folder: Path) -> int | None:
    """Run a command without a person; None for one that goes on until it is ended."""
    with open(os.devnull, "r+b") as nothing:
        command = command_server().start(
            argv, variables, (nothing.fileno(), nothing.fileno(), nothing.fileno()), str(folder)
        )
        try:
            return command.wait(_COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait(60)
            return None


def _leaves(command: Any, words: list[str]) -> Generator[tuple[list[str], Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _leaves(inner, [*words, name])
    else:
        yield words, command


@pytest.mark.requirement("audit:no-words")
def test_a_text_that_was_refused_is_in_no_table_file_log_trace_or_metric(kept: Kept) -> None:
    unexpected = {
        f"{place}: {field}"
        for place, fields in kept.places(accepted=False).items()
        for field in fields
        if not (place in OF_A_RUN and _BEGINS_RUNS.match(field))
        and not (place == "collector /v1/traces" and _NAMED_IN_SPANS.match(field))
    }
    assert unexpected == set()


@pytest.mark.requirement("audit:no-words")
def test_a_text_that_was_taken_is_only_where_its_place_is(kept: Kept) -> None:
    found = kept.places(accepted=True)
    assert {place: sorted(fields)[:5] for place, fields in found.items() if place not in PLACES} == {}
    assert len(found) > 15, "the search finds what is there"


@pytest.mark.requirement("audit:no-words")
def test_no_answer_of_a_refused_tool_repeats_the_text(kept: Kept) -> None:
    # A name may be repeated, so that a misspelled one is found; the assignment of a value may not.
    repeated = {
        kept.canaries.fields[number]
        for number, answer in kept.answers
        if number in kept.canaries.found(answer.encode())
        and number % 2 == 0
        # The protocol has the address in the error's data.
        and kept.canaries.fields[number] != "a resource's address"
    }
    assert len(kept.answers) > 100
    assert repeated == set()


@pytest.mark.requirement("audit:no-words")
def test_every_route_tool_and_command_was_asked_and_many_took_a_text(kept: Kept) -> None:
    print(len(kept.canaries.fields), "canaries,", len(kept.canaries.accepted), "taken")
    fields = set(kept.canaries.fields.values())
    routes = {field.split(" ")[1] for field in fields if field.split(" ")[0].isupper() or field[0] == "*"}
    assert len(routes) > 130
    assert len({field.split(" ")[1] for field in fields if field.startswith("tool ")}) > 20
    assert len({field for field in fields if field.startswith("command ")}) > 100
    assert len(kept.canaries.accepted) > 200
