"""The cookie of a page's session, and the peer that it is bound to."""

from __future__ import annotations

from starlette.types import Scope

from codewords_mcp.http.middleware.protocol import SOCKET_ENDS
from codewords_mcp.http.state import SELF
from codewords_mcp.runtime.auth.peers import Peer

_COOKIE = "codewords_session"


def direct_peer(scope: Scope) -> Peer | None:
    """Find the peer of the connection itself, whatever the headers say; None where the socket is unknown."""
    remote, own = scope.get("state", {}).get(SOCKET_ENDS, (None, None))
    if not remote or not own or own[1] is None:
        return None
    return Peer((remote[0], remote[1]), (own[0], own[1]))


def cookie_name(origin: str) -> str:
    """Name the session's cookie at this origin. The ports of a host share cookies, so the port is in the name."""
    if origin.startswith("https://"):
        # Browsers take a `__Host-` cookie only from this very host over https, so that a
        # neighbouring subdomain can't set it.
        return f"__Host-{_COOKIE}"
    port = origin.rpartition(":")[2]
    return f"{_COOKIE}_{port if port.isdecimal() else 80}"


def session_token(scope: Scope) -> str:
    """The token of the session that a browser sends; "" for none, or for several, of which another site may have set one."""
    name = cookie_name(scope[SELF])
    found: set[str] = set()

    for header, value in scope["headers"]:
        if header == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, token = part.strip().partition("=")
                if key == name:
                    found.add(token)

    if len(found) == 1:
        return found.pop()

    return ""
