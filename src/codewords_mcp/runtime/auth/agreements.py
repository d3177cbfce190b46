"""What an owner agrees to before a workflow of another owner runs for them.

A public workflow runs with its author's code and its runner's rights, so that the author's yes at the deploy is not enough.
"""

from __future__ import annotations

import hashlib

from codewords_mcp.runtime.auth.authority import Permissions
from codewords_mcp.runtime.consents import Consents
from codewords_mcp.runtime.manifest import Manifest
from codewords_mcp.runtime.models import Consent
from codewords_mcp.runtime.questions import of_run
from codewords_mcp.runtime.store import agreements as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database


class Agreements:
    """Agreements of runners, in the database, so that they hold on every runtime of it."""

    def __init__(self, database: Database, consents: Consents) -> None:
        self._db = database
        self._consents = consents
        self._known: set[str] = set()
        """Digests of what was agreed to, as far as this process has asked."""

    def holds(self, owner: str, permissions: Permissions) -> bool:
        """Whether a run of this owner may do what the version may: the owner is the author, or has agreed to it."""
        return (
            owner == permissions.author or permissions.is_empty or _digest(owner, permissions) in self._known
        )

    async def require(self, owner: str, permissions: Permissions) -> None:
        """Let a run of this owner begin. What the owner agreed to before is not asked again; what goes beyond it is.

        Raises ConsentNeeded; Forbidden where the owner declined.
        """
        if self.holds(owner, permissions):
            return
        service_id, manifest = permissions.service_id, permissions.manifest
        stored = await self._db.read(lambda c: rows.get(c, owner, service_id))
        before = None if stored is None else Manifest.model_validate(stored)
        digest = _digest(owner, permissions)
        if missing := manifest.widens(before or Manifest()):
            again = before is not None
            question = of_run(owner, service_id, permissions.author, digest, missing, again=again)
            await self._consents.settle(question, Consent())
            values = {
                "owner": owner,
                "workflow_id": service_id,
                "digest": digest,
                "manifest": manifest.model_dump(mode="json"),
                "agreed_at": now(),
            }
            await self._db.write(lambda c: rows.put(c, values))
        self._known.add(digest)


def _digest(owner: str, permissions: Permissions) -> str:
    parts = (owner, permissions.service_id, permissions.digest)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
