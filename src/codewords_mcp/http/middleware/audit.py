"""Names the operation of each request for the audit trail, and records how it ended."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.errors import CodewordsError
from codewords_mcp.http.middleware.auth import has_key
from codewords_mcp.http.middleware.headers import first
from codewords_mcp.http.state import OPERATION, REQUEST_ID
from codewords_mcp.runtime.audit.subjects import SUBJECT_KINDS
from codewords_mcp.runtime.model.audit import (
    CURRENT,
    REFUSED_CODES,
    AuditedOperation,
    AuditOutcome,
    Subject,
)

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_SIGN_INS: Final = frozenset({"/sign-in", "/sign-in/passkey", "/oidc/callback"})


class AuditedRequests:
    """Gives each request its operation. It stands around the guards, so that it sees their refusals."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self.app = app
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        operation = scope[OPERATION] = AuditedOperation(
            "http",
            address=scope["client"][0] if scope.get("client") else "",
            agent=(first(scope["headers"], b"user-agent") or b"").decode("latin-1"),
            request_id=scope.get(REQUEST_ID, ""),
        )
        token = CURRENT.set(operation)
        error = "interrupted"
        try:
            await self.app(scope, receive, send)
            # Routes raise every error. A status beside that is a workflow's or a provider's own.
            error = ""
        except CodewordsError as failure:
            error = failure.code
            raise
        finally:
            CURRENT.reset(token)
            self._finish(scope, operation, error)

    def _finish(self, scope: Scope, operation: AuditedOperation, error: str) -> None:
        # What a run does is on record with the run; changes that it makes are in the trail.
        if operation.caller is not None and operation.caller.kind == "run":
            return

        outcome: AuditOutcome = "failed" if error else "done"
        if error in REFUSED_CODES:
            # Without a key nobody tried to be somebody.
            if operation.caller is None and not (has_key(scope["headers"]) or scope["path"] in _SIGN_INS):
                return
            outcome = "refused"
        operation.subject = _subject(operation.name, scope["path"])
        self._runtime.audit.record(operation, outcome, error)


def _subject(name: str, path: str) -> Subject:
    """The things that a path names, by the template of its route."""
    places = _named_places(name)
    parts = path.split("/") if places else []
    return tuple((kind, parts[place]) for place, kind in places if place < len(parts))


@lru_cache(maxsize=1024)
def _named_places(name: str) -> tuple[tuple[int, str], ...]:
    """The parts of an operation's path that an entry names, each with its kind."""
    template = name.partition(" ")[2].split("/")
    return tuple(
        (place, kind)
        for place, part in enumerate(template)
        if part.startswith("{") and (kind := part.strip("{}")) in SUBJECT_KINDS
    )
