"""Kinds of requests: those that read, those that write, and those that only prompt a model."""

from __future__ import annotations

import json
from typing import Final, Literal, cast, get_args

from codewords_mcp.runtime.model.provider import Provider
from codewords_mcp.runtime.model.service_operations import OPERATIONS, find_operation
from codewords_mcp.runtime.model.service_table import SERVICES
from codewords_mcp.runtime.recording.exchanges import RecordedRequest, split_url

RequestKind = Literal["read", "write", "prompt"]

_CALLS: Final = frozenset({"run", "run_async"})
_READING_SERVICES: Final = frozenset({"webpage_to_markdown", "searchapi"})
_READING_ACTIONS: Final = {
    "redis_coordinator": ("action", frozenset({"get", "exists", "ttl", "keys"})),
    "schedule_runs": ("operation", frozenset({"list", "get"})),
    "pipedream": (
        "operation",
        frozenset(
            {
                "search",
                "search_apps",
                "actions",
                "list_actions",
                "schema",
                "describe_action",
                "reload_props",
                "options",
                "get_options",
                "list_accounts",
            }
        ),
    ),
}
"""Services that read where a field of their input has one of these values."""


def kind_of(request: RecordedRequest) -> RequestKind:
    """The kind of a request. A call of a library service or a workflow is judged by the operation; an unknown one writes."""
    if request.channel == "gateway":
        return "write" if request.writes else "prompt"
    if request.channel == "call":
        return _kind_of_call(request)
    return "write" if request.writes else "read"


def _kind_of_call(request: RecordedRequest) -> RequestKind:
    first, _, rest = split_url(request.url).path.strip("/").partition("/")
    service, _, path = rest.partition("/")
    if first not in _CALLS:
        return "write" if request.writes else "read"
    if service in get_args(Provider):
        return "prompt"
    if service in _READING_SERVICES:
        return "read"
    if service in _READING_ACTIONS:
        name, reading = _READING_ACTIONS[service]
        return "read" if _field(request, name) in reading else "write"
    if service == "firecrawl" and not path and not _field(request, "actions"):
        return "read"
    if service in OPERATIONS:
        operation = find_operation(service, path)
        return "read" if operation is not None and not operation.change else "write"
    # Another library service or another workflow: it may do anything.
    return "write" if service in SERVICES or request.method not in {"GET", "HEAD"} else "read"


def _field(request: RecordedRequest, name: str) -> str:
    try:
        found = json.loads(request.body or b"")
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    return str(cast("dict[str, object]", found).get(name) or "")
