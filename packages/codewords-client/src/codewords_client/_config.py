"""Resolve the runtime's address and the key for it, and configure the connection to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from codewords_client._errors import MissingKeyError

_ADDRESS_NAMES = ("CODEWORDS_RUNTIME_URI", "RUNTIME_URI", "CODEWORDS_RUNTIME_URL")
# What `codewords-mcp serve` binds by default: a key must never go to a public host that nobody named.
_HERE = "http://127.0.0.1:8765"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Config:
    """An address without a trailing slash, a key, and the seconds an answer may take."""

    base_url: str
    api_key: str
    timeout: float

    @classmethod
    def resolve(cls, base_url: str | None, api_key: str | None, timeout: float) -> Config:
        """Arguments first, then the environment. Raises MissingKeyError, and ValueError for a bad address."""
        key = api_key or os.environ.get("CODEWORDS_API_KEY", "")
        if not key:
            raise MissingKeyError
        found = (os.environ.get(name) for name in _ADDRESS_NAMES)
        url = (base_url or next((value for value in found if value), _HERE)).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is not the address of a runtime; it looks like {_HERE}.")
        return cls(url, key, timeout)

    def options(self) -> dict[str, Any]:
        """Arguments for an httpx client that talks to the runtime and to nobody else."""
        parts = urlsplit(self.base_url)
        return {
            "timeout": self.http_timeout(None),
            "limits": httpx.Limits(max_connections=200, max_keepalive_connections=50),
            # Loading certificates takes milliseconds, which plain HTTP need not pay on each client.
            "verify": parts.scheme == "https",
            # A proxy named in the environment must not see the key of a runtime on this machine.
            "trust_env": parts.hostname not in _LOOPBACK,
        }

    def http_timeout(self, seconds: float | None) -> httpx.Timeout:
        """Limit the time between two bytes of a response to `seconds`, or to the client's `timeout` if None.

        Connecting may take 10 seconds at most.
        """
        read_timeout = self.timeout if seconds is None else seconds
        return httpx.Timeout(read_timeout, connect=min(read_timeout, 10.0))

    def unreachable(self) -> str:
        """Message of the error that is raised when nothing answers at the address."""
        return (
            f"No CodeWords runtime answers at {self.base_url}. "
            "Start one with `codewords-mcp serve`, or set CODEWORDS_RUNTIME_URI to where it is."
        )
