"""Types of this folder's fixtures."""

from __future__ import annotations

from typing import Any, Protocol

from codewords_mcp.runtime.sandboxes.base import Network
from codewords_mcp.runtime.sandboxes.e2b.driver import E2BDriver


class OpenDriver(Protocol):
    async def __call__(self, network: Network | None = None, **settings: Any) -> E2BDriver: ...
