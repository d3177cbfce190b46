"""Addresses that callers give: parsed and normalized, so that the judged host is the dialled one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.host_names import normal_host

if TYPE_CHECKING:
    import httpx2

MAX_URL = 8192
PORTS = {"http": 80, "https": 443}
"""Ports of the schemes that may be requested."""


def parse_address(url: str) -> httpx2.URL:
    """Parse an http(s) address. Raises InvalidInput."""
    import httpx2

    try:
        parts = urlsplit(url.strip())
        port = parts.port or PORTS[parts.scheme]
        host = _ascii_host(parts.hostname or "")
        if len(url) > MAX_URL or host is None or parts.port == 0:
            raise ValueError(url)
        # An IPv6 address has brackets in a URL.
        if ":" in host:
            host = f"[{host}]"
        target = httpx2.URL(urlunsplit((parts.scheme, f"{host}:{port}", parts.path or "/", parts.query, "")))
    except (ValueError, KeyError, httpx2.InvalidURL):
        raise InvalidInput(
            "That is not the address of a web page.", hint="Give an http:// or https:// address, whole."
        ) from None

    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            "Addresses with a user name are not accepted.", hint="Give the address without it."
        )
    return target


def normal_host_name(host: str) -> str:
    """Normalize a host. Raises InvalidInput."""
    try:
        name = _ascii_host(host.strip())
    except UnicodeError:
        name = None
    if name is None:
        raise InvalidInput("That is not the name of a host.", hint="Give it without scheme and port.")
    return name


def _ascii_host(host: str) -> str | None:
    """Normalize a host, an international one to its ASCII form. Raises UnicodeError."""
    if not host.isascii():
        import idna

        host = idna.encode(host, uts46=True).decode()
    return normal_host(host)


def origin_of(url: httpx2.URL) -> tuple[str, bytes, int]:
    """Return (scheme, host, port)."""
    return url.scheme, url.raw_host, url.port or PORTS[url.scheme]
