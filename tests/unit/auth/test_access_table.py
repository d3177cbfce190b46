"""The access table: its intended values, written down a second time by hand, and that nothing is served without a row."""

from __future__ import annotations

import pytest

from codewords_mcp.errors import InsufficientScope
from codewords_mcp.http.app import operations
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.runtime.auth.access import Access, Kind, Outcome, Rule, caller_kinds
from codewords_mcp.runtime.auth.access_table import (
    PUBLISHED_EXAMPLE_RULES,
    TABLE,
    AccessTable,
    published_rule,
    service_rule,
)
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.services.registry import Registry

KINDS = {kind.name: kind for kind in caller_kinds()}

CELLS: list[tuple[Kind, str, str, Outcome]] = [
    # Without a key there is liveness and what a link opens, and nothing else.
    ("http", "GET /healthz", "anonymous", "allow"),
    ("http", "PUT /file/{token}", "anonymous", "allow"),
    ("http", "GET /workflows", "anonymous", "deny"),
    ("http", "POST /mcp", "anonymous", "deny"),
    ("http", "GET /openapi.json", "anonymous", "deny"),
    ("http", "* /run/{service_id}/{path}", "anonymous", "deny"),
    ("http", "* /openai/{path}", "anonymous", "deny"),
    ("websocket", "WS /run/{service_id}/{path}", "anonymous", "deny"),
    # A sandbox reaches what its run may use, with that run's key, and no page.
    ("http", "GET /healthz", "sandbox", "deny"),
    ("http", "GET /healthz", "run", "deny"),
    ("http", "POST /consents/{token}", "run", "deny"),
    ("http", "POST /secrets/enter/{nonce}", "sandbox", "deny"),
    ("http", "GET /openapi.json", "run", "deny"),
    ("http", "PUT /file/{token}", "run", "allow"),
    ("http", "* /run/{service_id}/{path}", "sandbox", "deny"),
    ("http", "* /run/{service_id}/{path}", "run: outside", "deny"),
    ("http", "POST /mcp", "run: outside", "deny"),
    ("http", "POST /run/devx_mcp/mcp/", "run", "allow"),
    ("http", "POST /run/devx_mcp/mcp/", "run: outside", "deny"),
    ("tool", "run_workflow", "run: outside", "deny"),
    # A question is answered by a person at the console, and read by a key too.
    ("http", "POST /questions/{token}", "console", "allow"),
    ("http", "POST /questions/{token}", "admin", "deny"),
    ("http", "POST /questions/{token}", "user", "deny"),
    ("http", "POST /questions/{token}", "page session", "deny"),
    ("http", "POST /questions/{token}", "run", "deny"),
    ("http", "GET /questions/{token}", "user: read", "allow"),
    ("http", "GET /questions/{token}", "user: run", "deny"),
    ("http", "POST /keys", "console", "deny"),
    # A page's session is no key.
    ("http", "POST /deploy", "page session", "deny"),
    ("http", "GET /secrets", "page session", "deny"),
    # Only an admin administers, and only one whose key was not narrowed.
    ("http", "POST /keys", "user", "deny"),
    ("http", "POST /keys", "admin", "allow"),
    ("http", "POST /stop", "user: read, run, write", "deny"),
    ("http", "POST /secrets/rotate-key", "token", "deny"),
    ("http", "PUT /budgets/{scope}", "user", "deny"),
    # Roles of members: each has what the one before it has, and more.
    ("http", "GET /workflows", "member: viewer", "allow"),
    ("http", "GET /secrets", "member: viewer", "allow"),
    ("http", "* /run/{service_id}/{path}", "member: viewer", "deny"),
    ("tool", "run_workflow", "member: viewer", "deny"),
    ("tool", "get_run", "member: viewer", "allow"),
    ("resource", "workflow://{workflow_id}", "member: viewer", "allow"),
    ("prompt", "debug_run", "member: viewer", "allow"),
    ("published", "a published tool", "member: viewer", "deny"),
    ("http", "GET /sessions", "member: viewer", "allow"),
    ("http", "DELETE /sessions/{session_id}", "member: viewer", "allow"),
    ("http", "POST /sign-ins", "member: viewer", "allow"),
    ("http", "GET /me", "member: viewer", "allow"),
    ("http", "GET /members", "member: viewer", "deny"),
    ("http", "* /run/{service_id}/{path}", "member: runner", "allow"),
    ("tool", "run_workflow", "member: runner", "allow"),
    ("http", "POST /workflows/{service_id}/page", "member: runner", "allow"),
    ("http", "POST /deploy", "member: runner", "deny"),
    ("http", "PUT /secrets/{name}", "member: runner", "deny"),
    ("http", "POST /deploy", "member: author", "allow"),
    ("tool", "deploy_workflow", "member: author", "allow"),
    ("http", "PUT /secrets/{name}", "member: author", "allow"),
    ("http", "POST /schedules", "member: author", "allow"),
    ("http", "GET /audit", "member: author", "deny"),
    ("http", "POST /keys", "member: author", "deny"),
    ("http", "POST /members", "member: author", "deny"),
    ("http", "POST /keys", "member: admin", "allow"),
    ("http", "POST /members", "member: admin", "allow"),
    ("http", "GET /audit", "member: admin", "allow"),
    ("http", "POST /stop", "member: admin", "allow"),
    ("http", "POST /secrets/rotate-key", "member: admin", "deny"),
    ("http", "POST /secrets/rotate-key", "member: owner", "allow"),
    ("http", "POST /secrets/rotate-key", "admin", "allow"),
    ("http", "POST /questions/{token}", "member: owner", "deny"),
    ("http", "POST /members", "user", "deny"),
    ("http", "GET /members", "user: read", "deny"),
    ("http", "POST /sign-ins", "user: read", "deny"),
    # Reading is only reading.
    ("http", "GET /workflows", "user: read", "allow"),
    ("http", "GET /workflows", "user: run", "deny"),
    ("http", "GET /workflows", "user: write", "deny"),
    ("http", "POST /deploy", "user: read", "deny"),
    ("http", "POST /deploy", "user: read, run", "deny"),
    ("http", "POST /deploy", "user: write", "allow"),
    ("http", "PUT /secrets/{name}", "user: read, run", "deny"),
    ("http", "GET /secrets", "user: run, write", "deny"),
    # What costs money or reaches the network needs `run`, by whatever method.
    ("http", "* /v1/scrape", "user: read", "deny"),
    ("http", "* /v2/search", "user: read, write", "deny"),
    ("http", "* /v1/crawl", "user: run", "allow"),
    ("http", "* /run/{service_id}/{path}", "user: read", "deny"),
    ("http", "POST /run/openai/", "user: read", "deny"),
    ("http", "* /gemini/{path}", "user: read, write", "deny"),
    ("http", "GET /integrations", "user: read", "deny"),
    ("http", "GET /integrations/{app}", "user: read", "deny"),
    ("http", "GET /connections", "user: read", "deny"),
    ("http", "POST /validate", "user: read", "deny"),
    ("http", "POST /generate", "user: write", "deny"),
    ("http", "POST /generate", "user: run, write", "allow"),
    ("http", "POST /integrations/{app}/call", "user: run", "deny"),
    ("http", "POST /schedules", "user: write", "deny"),
    ("http", "POST /schedules", "user: run, write", "allow"),
    ("http", "POST /webhooks", "user: read, write", "deny"),
    ("http", "POST /webhooks/deliveries/{delivery_id}/redeliver", "user: write", "deny"),
    ("http", "GET /webhooks", "user: read", "deny"),
    ("tool", "schedule_workflow", "user: write", "deny"),
    # A path's ending says nothing.
    ("http", "DELETE /published/{tool}", "user: run", "deny"),
    ("http", "POST /runs/{run_id}/cancel", "user: run", "allow"),
    ("http", "POST /runs/{run_id}/cancel", "user: read", "deny"),
    # A key of toolsets has MCP alone; a token without scopes has nothing.
    ("http", "GET /runs", "toolset", "deny"),
    ("http", "GET /runs", "published", "deny"),
    ("http", "* /run/{service_id}/{path}", "published", "deny"),
    ("http", "POST /mcp", "published", "allow"),
    ("http", "GET /runs", "token: none", "deny"),
    ("http", "GET /runs", "token", "allow"),
    # A run uses the runtime and administers nothing.
    ("http", "* /run/{service_id}/{path}", "run", "allow"),
    ("http", "POST /file", "run", "allow"),
    ("http", "GET /logs/{run_id}", "run", "allow"),
    ("http", "GET /logs/{run_id}", "run: foreign", "deny"),
    ("http", "GET /result/{run_id}", "run: foreign", "deny"),
    ("http", "GET /runs", "run", "deny"),
    ("http", "POST /deploy", "run", "deny"),
    ("http", "GET /secrets", "run", "deny"),
    ("http", "POST /mcp", "run", "deny"),
    ("tool", "get_run", "run", "allow"),
    ("tool", "get_run", "run: foreign", "deny"),
    ("tool", "list_workflows", "run", "deny"),
    ("tool", "get_workflow", "run", "deny"),
    ("tool", "cancel_run", "run", "deny"),
    ("tool", "validate_workflow", "run", "deny"),
    ("tool", "list_schedules", "run", "deny"),
    ("resource", "workflow://{workflow_id}", "run", "deny"),
    ("resource", "run://{run_id}/logs", "run: foreign", "deny"),
    ("prompt", "review_workflow", "run", "deny"),
    ("completion", "run", "run", "deny"),
    # Scopes and toolsets bind what is not a tool as they bind tools.
    ("resource", "run://{run_id}", "published", "deny"),
    ("resource", "run://{run_id}/logs", "published", "deny"),
    ("resource", "workflow://{workflow_id}", "published", "deny"),
    ("resource", "workflow://{workflow_id}", "toolset", "deny"),
    ("resource", "run://{run_id}", "toolset", "allow"),
    ("resource", "services://{name}", "toolset", "deny"),
    ("resource", "skill://{path}", "published", "deny"),
    ("resource", "practices://{topic}", "published", "deny"),
    ("resource", "run://{run_id}", "token: none", "deny"),
    ("resource", "run://{run_id}", "user: run", "deny"),
    ("prompt", "debug_run", "toolset", "allow"),
    ("prompt", "add_integration", "toolset", "deny"),
    ("prompt", "review_workflow", "user: run", "deny"),
    ("completion", "workflow", "published", "deny"),
    ("completion", "run", "token: none", "deny"),
    ("subscription", "run://{run_id}", "published", "deny"),
    ("subscription", "run://{run_id}/logs", "user: write", "deny"),
    ("method", "skills/list", "published", "deny"),
    ("method", "resources/list", "published", "filtered"),
    ("method", "tools/list", "user", "allow"),
    ("tool", "run_workflow", "published", "deny"),
    ("tool", "delete_secret", "user: read, run", "deny"),
    ("tool", "search_integrations", "user: read", "deny"),
]  # fmt: skip


@pytest.mark.requirement("access:table")
@pytest.mark.parametrize(
    ("kind", "name", "caller", "outcome"), CELLS, ids=[" ".join(cell[:3]) for cell in CELLS]
)
def test_a_cell_of_the_table_is_what_was_decided(
    kind: Kind, name: str, caller: str, outcome: Outcome
) -> None:
    column = KINDS[caller]
    rule = PUBLISHED_EXAMPLE_RULES[0] if kind == "published" else TABLE.get(kind, name)
    assert column.access.outcome(rule, foreign_run=column.foreign_run) == outcome


@pytest.mark.requirement("access:rows")
def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    from codewords_mcp.mcp_server.access import completion_kind
    from codewords_mcp.prompts import MODULES as PROMPTS
    from codewords_mcp.resources import MODULES as RESOURCES
    from codewords_mcp.tools import all_tools

    served = {("http", f"{one.method} {one.path}") for one in operations()}
    served |= {("tool", tool.name) for tool in all_tools()}
    served |= {("prompt", module.PROMPT.__name__) for module in PROMPTS}
    served |= {("resource", module.URI) for module in RESOURCES}
    rows = {(rule.kind, rule.name) for rule in TABLE}
    assert served - rows == set()
    assert {row for row in rows - served if row[0] in {"http", "tool", "prompt"}} == set()
    assert completion_kind("debug_run", "run_id") == "run"


@pytest.mark.requirement("access:rows")
def test_what_has_no_row_can_not_be_registered() -> None:
    with pytest.raises(LookupError, match="no row for http 'GET /new'"):
        HttpOperation("GET", "/new", "New")
    with pytest.raises(LookupError, match="declares no effect"):
        service_rule("mine", "send", "")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="two rows"):
        AccessTable([Rule("http", "GET /twice", "user"), Rule("http", "GET /twice", "open")])


@pytest.mark.requirement("access:rows")
def test_every_operation_of_a_service_is_a_run_whoever_calls_it() -> None:
    for service in Registry({}).all():
        for one in service.operations:
            rule = service_rule(service.name, one.path, one.effect)
            allowed = {name for name, kind in KINDS.items() if kind.access.outcome(rule) == "allow"}
            assert not allowed & {
                "anonymous",
                "page session",
                "user: read",
                "user: read, write",
                "token: none",
            }, rule
            assert allowed >= {"admin", "user", "user: run", "run"}, rule


@pytest.mark.requirement("access:narrowed")
@pytest.mark.parametrize(
    "rule", [one for one in TABLE if one.toolset], ids=lambda one: f"{one.kind} {one.name}"
)
def test_what_narrows_a_connection_binds_everything_of_a_toolset(rule: Rule) -> None:
    admin = Access(Caller("local", "admin"))
    assert admin.refusal(rule) is None
    assert admin._replace(toolsets=(frozenset({"sales"}),)).refusal(rule) is not None
    assert (
        admin._replace(toolsets=(frozenset({str(rule.toolset)}), frozenset({"other"}))).refusal(rule)
        is not None
    )
    assert (admin._replace(read_only=True).refusal(rule) is None) == (rule.effect == "reads")


@pytest.mark.requirement("access:scopes")
def test_every_row_that_takes_a_key_says_which_scopes_it_takes() -> None:
    # A person answers where `by_person` says so, and takes no key for it.
    closed = [
        rule
        for rule in TABLE
        if rule.level not in {"open", "page"} and not rule.transport and not rule.by_person
    ]
    assert [rule.name for rule in closed if not rule.scopes] == []


@pytest.mark.requirement("access:scopes")
def test_all_scopes_that_are_missing_are_named_at_once() -> None:
    token = Access(Caller("ann", "user", scopes=frozenset(), by_token=True))
    refused = token.refusal(TABLE.get("http", "POST /generate"))
    assert isinstance(refused, InsufficientScope)
    assert refused.scope == "write run"


@pytest.mark.requirement("published:narrow")
def test_a_published_tool_belongs_to_its_toolset_and_is_not_for_runs() -> None:
    rule = published_rule("quarterly", "sales", read_only=False)
    outcomes = {name: kind.access.outcome(rule) for name, kind in KINDS.items()}
    assert {name for name, outcome in outcomes.items() if outcome == "allow"} == {
        "admin", "console", "member: admin", "member: author", "member: owner", "member: runner", "user", "published", "token", "user: run", "user: read, run", "user: run, write", "user: read, run, deploy", "user: read, run, write",
    }  # fmt: skip
