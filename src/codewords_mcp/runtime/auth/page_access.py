"""Callers whose keys sign in to the pages, and the paths that a sign-in leads to."""

from __future__ import annotations

import re

from codewords_mcp.errors import Forbidden, InsufficientScope, InvalidInput
from codewords_mcp.errors.remedies import CREATE_KEY
from codewords_mcp.runtime.model.caller import Caller

_TARGET = re.compile(r"/(?![/\\])[A-Za-z0-9/_.~%!$'()*+,;:@=?&-]{0,2000}")
_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9/_.~-]{0,300}")


def require_person(caller: Caller) -> None:
    """Raise Forbidden or InsufficientScope for a caller whose key does not answer for a person."""
    if caller.kind == "run" or caller.by_token:
        raise Forbidden("Only a person's API key signs in to the pages.", remedy=CREATE_KEY)
    # A session would give the whole API to a key that was restricted to some of MCP.
    if caller.toolsets is not None:
        raise Forbidden(
            "A key for some toolsets does not sign in to the pages.", hint="Use a key without --toolsets."
        )
    if caller.member is not None:
        if caller.member.kind == "service":
            raise Forbidden(
                "A service account signs in nowhere.",
                hint="It has keys only; people are members of their own.",
            )
        # What a member may do on a page is the access table's to say, by the role.
        return
    if not caller.can("write"):
        raise InsufficientScope("write", by_token=False)


def checked_path(path: str) -> str:
    """Return a path of this runtime, without a query. Raises InvalidInput for any other address."""
    # No second slash at the start, which a browser would take for another host.
    if not _PATH.fullmatch(path) or ".." in path:
        raise InvalidInput("A sign-in leads to a path of this runtime only, such as /consents/….")
    return path


def checked_target(target: str) -> str:
    """Return a path of a workflow, with or without a query. Raises InvalidInput for any other address."""
    if not _TARGET.fullmatch(target):
        raise InvalidInput("A workflow's page is opened at a path of it, such as /docs.")
    return target
