"""Host and Origin checks: a web page must not reach a loopback runtime by a name that it controls.

DNS rebinding makes a page's own name resolve to 127.0.0.1; the browser then sends that name as `Host`. A page of
another site that asks directly shows in `Origin`. The MCP specification requires both checks.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.errors import Forbidden, WrongHost
from codewords_mcp.http.middleware.headers import Headers
from codewords_mcp.http.paths import CHROME_ORIGIN, is_chrome
from codewords_mcp.http.workflow_hosts import WorkflowHosts
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::\d{1,5})?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(.+)")


class Trust:
    """The host names of this runtime, and the web origins that may call it."""

    def __init__(self, runtime: Runtime, settings: Settings) -> None:
        self._runtime = runtime
        self._workflows = WorkflowHosts(settings)
        self._bound = settings.host.lower()
        address = urlsplit(settings.public_url or "")
        self._public = public = address.hostname
        self._secure = address.scheme == "https"
        usual = ":443" if self._secure else ":80"
        self._public_authority = address.netloc.lower().removesuffix(usual)
        self._hosts = frozenset(
            name.lower() for name in (*settings.allowed_hosts, *([public] if public else []))
        )
        self._origins = frozenset(origin.lower().rstrip("/") for origin in settings.allowed_origins)

    def is_ours(self, name: str, authority: str) -> bool:
        """Whether a Host, given as its name and whole, means this runtime."""
        # Settings may name a host with or without its port.
        if is_loopback(name) or name in self._hosts or authority in self._hosts or name == self._bound:
            return True
        if self._bound in {"0.0.0.0", "::"} and _is_address(name):
            # Bound everywhere, so any address of the machine is ours; rebinding needs a name, never an address.
            return True
        return name == urlsplit(self._runtime.base_url).hostname

    def is_foreign_but_trusted(self, origin: str) -> bool:
        """Whether an origin, in lower case, is configured or of this machine; a workflow's own is neither."""
        match = _ORIGIN.fullmatch(origin)
        name = host_name(match[1]) if match else None
        if origin in self._origins:
            return True
        return name is not None and is_loopback(name) and self._workflows.label(name, "") is None

    def workflow_label(self, headers: Headers) -> str | None:
        """The label of the workflow whose own origin a request is for; None where it is for the runtime."""
        authority = _authority(headers)
        name = host_name(authority)
        if name is None:
            return None
        return self._workflows.label(name, authority)

    def workflow_origin(self, scope: Scope) -> str:
        """The origin of the workflow that a request is for, as its browser knows it."""
        authority = _authority(scope["headers"])
        return f"{self._workflows.scheme(host_name(authority) or '', scope['scheme'])}://{authority}"

    def is_console(self, origin: str, scope: Scope) -> bool:
        """Whether an origin is one at which this runtime shows the console, as a request to a workflow's origin tells."""
        match = _ORIGIN.fullmatch(origin)
        name = host_name(match[1]) if match else None
        if match is None or name is None or self._workflows.label(name, match[1]) is not None:
            return False
        if self._public_authority:
            public = f"{'https' if self._secure else 'http'}://{self._public_authority}"
            if origin == public:
                return True
        port = _authority(scope["headers"]).partition(":")[2]
        return is_loopback(name) and match[1].rpartition(":")[2] == port

    def console_url(self, scope: Scope) -> str:
        """The address of the console for a browser that is at a workflow's origin."""
        name = host_name(_authority(scope["headers"])) or ""
        if self._public_authority and not is_loopback(name):
            return f"{'https' if self._secure else 'http'}://{self._public_authority}"
        return self._runtime.base_url

    def is_extension(self, origin: str) -> bool:
        """Whether an origin, in lower case, is our extension, or another that is configured."""
        return origin == CHROME_ORIGIN or (
            origin.startswith("chrome-extension://") and origin in self._origins
        )

    def own_origin(self, scope: Scope) -> str:
        """The origin under which this request reached us: that of CODEWORDS_PUBLIC_URL by its name, else as it was sent."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        authority = host.decode("latin-1").lower()
        if self._public_authority and authority == self._public_authority:
            return f"{'https' if self._secure else 'http'}://{authority}"
        return f"{scope['scheme']}://{authority}"

    def is_private(self, authority: str) -> bool:
        """Whether a request with this Host came from this machine, or over TLS."""
        name = host_name(authority)
        return (name is not None and is_loopback(name)) or (self._secure and name == self._public)


class HostGuard:
    """Refuses a Host that is not ours (421) and an Origin that is not trusted (403)."""

    def __init__(self, app: ASGIApp, trust: Trust) -> None:
        self.app = app
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises WrongHost, Forbidden."""
        if scope["type"] != "lifespan":
            authority = self._check_host(scope["headers"])
            if is_chrome(scope["path"]):
                self._check_extension(scope["headers"], authority)
            else:
                self._check_origin(scope["headers"], authority)
            # No page of the runtime has a service worker: one would outlive whatever brought it.
            if (b"service-worker", b"script") in scope["headers"]:
                raise Forbidden("Nothing on this origin is a service worker.")
        await self.app(scope, receive, send)

    def _check_host(self, headers: Headers) -> str:
        authority = _authority(headers)
        name = host_name(authority)
        if name is None or not self._trust.is_ours(name, authority):
            raise WrongHost(
                "The Host of this request is not a name of this runtime.",
                hint="Ask it by its address, or add the name to CODEWORDS_ALLOWED_HOSTS.",
            )

        return authority

    def _check_extension(self, headers: Headers, authority: str) -> None:
        """Admit only the extension, over a connection that nobody can read on the way."""
        origins = [value.decode("latin-1").lower() for name, value in headers if name == b"origin"]
        # Pages cannot choose this header, so it tells an extension from a page.
        if len(origins) != 1 or not self._trust.is_extension(origins[0]):
            raise Forbidden("Only the CodeWords extension of Chrome connects here.")
        if not self._trust.is_private(authority):
            raise Forbidden(
                "A Chrome connects to this runtime from its own machine, or by https.",
                hint="Put a proxy with TLS before it and set CODEWORDS_PUBLIC_URL.",
            )

    def _check_origin(self, headers: Headers, authority: str) -> None:
        for name, value in headers:
            if name != b"origin":
                continue

            origin = value.decode("latin-1").lower()
            match = _ORIGIN.fullmatch(origin)
            # A request of our own page: its origin is the host that it was sent to, which was
            # checked.
            own = match is not None and match[1] == authority
            if not own and not self._trust.is_foreign_but_trusted(origin):
                raise Forbidden(
                    "Pages of this Origin may not ask this runtime.",
                    hint="Add the origin to CODEWORDS_ALLOWED_ORIGINS if it is yours.",
                )


def _authority(headers: Headers) -> str:
    """The one Host of a request, in lower case; "" for none, or for two, which are an attack on whatever is in front."""
    values = [value for name, value in headers if name == b"host"]
    if len(values) == 1:
        return values[0].decode("latin-1").lower()
    return ""


# Few names are asked, each with every request.
@lru_cache(maxsize=64)
def host_name(authority: str) -> str | None:
    """`name[:port]` → the name without brackets and a last dot; None for what is no authority."""
    match = _AUTHORITY.fullmatch(authority)
    if match:
        # A last dot is the same name for DNS and another text for a comparison.
        return match[1].strip("[]").rstrip(".") or None
    return None


@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Whether a host name means this machine, whatever its DNS says (RFC 6761 for `localhost`)."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
