"""The rows of the access table: one rule for each operation of HTTP, MCP and the library services.

An operation is registered by its name here; one without a row is refused at registration. A new row says who may use
the operation at the least, and the scopes that it needs:

- `read` looks and costs nothing elsewhere; `audit` looks at the audit trail; `metrics` at
  the numbers for monitoring;
  `run` starts work, spends money or asks something outside, by any method;
  `write` changes what is there; `deploy` is the part of it that brings a project's files live; `admin` administers the home.
- An operation that only a person may use has the level `user`: a run's key is refused.
- `member_scopes` of a page bind the member who is signed in. Sessions of other keys have what pages need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from codewords_mcp.runtime.auth.access import PUBLISHED_EXAMPLE, Effect, Kind, Level, Rule
from codewords_mcp.runtime.model.caller import Scope


def _http(level: Level, scopes: tuple[Scope, ...], *names: str, own_run: bool = False) -> Iterator[Rule]:
    for name in names:
        yield Rule(
            "http", name, level, scopes, "reads" if name.startswith("GET ") else "writes", own_run=own_run
        )


def _mcp(
    kind: Kind,
    level: Level,
    toolset: str,
    scopes: tuple[Scope, ...],
    effect: Effect,
    *names: str,
    own_run: bool = False,
) -> Iterator[Rule]:
    return (Rule(kind, name, level, scopes, effect, toolset, own_run=own_run) for name in names)


HTTP: tuple[Rule, ...] = (
    # The secret of these is in the path, a nonce or a signed token, or in how the body is signed.
    *_http(
        "open", (),
        "GET /healthz", "GET /readyz", "GET /webhook/{endpoint}", "GET /login/{link}", "POST /login/{link}",
        "GET /answer/{token}", "POST /answer/{token}", "GET /join/{token}", "POST /join/{token}",
        "GET /browser/connect", "GET /console/assets/{digest}/{file}", "GET /.well-known/oauth-protected-resource",
        "GET /oauth/client.json", "GET /mcp/server-card", "GET /.well-known/ai-catalog.json",
        "GET /.well-known/oauth-protected-resource/mcp", "GET /.well-known/oauth-protected-resource/mcp/{toolset}",
    ),
    # These sign a browser in; forms are taken from the runtime's own pages only.
    *_http(
        "open", (),
        "POST /sign-in", "POST /sign-in/here", "GET /sign-in/{token}", "POST /sign-in/{token}", "POST /sign-out",
        "GET /oidc/sign-in", "GET /oidc/callback", "GET /sign-in/passkey", "POST /sign-in/passkey",
    ),
    # Where something is agreed, typed or connected, by the owner whose page it is.
    Rule("http", "GET /approvals/{token}", "page", member_scopes=("run",)),
    *(
        replace(rule, member_scopes=("write",))
        for rule in _http(
            "page", (),
            "GET /secrets/enter/{nonce}", "POST /secrets/enter/{nonce}", "GET /consents/{token}", "POST /consents/{token}",
            "GET /connect/callback",
            "GET /connect/{nonce}", "POST /connect/{nonce}",
            "GET /connect/{nonce}/go", "GET /connect/{nonce}/done", "GET /browser/pair/{token}",
        )
    ),
    # A sandbox reaches these too: only the files of its run's owner, and only the webhooks of its own workflow.
    Rule("http", "PUT /file/{token}", "open", effect="writes", sandbox=True),
    Rule("http", "GET /file/{token}", "open", sandbox=True),
    Rule("http", "POST /webhook/{endpoint}", "open", effect="writes", sandbox=True),
    # Calls of workflows, services and models.
    *_http(
        "run", ("run",),
        "* /run/{service_id}/{path}", "* /run_async/{service_id}/{path}", "POST /provision-request", "POST /file",
        "* /openai/{path}", "* /run/openai/v1/{path}", "* /anthropic/{path}", "* /run/anthropic/{path}",
        "* /gemini/{path}", "* /run/gemini/v1/{path}", "* /providers/{name}/{path}",
        "POST /run/openai/", "POST /run/anthropic/", "POST /run/gemini/",
        *(
            f"* /{version}/{word}"
            for version in ("v1", "v2")
            for word in ("scrape", "map", "crawl", "search", "extract", "batch")
        ),
    ),
    *_http(
        "run", ("read",), "GET /result/{run_id}", "GET /request/{run_id}", "GET /logs/{run_id}",
        "GET /runs/{run_id}/trace", own_run=True,
    ),
    *_http("run", ("read",), "GET /services", "GET /services/{name}"),
    *(
        Rule("http", name, "user", ("read",), by_session=True)
        for name in ("GET /", "GET /docs", "GET /openapi.json", "GET /postman.json", "GET /console",
            "GET /console/{page}", "GET /console/answers/{run_id}", "GET /events")
    ),
    # The same answer as on the page of a question, so it needs no more scopes than that.
    Rule("http", "POST /questions/{token}", "user", effect="writes", by_person=True, member_scopes=("run",)),
    # A member's own account, whatever the role. A key that is no member's needs what it always needed.
    *(
        Rule("http", name, "user", ("write",), "writes", member_scopes=())
        for name in (
            "POST /sign-ins", "DELETE /sessions/{session_id}", "PUT /passkeys/{passkey_id}", "DELETE /passkeys/{passkey_id}",
            "POST /me/keys", "DELETE /me/keys/{key_id}",
        )
    ),
    # The challenge is bound to a session of the console.
    *(
        Rule("http", name, "user", ("write",), "writes", by_person=True, member_scopes=())
        for name in ("POST /passkeys/options", "POST /passkeys")
    ),
    Rule("http", "GET /passkeys", "user", ("read",), member_scopes=()),
    Rule("http", "GET /sessions", "user", ("read",), member_scopes=()),
    *(Rule("http", name, "user", ("read",), member_scopes=()) for name in ("GET /me", "GET /me/keys")),
    Rule("http", "POST /workflows/{service_id}/page", "user", ("write",), "writes", member_scopes=("run",)),
    # Reads by a person.
    *_http(
        "user", ("read",),
        "GET /status", "GET /templates", "GET /workflows", "GET /workflows/{service_id}", "GET /workflows/{service_id}/config",
        "GET /workflows/{service_id}/deletion", "GET /drafts",
        "GET /drafts/{draft_id}", "GET /drafts/{draft_id}/diff", "GET /workflows/{service_id}/diff", "GET /runs",
        "GET /runs/{run_id}/diagnosis", "GET /runs/{run_id}/writes", "GET /runs/{run_id}/resume", "GET /runs/{run_id}/approvals",
        "GET /quotas", "GET /usage", "GET /costs", "GET /providers", "GET /schedules", "GET /schedules/{schedule_id}",
        "GET /secrets",
        "GET /webhooks/deliveries", "GET /webhooks/deliveries/{delivery_id}", "GET /browser", "GET /published",
        "GET /waiting", "GET /questions/{token}", "GET /agreements", "GET /alerts", "GET /alerts/settings",
        "GET /recordings", "GET /recordings/{run_id}",
        "GET /replays/{replay_id}",
        "GET /workflows/{service_id}/tests", "GET /triggers", "GET /triggers/kinds", "GET /triggers/{trigger_id}",
        "GET /triggers/{trigger_id}/events",
    ),
    # The trail says who did what from where, which the things themselves do not.
    *_http("user", ("audit",), "GET /audit", "GET /audit/verification"),
    # The numbers are of the whole home.
    *_http("user", ("metrics",), "GET /metrics"),
    # These start a sandbox, or ask a package index or the broker of integrations.
    *_http(
        "user", ("run",),
        "POST /runs/{run_id}/cancel", "POST /runs/{run_id}/apply", "POST /runs/{run_id}/resume",
        "POST /validate", "POST /replays", "POST /drafts/{draft_id}/review",
        "POST /tests", "POST /deploy/review",
        "GET /integrations", "GET /integrations/{app}",
        "POST /integrations/{app}/describe", "POST /integrations/{app}/preview", "GET /connections",
        "POST /triggers/sample", "POST /triggers/{trigger_id}/test",
        "GET /mcp-servers",
    ),
    # Previews of service calls, without effects.
    Rule("http", "POST /services/{name}/preview", "user", ("read",), "reads"),
    # Reads by SQL.
    Rule("http", "POST /runs/query", "user", ("read",), "reads"),
    # Changes by a person.
    *_http(
        "user", ("write",),
        "PUT /workflows/{service_id}/template", "DELETE /workflows/{service_id}/template",
        "POST /workflows/{service_id}/rollback", "DELETE /workflows/{service_id}", "POST /workflows/{service_id}/edits",
        "POST /drafts", "DELETE /drafts/{draft_id}", "POST /drafts/{draft_id}/edits", "PUT /drafts/{draft_id}/name",
        "PUT /secrets/{name}", "DELETE /secrets/{name}", "POST /secrets/{name}/entry",
        "POST /integrations/{app}/connect", "DELETE /connections/{account}",
        "POST /webhooks/{webhook_id}/pause", "POST /webhooks/{webhook_id}/resume", "DELETE /webhooks/{webhook_id}",
        "POST /browser/pair", "DELETE /browser", "POST /workflows/{service_id}/publish", "DELETE /published/{tool}",
        "PUT /agreements/{service_id}", "DELETE /agreements/{service_id}", "POST /recordings",
        "POST /alerts/{alert_id}/acknowledge", "POST /alerts/{alert_id}/dismiss", "PUT /alerts/settings", "POST /alerts/test",
        "PUT /recordings/{run_id}/pin", "DELETE /recordings/{run_id}",
    ),
    # Everything that a push of a project's folder changes.
    *_http(
        "user", ("deploy",),
        "POST /deploy", "PUT /workflows/{service_id}/config", "PATCH /triggers/{trigger_id}", "POST /triggers/{trigger_id}/pause",
        "POST /triggers/{trigger_id}/resume", "DELETE /triggers/{trigger_id}", "POST /schedules/{schedule_id}/pause",
        "POST /schedules/{schedule_id}/resume", "DELETE /schedules/{schedule_id}",
    ),
    *_http("user", ("deploy", "run"), "POST /schedules", "POST /triggers"),
    # Generation costs money; an action in another app may do anything; the rest makes triggers of
    # runs.
    *_http(
        "user", ("write", "run"),
        "POST /generate", "PUT /drafts/{draft_id}/serving",
        "POST /integrations/{app}/call", "POST /webhooks",
        "POST /webhooks/deliveries/{delivery_id}/redeliver",
    ),
    *_http("user", ("write", "run"), "PUT /recordings/{run_id}/test"),
    *_http("user", ("write",), "DELETE /recordings/{run_id}/test"),
    # The address of a webhook is enough to start runs.
    *_http("user", ("read", "run"), "GET /webhooks"),
    *_http(
        "admin", ("admin",),
        "GET /keys", "POST /keys", "DELETE /keys/{key_id}", "POST /stop", "POST /resume", "GET /budgets", "PUT /budgets/{scope}",
        "DELETE /budgets/{scope}",
        "GET /members", "POST /members", "PUT /members/{member_id}", "DELETE /members/{member_id}",
        "POST /members/{member_id}/invitation",
    ),
    *_http("owner", ("admin",), "POST /secrets/rotate-key", "PUT /quotas/{owner}", "DELETE /quotas/{owner}"),
    # The transport of MCP: each message has a rule of its own.
    *(
        Rule("http", name, "user", transport=True)
        for name in (
            "POST /mcp", "GET /mcp", "DELETE /mcp", "POST /mcp/{toolset}", "GET /mcp/{toolset}", "DELETE /mcp/{toolset}",
            "GET /sse", "POST /messages/",
        )
    ),
    *(
        Rule("http", f"{method} /run/devx_mcp/mcp/", "run", transport=True) for method in ("POST", "GET", "DELETE")
    ),
    Rule("websocket", "WS /run/{service_id}/{path}", "run", ("run",), "writes"),
    *(
        Rule("websocket", f"WS /{mount}/{{path}}", "run", ("run",), "writes")
        for mount in ("openai", "gemini", "providers/{name}")
    ),
    Rule("websocket", "WS /drafts/{draft_id}/debugger", "user", ("write", "run"), "writes"),
    # A bridge in the sandbox of a draft that is debugged; elsewhere nothing answers it.
    Rule("websocket", "WS /debugger", "run", ("run",), "writes"),
    Rule("websocket", "WS /browser/connect", "open"),
)  # fmt: skip

_METHODS: tuple[Rule, ...] = (
    *(
        Rule("method", name, "run", transport=True)
        for name in (
            "initialize", "ping", "server/discover", "logging/setLevel", "resources/read", "resources/subscribe",
            "resources/unsubscribe", "prompts/get", "completion/complete", "tools/call", "tasks/get", "tasks/update",
            "tasks/cancel",
        )
    ),
    *(
        Rule("method", name, "run", transport=True, filtered=True)
        for name in (
            "tools/list", "resources/list", "resources/templates/list", "prompts/list", "subscriptions/listen",
        )
    ),
    *_mcp("method", "user", "workflows", ("read",), "reads", "skills/list", "skills/get"),
)  # fmt: skip

# One row a tool, in the order of `tools/list`, which follows a workflow's life.
_TOOLS: tuple[Rule, ...] = (
    *_mcp("tool", "user", "workflows", ("write", "run"), "writes", "generate_workflow"),
    *_mcp("tool", "user", "workflows", ("read",), "reads", "list_templates"),
    *_mcp("tool", "user", "workflows", ("read",), "reads", "read_practice"),
    *_mcp("tool", "user", "workflows", ("write",), "writes", "edit_workflow"),
    *_mcp("tool", "user", "workflows", ("run",), "reads", "validate_workflow"),
    *_mcp("tool", "user", "workflows", ("run",), "reads", "try_draft"),
    *_mcp("tool", "user", "workflows", ("write",), "writes", "deploy_workflow"),
    *_mcp("tool", "run", "runs", ("run",), "writes", "run_workflow"),
    *_mcp("tool", "run", "runs", ("read",), "reads", "get_run", own_run=True),
    *_mcp("tool", "user", "runs", ("run",), "writes", "cancel_run"),
    *_mcp("tool", "user", "runs", ("read",), "reads", "list_runs", "query_runs"),
    *_mcp("tool", "user", "workflows", ("read",), "reads", "list_workflows"),
    *_mcp("tool", "user", "workflows", ("read",), "reads", "get_workflow"),
    *_mcp("tool", "user", "workflows", ("write",), "writes", "rollback_workflow"),
    *_mcp("tool", "user", "workflows", ("write",), "writes", "delete_workflow"),
    *_mcp("tool", "user", "schedules", ("write", "run"), "writes", "add_trigger"),
    *_mcp("tool", "user", "schedules", ("read",), "reads", "list_triggers"),
    *_mcp("tool", "user", "schedules", ("write",), "writes", "change_trigger"),
    # Names of before triggers, which are called and not listed.
    *_mcp("tool", "user", "schedules", ("write", "run"), "writes", "schedule_workflow"),
    *_mcp("tool", "user", "schedules", ("read",), "reads", "list_schedules"),
    *_mcp("tool", "user", "schedules", ("write",), "writes", "change_schedule"),
    *_mcp("tool", "user", "secrets", ("read",), "reads", "list_secrets"),
    *_mcp("tool", "user", "secrets", ("write",), "writes", "set_secret"),
    *_mcp("tool", "user", "secrets", ("write",), "writes", "delete_secret"),
    *_mcp("tool", "user", "integrations", ("run",), "reads", "search_integrations"),
    *_mcp("tool", "user", "integrations", ("run",), "reads", "get_integration"),
    *_mcp("tool", "user", "integrations", ("write",), "writes", "connect_integration"),
    *_mcp("tool", "user", "integrations", ("write", "run"), "writes", "call_integration"),
    # Of hosts that show cards. What a card reads is what the tools of its toolset tell.
    *_mcp("tool", "user", "workflows", ("read",), "reads", "show_form", "show_inbox"),
    *_mcp("tool", "user", "runs", ("read",), "reads", "show_usage", "read_run_card"),
    *_mcp("tool", "user", "workflows", ("read",), "reads", "read_workflow_card"),
)  # fmt: skip

_PAGES: tuple[Rule, ...] = (
    *_mcp("resource", "run", "runs", ("read",), "reads", "run://{run_id}", "run://{run_id}/logs", own_run=True),
    *_mcp("resource", "run", "workflows", ("read",), "reads", "services://{name}"),
    *_mcp(
        "resource", "user", "workflows", ("read",), "reads", "workflow://{workflow_id}", "practices://{topic}", "skill://{path}"
    ),
    # The documents of cards hold no data, and the cards of each toolset are the same.
    Rule("resource", "ui://{card}", "user", ("read",)),
    *_mcp("subscription", "run", "runs", ("read",), "reads", "run://{run_id}", "run://{run_id}/logs", own_run=True),
    *_mcp("prompt", "user", "runs", ("read",), "reads", "debug_run"),
    *_mcp(
        "prompt", "user", "workflows", ("read",), "reads", "build_workflow", "port_script", "add_integration", "review_workflow"
    ),
    *_mcp("completion", "user", "runs", ("read",), "reads", "run"),
    *_mcp("completion", "user", "workflows", ("read",), "reads", "workflow", "service", "page", "topic"),
)  # fmt: skip


def published_rule(tool: str, toolset: str, *, read_only: bool) -> Rule:
    """Return the rule of a published workflow's tool.

    Running it is work, even if it changes nothing.
    """
    return Rule("published", tool, "user", ("run",), "reads" if read_only else "writes", toolset)


PUBLISHED_EXAMPLE_RULES = (
    published_rule("a published tool", PUBLISHED_EXAMPLE, read_only=False),
    published_rule("a published tool that only reads", PUBLISHED_EXAMPLE, read_only=True),
)
"""Stand for the tools that owners publish, which are known at run time only."""


def service_rule(service: str, path: str, effect: Effect) -> Rule:
    """Return the rule of a library service's operation; each call is a run.

    `effect` is the effect that the operation declares.
    """
    # At registration: a third-party service without an effect would pass read-only connections.
    if effect not in {"reads", "writes"}:
        raise LookupError(f"The operation {path!r} of the service {service} declares no effect.")
    return Rule("service", f"{service} /{path}", "run", ("run",), effect)


class AccessTable:
    """Rules by kind and name."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules: dict[tuple[Kind, str], Rule] = {}
        for rule in rules:
            # The later of two rows would win silently, which may be the weaker one.
            if (rule.kind, rule.name) in self._rules:
                raise ValueError(f"The access table has two rows for {rule.kind} {rule.name}.")
            self._rules[rule.kind, rule.name] = rule

    def find(self, kind: Kind, name: str) -> Rule | None:
        """The rule of an operation; None where there is no row."""
        return self._rules.get((kind, name))

    def get(self, kind: Kind, name: str) -> Rule:
        """Return the rule of an operation.

        Raises LookupError, so that an operation without a row can't be registered.
        """
        rule = self.find(kind, name)
        if rule is None:
            raise LookupError(
                f"The access table has no row for {kind} {name!r}: add one to runtime/auth/access_table.py, "
                "with the least that may use it."
            )
        return rule

    def __iter__(self) -> Iterator[Rule]:
        """Every rule, in the order of the table."""
        return iter(self._rules.values())


TABLE = AccessTable((*HTTP, *_METHODS, *_TOOLS, *_PAGES))
"""All operations except those known only at run time: published tools, services of other packages.
"""
