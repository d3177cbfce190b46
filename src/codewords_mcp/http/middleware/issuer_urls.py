"""URLs at which an authorization server may be asked."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_protected(url: str) -> bool:
    """Whether nobody on the way can read or change the response: https, or http on loopback."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
