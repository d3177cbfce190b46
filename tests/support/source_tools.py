"""What event sources are given, for tests of a source alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from codewords_mcp.errors import BodyTooLarge, Forbidden, NotConnected
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.triggers.sources.base import AppCalls, AppEventCalls
from codewords_mcp.runtime.triggers.watched_folders import WatchedFolders
from codewords_mcp.runtime.web.client import Web


@dataclass
class Tools:
    """See `SourceTools`. `secrets` have a value and the `host:port` that their rule names."""

    web: Web
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    apps: dict[str, AppCalls] = field(default_factory=dict[str, AppCalls])
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict[str, tuple[bytes, str]])
    """Kept files: content and type by link."""
    folders: Sequence[Path] = ()
    """Those that may be watched."""
    home: Path = Path("/nowhere")
    max_file: int = 100 << 20
    owner: str = "local"
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def app_events(self) -> AppEventCalls:
        raise NotConnected("No broker runs events here.")

    async def secret(self, name: str, host: str) -> str:
        if name not in self.secrets:
            raise NotConnected(f"{name} is not set.")
        value, allowed = self.secrets[name]
        if host != allowed:
            raise Forbidden(f"The host rule of {name} does not allow {host}.")
        return value

    async def native(self, app: str) -> AppCalls:
        return self.apps[app]

    def watched_folder(self, path: str) -> Path:
        return WatchedFolders(self.folders, self.home).resolve(self.owner, path)

    async def keep_file(self, name: str, content: bytes, content_type: str) -> str:
        if len(content) > self.max_file:
            raise BodyTooLarge("The file is too large.")
        link = f"http://runtime/file/{len(self.files)}/{name}"
        self.files[link] = (content, content_type)
        return link


@asynccontextmanager
async def source_tools(*ports: int) -> AsyncGenerator[Tools]:
    """Tools that may reach these ports of loopback, beside the public internet."""
    web = Web(EgressPolicy(allow_private=frozenset(f"127.0.0.1:{port}" for port in ports)))
    try:
        yield Tools(web)
    finally:
        await web.close()
