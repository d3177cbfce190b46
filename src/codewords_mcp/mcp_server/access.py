"""Apply the access table to MCP messages by scopes, toolsets, address and headers.

All of these only restrict: no header, address or flag can widen the permissions of a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp.server.context import HandlerResult

from codewords_mcp.mcp_server.context import RequestContext, caller_of
from codewords_mcp.mcp_server.scope_keys import LISTENER_KEY, TOOLSET_KEY
from codewords_mcp.mcp_server.toolsets import parse_toolsets
from codewords_mcp.runtime.auth.access import Access, Kind, Listener, Rule
from codewords_mcp.runtime.auth.access_table import TABLE

READ_ONLY_HEADER = "x-mcp-readonly"
TOOLSETS_HEADER = "x-mcp-toolsets"
_OFF = {"", "0", "false", "no", "off"}


_PROMPT_ARGUMENTS: Final = {
    ("debug_run", "run_id"): "run",
    ("add_integration", "workflow_id"): "workflow",
    ("add_integration", "service"): "service",
    ("review_workflow", "workflow_id"): "workflow",
}
_URI_ARGUMENTS: Final = {
    ("workflow://{workflow_id}", "workflow_id"): "workflow",
    ("run://{run_id}", "run_id"): "run",
    ("run://{run_id}/logs", "run_id"): "run",
    ("services://{name}", "name"): "page",
    ("practices://{topic}", "topic"): "topic",
}


def completion_kind(subject: str, argument: str) -> str | None:
    """Return the kind of name that an argument of a prompt or URI takes; None if it can't be listed."""
    return _PROMPT_ARGUMENTS.get((subject, argument)) or _URI_ARGUMENTS.get((subject, argument))


def resource_rule(uri: str) -> Rule | None:
    """Return the access rule of the resource at a URI; None without such a resource."""
    scheme, _, rest = uri.partition("://")
    if scheme == "run":
        return TABLE.get("resource", "run://{run_id}/logs" if rest.endswith("/logs") else "run://{run_id}")
    template = _SCHEMES.get(scheme)
    if template is None:
        return None
    return TABLE.get("resource", template)


_SCHEMES: Final = {
    "workflow": "workflow://{workflow_id}",
    "services": "services://{name}",
    "practices": "practices://{topic}",
    "skill": "skill://{path}",
    "ui": "ui://{card}",
}


def rules_of(method: str, params: Mapping[str, Any]) -> list[Rule]:
    """Return the access rules of a message, except those of tools (see `ToolList.find`)."""
    rules = [TABLE.find("method", method)]
    uri, name = str(params.get("uri", "")), str(params.get("name", ""))

    match method:
        case "resources/read":
            rules.append(resource_rule(uri))
        case "resources/subscribe":
            rules.append(subscription_rule(uri))
        case "prompts/get":
            rules.append(TABLE.find("prompt", name))
        case "completion/complete":
            rules += _completion_rules(params)
        case _:
            pass

    return [rule for rule in rules if rule is not None]


def subscription_rule(uri: str) -> Rule | None:
    """Return the access rule of a subscription to a URI; None if it has no subscriptions."""
    if not uri.startswith("run://"):
        return None
    return TABLE.get("subscription", "run://{run_id}/logs" if uri.endswith("/logs") else "run://{run_id}")


def _completion_rules(params: Mapping[str, Any]) -> list[Rule | None]:
    match params:
        case {"ref": {"name": subject} | {"uri": subject}, "argument": {"name": argument}}:
            subject, kind = str(subject), completion_kind(str(subject), str(argument))
        case _:
            return []
    of = TABLE.find("prompt", subject) or TABLE.find("resource", subject)
    return [of, TABLE.get("completion", kind) if kind else None]


def check_message(ctx: RequestContext) -> None:
    """Raise Forbidden or InsufficientScope if the caller may not send this message."""
    rules = rules_of(ctx.method, ctx.params or {})
    # Most messages are open to every caller: their access need not be made.
    if any(rule.toolset is not None or rule.level != "run" for rule in rules):
        access = access_of(ctx)
        for rule in rules:
            access.require(rule)


def filter_list(ctx: RequestContext, result: HandlerResult) -> HandlerResult:
    """Remove prompts and templates that the caller may not use. `result` is the SDK's serialized list."""
    if ctx.method not in _LISTS or not isinstance(result, dict):
        return result
    key, kind, name = _LISTS[ctx.method]
    access, listing = access_of(ctx), result
    shown = [item for item in listing[key] if _is_shown(access, TABLE.find(kind, item[name]))]
    return listing | {key: shown}


_LISTS: Final[dict[str, tuple[str, Kind, str]]] = {
    "prompts/list": ("prompts", "prompt", "name"),
    "resources/templates/list": ("resourceTemplates", "resource", "uriTemplate"),
}


def _is_shown(access: Access, rule: Rule | None) -> bool:
    return rule is None or access.shows(rule)


def access_of(ctx: RequestContext) -> Access:
    """Return the request's access: caller, listener and restrictions.

    Raises InvalidInput for a malformed toolset name.
    """
    settings, caller = ctx.lifespan_context.settings, caller_of(ctx)
    sets: list[frozenset[str]] = []
    if settings.toolsets is not None:
        sets.append(frozenset(settings.toolsets))
    read_only = settings.read_only
    listener: Listener = "public"
    request = ctx.request

    if request is not None:
        if named := request.scope.get(TOOLSET_KEY):
            sets.append(frozenset({named}))
        if (listed := request.headers.get(TOOLSETS_HEADER)) is not None:
            # Sets are cut with each other, so that a header only narrows what the address allows.
            sets.append(parse_toolsets(listed))
        read_only = read_only or request.headers.get(READ_ONLY_HEADER, "").strip().lower() not in _OFF
        listener = request.scope.get(LISTENER_KEY, "public")

    return Access(caller, listener, read_only, tuple(sets))
