"""Everything that an event source may use, for one trigger."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

from codewords_mcp.errors import Forbidden, MissingCredential
from codewords_mcp.errors.remedies import Remedy, RemedyAction, set_secret
from codewords_mcp.runtime.integrations.native import NativeActions
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.secrets.names import check_name
from codewords_mcp.runtime.secrets.rules import HTTPS
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store.files import FileStore, is_plain_name
from codewords_mcp.runtime.triggers.sources.base import AppCalls, AppEventCalls
from codewords_mcp.runtime.triggers.watched_folders import WatchedFolders
from codewords_mcp.runtime.web.client import Web


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OwnerTools:
    """See `SourceTools`."""

    def __init__(self, parts: SourceParts, owner: str) -> None:
        self._parts = parts
        self.web = parts.web
        self.owner = owner
        self.now: Callable[[], datetime] = _utc_now
        self.app_events: AppEventCalls = parts.app_events

    async def secret(self, name: str, host: str) -> str:
        """See `SourceTools`."""
        check_name(name)
        service = self._parts.secrets
        # The environment belongs to the home, so only its owner uses what it has.
        values = await (
            service.resolve(self.owner, [name])
            if self.owner == HOME_OWNER
            else service.values(self.owner, [name])
        )
        if not values.get(name, "").strip():
            raise MissingCredential(
                f"The secret {name} is not set, so the source was not looked at.",
                credential=name,
                remedy=set_secret(name),
            )

        rule = await service.rule_of(self.owner, name)
        if rule is not None and _host_and_port(host) not in rule.hosts:
            raise Forbidden(
                f"The host rule of {name} does not allow {host}, so no request was made to it.",
                remedy=Remedy(RemedyAction.SET_HOST_RULE, {"name": name, "host": host}),
            )
        return values[name].strip()

    async def native(self, app: str) -> AppCalls:
        """See `SourceTools`."""
        return await self._parts.native.calls(self.owner, app)

    def watched_folder(self, path: str) -> Path:
        """See `SourceTools`."""
        return self._parts.folders.resolve(self.owner, path)

    async def keep_file(self, name: str, content: bytes, content_type: str) -> str:
        """See `SourceTools`."""
        files, file_id = self._parts.files, secrets.token_hex(16)
        # Whoever sends the content chooses its name, as that of an attachment.
        filename = name.strip() if is_plain_name(name.strip()) else "file"

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        await files.add(self.owner, file_id, filename, chunks(), content_type=content_type, maker=None)
        _, path = await files.owned(self.owner, file_id)
        return f"{self._parts.address()}{path}"


class SourceParts:
    """The parts of a home that event sources use. `address` gives the URL by which people reach the runtime."""

    def __init__(
        self,
        web: Web,
        secret_service: SecretService,
        native: NativeActions,
        files: FileStore,
        address: Callable[[], str],
        folders: WatchedFolders,
        app_events: AppEventCalls,
    ) -> None:
        self.web = web
        self.secrets = secret_service
        self.native = native
        self.files = files
        self.address = address
        self.folders = folders
        self.app_events = app_events

    def tools(self, owner: str) -> OwnerTools:
        """Return the tools for the triggers of an owner."""
        return OwnerTools(self, owner)


def _host_and_port(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":")
    if name and port.isdecimal():
        return name.lower(), int(port)
    return host.lower(), HTTPS
