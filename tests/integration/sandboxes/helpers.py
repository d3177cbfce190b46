"""Types of this folder's fixtures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

Opened = Callable[[Path, bool], AbstractAsyncContextManager[LocalDriver]]
