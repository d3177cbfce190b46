"""Access of sandboxes to the runtime: the run of a sandbox, and its operations without a key."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Protocol

import structlog

from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.store import run_waits, webhooks
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.files import FileStore

log = structlog.get_logger(__name__)


class SandboxListener(Protocol):
    """Answers the HTTP requests of sandboxes."""

    async def serve(
        self, sandbox_id: str, connection: socket.socket, tls: Callable[[], ssl.SSLContext] | None
    ) -> None:
        """Serve an accepted connection until it ends. Owns and closes it, also when cancelled.

        `tls` makes the context for a client that begins with TLS; None: it has to do without.
        """
        ...

    def close_connections(self, sandbox_id: str) -> None:
        """Close every connection of this sandbox. Requests that are being answered are cancelled."""
        ...


class SandboxAccess:
    """Routes connections of sandboxes to the internal listener, and answers its questions about
    them.

    `service_of_run` returns the id of a run's workflow.
    """

    def __init__(
        self,
        keyring: ApiKeys,
        database: Database,
        files: FileStore,
        service_of_run: Callable[[str], str | None],
    ) -> None:
        self._keyring = keyring
        self._db = database
        self._files = files
        self._service_of_run = service_of_run
        self._listener: SandboxListener | None = None
        keyring.on_unbound = self._close_connections

    def listen(self, listener: SandboxListener) -> None:
        """Answer sandboxes with this listener. Without one their connections are closed unanswered."""
        self._listener = listener

    async def serve(
        self, sandbox_id: str, connection: socket.socket, tls: Callable[[], ssl.SSLContext] | None
    ) -> None:
        """Answer a connection of this sandbox until it ends. `tls`: see `SandboxListener`."""
        if self._listener is None:
            log.warning("no listener for sandboxes", sandbox=sandbox_id)
            connection.close()
            return
        await self._listener.serve(sandbox_id, connection, tls)

    def authenticate(self, sandbox_id: str, key: str) -> Caller:
        """The run behind a key. Raises Unauthenticated for every key but that of this sandbox."""
        return self._keyring.authenticate_sandbox(sandbox_id, key)

    def run_of(self, sandbox_id: str) -> Caller | None:
        """The run that the sandbox serves now; None between two runs."""
        return self._keyring.run_of_sandbox(sandbox_id)

    def serves(self, sandbox_id: str, run_id: str | None) -> bool:
        """Whether this run is running in this sandbox."""
        return run_id in self._keyring.run_ids_of_sandbox(sandbox_id)

    async def may_use_file(self, run: Caller, token: str) -> bool:
        """Whether a signed file link leads to a file of the run's owner.

        Raises Unauthenticated for an invalid link.
        """
        # A signed link is valid for everybody who has it. A run must still not use another
        # owner's.
        return await self._files.owner_of(token) == run.owner

    async def may_post_webhook(self, run: Caller, endpoint: str) -> bool:
        """Whether an address is of a run that waits, of the same owner, or starts the workflow of this run and nothing else."""
        wait = await self._db.read(run_waits.get, endpoint)
        if wait is not None and wait.kind == "webhook":
            # The run that waits has given its address away, and nobody can guess it.
            return wait.owner == run.owner
        service_id = self._service_of_run(run.run_id or "")
        hooks = await self._db.read(webhooks.at_endpoint, endpoint)
        # All of them: an address may have several webhooks, and a call starts each.
        return bool(hooks) and all(
            hook["owner"] == run.owner and hook["service_id"] == service_id for hook in hooks
        )

    def _close_connections(self, sandbox_id: str) -> None:
        if self._listener is not None:
            self._listener.close_connections(sandbox_id)
