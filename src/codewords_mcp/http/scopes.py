"""What a caller may do over the HTTP API, by its kind and its scopes. Over MCP each tool says its own (door/access.py)."""

from __future__ import annotations

from codewords_mcp.errors import Forbidden, InsufficientScope
from codewords_mcp.http.paths import PROVIDER_PREFIXES, is_mcp
from codewords_mcp.runtime.models import Caller, Scope

_RUNS = frozenset({"run", "run_async", "file", "provision-request"})
_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
_CHECKS = frozenset({"/validate"})


def scope_of(method: str, path: str) -> Scope:
    """Running is whatever starts work, by any method; looking changes nothing; the rest changes what is there."""
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    if first in _RUNS or path.startswith(PROVIDER_PREFIXES) or path.endswith("/cancel"):
        return "run"
    return "read" if method in _LOOKS or path in _CHECKS else "write"


def check(caller: Caller, method: str, path: str) -> None:
    """Raise Forbidden or InsufficientScope where the caller's key does not reach."""
    if (caller.scopes is None and caller.toolsets is None) or is_mcp(path):
        return
    if caller.toolsets is not None:
        raise Forbidden(
            "This key is for some toolsets over MCP, not for the HTTP API.",
            hint="`codewords keys create --scope …` without --toolsets makes one for both.",
        )
    scope = scope_of(method, path)
    if not caller.can(scope):
        raise InsufficientScope(scope, by_token=caller.by_token)


def refuse_run_key(caller: Caller) -> None:
    """Raise Forbidden for the key of a run: a workflow may use the runtime, not administer it."""
    if caller.kind == "run":
        raise Forbidden(
            "The key of a run may call workflows, services and files, nothing that administers.",
            hint="Do this with a user's key, from outside of the workflow.",
        )


def require_admin(caller: Caller) -> None:
    """Raise Forbidden for every key but an admin's."""
    if caller.kind != "admin":
        raise Forbidden(
            "This needs an admin key.",
            hint="The home's own key is one: `codewords keys list` shows which are.",
        )
