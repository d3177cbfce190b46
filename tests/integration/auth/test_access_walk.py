"""Every operation by every kind of caller, against a live runtime: the outcome is that of the access table."""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator
from typing import Any

import httpx
import pytest
from tests.support.access_walk import REFUSED, Walk, ask_http, columns, message_of, open_walk, rules

from codewords_mcp.runtime.auth.access import CallerKind, Rule, caller_kinds
from codewords_mcp.runtime.auth.access_table import TABLE, published_rule
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.tools import all_tools

pytestmark = [pytest.mark.slow, pytest.mark.requirement("access:walk")]

HTTP = [rule for rule in rules() if rule.kind in {"http", "websocket", "service"}]
MCP = [rule for rule in rules() if rule.kind not in {"http", "websocket", "service"}]
REASONS = {refused.message for kind in columns() for rule in HTTP if (refused := kind.access.refusal(rule))}
"""Every sentence with which the table refuses over HTTP."""
_NOT_ALONE = {
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "tools/call",
}
"""Methods of before 2026-07-28, and one that says nothing without the tool that it calls."""
_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}
_IDS = itertools.count(1)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Walk]:
    with open_walk(tmp_path_factory.mktemp("walk")) as opened:
        yield opened


def expected(kind: CallerKind, rule: Rule) -> bool:
    """Whether the table lets this caller through; a key of toolsets has a service by the tool only."""
    allowed = kind.access.outcome(rule) != "deny"
    if rule.kind == "service":
        route = TABLE.get("http", "* /run/{service_id}/{path}")
        return allowed and kind.access.outcome(route) != "deny"
    return allowed


@pytest.mark.parametrize("kind", columns(), ids=lambda kind: kind.name)
def test_what_the_table_denies_is_refused_over_http_before_anything_happens(
    walk: Walk, kind: CallerKind
) -> None:
    before = walk.snapshot()
    with walk.door.client(walk.keys[kind.name]) as http:
        passed = [
            (rule.name, answer)
            for rule in HTTP
            if not expected(kind, rule)
            and (answer := ask_http(walk, http, rule, potent=True))[1] not in REASONS
        ]
    assert passed == []
    assert walk.snapshot() == before
    assert not walk.door.stopped.is_set()


@pytest.mark.parametrize(
    "kind", [kind for kind in columns() if kind.access.caller], ids=lambda kind: kind.name
)
def test_what_the_table_denies_is_refused_over_mcp_before_anything_happens(
    walk: Walk, kind: CallerKind
) -> None:
    before = walk.snapshot()
    with walk.door.client(walk.keys[kind.name]) as http:
        denied = [rule for rule in MCP if not expected(kind, rule)]
        passed = [
            (rule.kind, rule.name) for rule in denied if not _refused(_ask(walk, http, rule, potent=True))
        ]
    assert passed == []
    assert walk.snapshot() == before


@pytest.mark.parametrize("narrowing", ["address", "header", "read-only"])
def test_a_narrowed_connection_is_bound_as_a_narrow_key_is(walk: Walk, narrowing: str) -> None:
    address = "/mcp/secrets" if narrowing == "address" else "/mcp"
    headers = {"header": {"X-MCP-Toolsets": "secrets"}, "read-only": {"X-MCP-Readonly": "1"}}.get(
        narrowing, {}
    )
    before = walk.snapshot()
    with walk.door.client() as http:
        for rule in MCP:
            bound = rule.effect == "writes" if narrowing == "read-only" else rule.toolset != "secrets"
            if rule.toolset is not None and bound:
                assert _refused(_ask(walk, http, rule, potent=True, address=address, headers=headers)), rule
    assert walk.snapshot() == before


@pytest.mark.parametrize(
    "kind", [kind for kind in caller_kinds() if kind.access.listener == "sandbox"], ids=lambda kind: kind.name
)
def test_a_sandbox_is_refused_what_the_table_does_not_give_its_run(walk: Walk, kind: CallerKind) -> None:
    run = Caller("local", "run", run_id="run-of-the-walk")
    with (
        walk.door.sandbox(run, walk.ids["service_id"]) as inside,
        inside.client("" if kind.access.caller else None) as http,
    ):
        before = walk.snapshot()
        denied = [rule for rule in HTTP if not expected(kind, rule)]
        answers = {rule.name: ask_http(walk, http, rule, potent=True) for rule in denied}
        assert {
            name: answer for name, answer in answers.items() if not _is_refused_inside(name, answer)
        } == {}
        assert walk.snapshot() == before


def test_a_runs_key_is_refused_outside_of_its_sandbox(walk: Walk) -> None:
    run = Caller("local", "run", run_id="run-outside")
    [kind] = [kind for kind in caller_kinds() if kind.name == "run: outside"]
    with walk.door.sandbox(run, walk.ids["service_id"]) as inside, walk.door.client(inside.key) as http:
        denied = [rule for rule in HTTP if not expected(kind, rule)]
        assert len(denied) > 100
        assert {rule.name for rule in denied if ask_http(walk, http, rule, potent=True)[0] != 401} == set()


@pytest.mark.parametrize(
    "kind", [kind for kind in columns() if kind.access.caller], ids=lambda kind: kind.name
)
def test_lists_of_mcp_have_what_their_caller_may_use_and_nothing_else(walk: Walk, kind: CallerKind) -> None:
    access = kind.access
    with walk.door.client(walk.keys[kind.name]) as http:
        listed = {
            method: _message(http, method, {}).json()["result"]
            for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
        }
    of_kind = {
        name: {rule.name for rule in MCP if rule.kind == name and access.shows(rule)}
        for name in ("tool", "prompt")
    }
    tools = {tool["name"] for tool in listed["tools/list"]["tools"]} - {"a_published_tool"}
    # A client that announced no cards is given no tools of cards.
    assert tools == of_kind["tool"] - {tool.name for tool in all_tools() if tool.for_cards or not tool.listed}
    assert {prompt["name"] for prompt in listed["prompts/list"]["prompts"]} == of_kind["prompt"]
    templates = {one["uriTemplate"] for one in listed["resources/templates/list"]["resourceTemplates"]}
    shown = {rule.name for rule in MCP if rule.kind == "resource" and access.shows(rule)} - {
        "skill://{path}",
        "ui://{card}",
    }
    assert templates == shown
    schemes = {one["uri"].partition("://")[0] for one in listed["resources/list"]["resources"]}
    readable = [rule for rule in MCP if rule.kind == "resource" and access.refusal(rule) is None]
    assert schemes == {rule.name.partition("://")[0] for rule in readable} - {"practices", "ui"}


@pytest.mark.parametrize("kind", columns(), ids=lambda kind: kind.name)
def test_what_the_table_allows_is_let_through_over_http(walk: Walk, kind: CallerKind) -> None:
    with walk.door.client(walk.keys[kind.name]) as http:
        refused = [
            (rule.name, answer)
            for rule in HTTP
            if expected(kind, rule) and (answer := ask_http(walk, http, rule, potent=False))[1] in REASONS
        ]
    assert refused == []
    walk.door.stopped.clear()


@pytest.mark.parametrize(
    "kind", [kind for kind in columns() if kind.access.caller], ids=lambda kind: kind.name
)
def test_what_the_table_allows_is_let_through_over_mcp(walk: Walk, kind: CallerKind) -> None:
    with walk.door.client(walk.keys[kind.name]) as http:
        allowed = [rule for rule in MCP if expected(kind, rule) and rule.name not in _NOT_ALONE]
        refused = [
            (rule.kind, rule.name) for rule in allowed if _refused(_ask(walk, http, rule, potent=False))
        ]
    assert refused == []


def test_a_signed_in_person_reaches_pages_and_nothing_that_needs_a_key(walk: Walk) -> None:
    [kind] = [kind for kind in caller_kinds() if kind.name == "page session"]
    opened = {"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
    with walk.door.client(key=None) as http:
        http.get(walk.door.sign_in_address(), headers=opened)
        assert http.cookies
        http.headers.update({"Origin": walk.door.url, "Sec-Fetch-Site": "same-origin"})
        before = walk.snapshot()
        denied = [rule for rule in HTTP if not expected(kind, rule)]
        answers = {rule.name: ask_http(walk, http, rule, potent=True) for rule in denied}
        assert {name for name, answer in answers.items() if answer[1] not in REASONS} == set()
        assert walk.snapshot() == before
        allowed = [rule for rule in HTTP if rule.level == "page" or rule.by_session]
        assert len(allowed) > 8
        refused = {rule.name for rule in allowed if ask_http(walk, http, rule, potent=False)[0] in {401, 403}}
        # This one is a frame's: whoever asks, it is shown in the console's frame only.
        assert refused == {"GET /console/answers/{run_id}"}


def test_the_console_reaches_by_its_session_what_the_table_gives_it(walk: Walk) -> None:
    [kind] = [kind for kind in caller_kinds() if kind.name == "console"]
    opened = {"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
    own = {"Origin": walk.door.url, "Sec-Fetch-Site": "same-origin", "X-Codewords-Console": "1"}
    # Those that are not of the API ask for no caller, or are pages of their own.
    rules = [rule for rule in HTTP if rule.kind == "http" and rule.level == "user" and not rule.transport]
    with walk.door.client(key=None) as http:
        http.get(walk.door.sign_in_address(), headers=opened)
        http.headers.update(own)
        allowed = [rule for rule in rules if expected(kind, rule) and not rule.by_session]
        assert any(rule.by_person for rule in allowed)
        answers = {rule.name: ask_http(walk, http, rule, potent=False) for rule in allowed}
    assert {name: answer for name, answer in answers.items() if answer[1] in REASONS} == {}
    walk.door.stopped.clear()


def test_a_run_has_of_mcp_what_the_table_gives_it_and_nothing_else(walk: Walk) -> None:
    [kind] = [kind for kind in caller_kinds() if kind.name == "run"]
    run, address = Caller("local", "run", run_id="run-over-mcp"), "/run/devx_mcp/mcp/"
    with walk.door.sandbox(run, walk.ids["service_id"]) as inside, inside.client() as http:
        before = walk.snapshot()
        denied = [rule for rule in MCP if not expected(kind, rule) and rule.kind != "published"]
        assert len(denied) > 30
        published = _ask(
            walk, http, published_rule("x", "sales", read_only=True), potent=True, address=address
        )
        assert published.json()["result"]["content"][0]["text"].startswith("not_found:")
        passed = [
            rule for rule in denied if not _refused(_ask(walk, http, rule, potent=True, address=address))
        ]
        assert [(rule.kind, rule.name) for rule in passed] == []
        assert walk.snapshot() == before
        shown = _message(http, "tools/list", {}, address=address).json()
        assert "result" in shown, shown
        listed = shown["result"]["tools"]
        assert {tool["name"] for tool in listed} == {"run_workflow", "get_run"}
        assert _message(http, "prompts/list", {}, address=address).json()["result"]["prompts"] == []
        told = _message(http, "resources/list", {}, address=address).json()
        assert "result" in told, told
        resources = told["result"]["resources"]
        assert {one["uri"].partition("://")[0] for one in resources} <= {"services", "run"}
        assert walk.ids["run_id"] not in json.dumps(resources)


def test_a_run_reaches_from_its_sandbox_what_the_table_gives_it(walk: Walk) -> None:
    [kind] = [kind for kind in caller_kinds() if kind.name == "run"]
    run = Caller("local", "run", run_id="run-within")
    with walk.door.sandbox(run, walk.ids["service_id"]) as inside, inside.client() as http:
        allowed = [rule for rule in HTTP if expected(kind, rule)]
        answers = {rule.name: ask_http(walk, http, rule, potent=False) for rule in allowed}
    assert {name: answer for name, answer in answers.items() if answer[1] in REASONS} == {}


def _is_refused_inside(name: str, answer: tuple[int, str]) -> bool:
    """What a sandbox may not use is refused; what it may use of its own only is not found."""
    own = {"GET /webhook/{endpoint}", "GET /result/{run_id}", "GET /request/{run_id}", "GET /logs/{run_id}"}
    return answer[0] in {401, 403} or (name in own and answer[0] == 404)


def test_a_task_is_not_read_over_a_connection_that_leaves_its_tool_out(walk: Walk) -> None:
    with walk.door.client() as http:
        slow: dict[str, Any] = {
            "name": "run_workflow",
            "arguments": {"workflow_id": walk.ids["service_id"], "input": {}},
        }
        begun = _message(http, "tools/call", slow).json()["result"]
        task = begun.get("taskId")
        if task is None:  # it was done at once: there is no task to read
            assert begun["structuredContent"]["run_id"]
            return
        mine = _message(http, "tasks/get", {"taskId": task}).json()
        other = _message(http, "tasks/get", {"taskId": task}, address="/mcp/secrets").json()
    assert "result" in mine
    assert other["error"]["data"]["code"] == "forbidden"


def _refused(answer: httpx.Response) -> bool:
    """Whether an answer, of HTTP, of JSON-RPC or of a tool, refuses the caller."""
    if answer.status_code in {401, 403}:
        return message_of(answer.content) in REASONS
    if "json" not in answer.headers.get("content-type", ""):
        return False
    told: Any = answer.json()
    if "error" in told:
        match told["error"]:
            case {"data": {"code": code}}:
                return code in REFUSED
            case _:
                return False
    result = told.get("result", {})
    if not result.get("isError"):
        return False
    return str(result["content"][0]["text"]).partition(":")[0] in REFUSED


_ARGUMENTS: dict[str, dict[str, Any]] = {
    "set_secret": {"name": "A_NEW_ONE"},
    "delete_secret": {"name": "A_SECRET_OF_THE_WALK"},
    "deploy_workflow": {"template_id": "greeting"},
    "validate_workflow": {"code": "x"},
    "edit_workflow": {"code": "x = 1"},
    "generate_workflow": {"description": "add"},
    "add_trigger": {
        "workflow_id": "{workflow_id}",
        "kind": "schedule",
        "options": {"cron": "* * * * *"},
    },
    "change_trigger": {"trigger_id": "{schedule_id}", "action": "pause"},
    "schedule_workflow": {"workflow_id": "{workflow_id}", "cron": "* * * * *"},
    "change_schedule": {"schedule_id": "{schedule_id}", "action": "pause"},
    "run_workflow": {"workflow_id": "{workflow_id}", "input": {}},
    "rollback_workflow": {"workflow_id": "{workflow_id}", "version": 1},
    "delete_workflow": {"workflow_id": "{workflow_id}"},
    "cancel_run": {"run_id": "{run_id}"},
    "a_published_tool": {},
}


def _ask(
    walk: Walk,
    http: httpx.Client,
    rule: Rule,
    *,
    potent: bool,
    address: str = "/mcp",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    ids = walk.ids if potent or rule.kind == "resource" else dict.fromkeys(walk.ids, "unknown")

    def filled(text: str) -> str:
        for name, value in ids.items():
            text = text.replace(f"{{{name}}}", value)
        return text.replace("{name}", "all").replace("skill://{path}", "skill://build-workflow/SKILL.md")

    match rule.kind:
        case "tool" | "published":
            name = "a_published_tool" if rule.kind == "published" else rule.name
            given = {
                key: filled(value) if isinstance(value, str) else value
                for key, value in _ARGUMENTS.get(name, {}).items()
            }
            asked: tuple[str, dict[str, Any]] = (
                "tools/call",
                {"name": name, "arguments": given if potent else {}},
            )
        case "resource":
            asked = (
                "resources/read",
                {"uri": "services://all" if "services" in rule.name else filled(rule.name)},
            )
            if "skill" in rule.name:
                asked = "resources/read", {"uri": "skill://build-workflow/SKILL.md"}
        case "subscription":
            asked = "resources/subscribe", {"uri": filled(rule.name)}
        case "prompt":
            asked = (
                "prompts/get",
                {
                    "name": rule.name,
                    "arguments": _PROMPTS.get(rule.name, {"description": "x", "source": "x"}),
                },
            )
        case "completion":
            prompt, argument = _COMPLETED[rule.name]
            asked = "completion/complete", {"ref": prompt, "argument": {"name": argument, "value": ""}}
        case _:
            asked = rule.name, _METHOD_PARAMS.get(rule.name, {})
    return _message(http, *asked, address=address, headers=headers)


_PROMPTS = {
    "debug_run": {"run_id": "unknown"},
    "add_integration": {"workflow_id": "unknown", "service": "github"},
    "review_workflow": {"workflow_id": "unknown"},
}
_COMPLETED: dict[str, tuple[dict[str, str], str]] = {
    "run": ({"type": "ref/prompt", "name": "debug_run"}, "run_id"),
    "workflow": ({"type": "ref/prompt", "name": "review_workflow"}, "workflow_id"),
    "service": ({"type": "ref/prompt", "name": "add_integration"}, "service"),
    "page": ({"type": "ref/resource", "uri": "services://{name}"}, "name"),
    "topic": ({"type": "ref/resource", "uri": "practices://{topic}"}, "topic"),
}
_METHOD_PARAMS: dict[str, dict[str, Any]] = {
    "resources/read": {"uri": "nothing://here"},
    "prompts/get": {"name": "none"},
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": "none"},
        "argument": {"name": "x", "value": ""},
    },
    "tools/call": {"name": "none", "arguments": {}},
    "tasks/get": {"taskId": "none"},
    "tasks/update": {"taskId": "none", "inputResponses": {}},
    "tasks/cancel": {"taskId": "none"},
    "skills/get": {"uri": "skill://build-workflow/SKILL.md"},
    "subscriptions/listen": {"notifications": {"resourceSubscriptions": ["run://unknown"]}},
}


def _message(
    http: httpx.Client,
    method: str,
    params: dict[str, Any],
    *,
    address: str = "/mcp",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """The answer to one message of 2026-07-28; a stream's is its first event."""
    named = params.get("name") or params.get("uri") or params.get("taskId")
    sent = {
        "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method,
        **({"Mcp-Name": named} if named else {}), **(headers or {}),
    }  # fmt: skip
    body: dict[str, Any] = {
        "jsonrpc": "2.0",
        "id": next(_IDS),
        "method": method,
        "params": params | {"_meta": _META},
    }
    with http.stream("POST", address, json=body, headers=sent) as answer:
        if "event-stream" not in answer.headers.get("content-type", ""):
            answer.read()
            return answer
        for line in answer.iter_lines():
            if line.startswith("data:"):
                told = json.loads(line[5:])
                if method == "subscriptions/listen" or "id" in told:
                    return httpx.Response(answer.status_code, json=told)
    return httpx.Response(answer.status_code, json={})
