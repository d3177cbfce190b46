"""Addresses of servers as people type them, and the short names that servers get from them."""

from __future__ import annotations

import re
from collections.abc import Container
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.egress_policy import is_this_machine
from codewords_mcp.runtime.model.host_names import normal_host

MAX_URL = 2_000
MAX_NAME = 40
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CREDENTIAL = re.compile(r"key|token|secret|auth|passw|credential|signature", re.IGNORECASE)
_GENERIC = frozenset({"mcp", "api", "www", "app", "server", "sse", "remote", "gateway", "prod", "eu", "us"})


def server_address(text: str) -> str:
    """The normal form of a server's address. Raises InvalidInput, which never repeats the text."""
    try:
        parts = urlsplit(text.strip())
        host, port = normal_host(parts.hostname or ""), parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if len(text) > MAX_URL or parts.scheme not in {"http", "https"} or not host or port == 0:
        raise InvalidInput(
            "That is no address of an MCP server.",
            hint="Give an http:// or https:// address, whole, as in https://mcp.example.com/mcp.",
        )
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("Addresses with a user name are not accepted.", hint="Give it without.")
    if any(_CREDENTIAL.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise InvalidInput(
            "The address holds a key, which does not belong there.",
            hint="Give the address without it; a person types the token on the page that connecting gives.",
        )

    default = {"http": 80, "https": 443}[parts.scheme]
    place = f"[{host}]" if ":" in host else host
    if port is not None and port != default:
        place += f":{port}"
    return urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))


def is_address(text: str) -> bool:
    """Whether a text is meant as the address of a server, not as an app's name."""
    return text.strip().lower().startswith(("http://", "https://"))


def host_of(url: str) -> tuple[str, int]:
    """Host and port of a server's address."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]


def carries_tokens(url: str) -> bool:
    """Whether a token may be sent to an address: over TLS, or within this machine."""
    return url.startswith("https://") or is_this_machine(host_of(url)[0])


def server_name(text: str) -> str:
    """A name that a person chose. Raises InvalidInput."""
    name = re.sub(r"[\s-]+", "_", text.strip().lower())
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "That is no name for a server.", hint="A name is letters, digits and _, as in linear_work."
        )
    return name


def proposed_name(url: str, existing: Container[str]) -> str:
    """A free name for a server by its host: `linear` for mcp.linear.app."""
    labels = re.sub(r"[^a-z0-9.]+", "_", host_of(url)[0].lower()).split(".")
    # The last label is the top-level domain; of the rest the last one that says something.
    telling = [label for label in labels[:-1] or labels if label not in _GENERIC and not label.isdigit()]
    base = (telling or ["server"])[-1].strip("_") or "server"
    return free_name(base, existing)


def free_name(base: str, existing: Container[str]) -> str:
    """A name for a server that no other has: the base, or one with a number."""
    if not base[0].isalpha():
        base = f"s_{base}"
    # Room for `_` and a number of three digits.
    base = base[: MAX_NAME - 4]
    number = 1
    while (name := base if number == 1 else f"{base}_{number}") in existing:
        number += 1
    return name
