"""URLs at which an authorization server may be asked, and what it is shown there."""

from __future__ import annotations

import base64
import ipaddress
from urllib.parse import quote_plus, urlsplit


def is_protected(url: str) -> bool:
    """Whether nobody on the way can read or change the response: https, or http on loopback."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def client_credentials(client_id: str, secret: str) -> str:
    """Make the header `Authorization` of a client with a secret."""
    # Both are form-encoded first (RFC 6749, 2.3.1).
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
