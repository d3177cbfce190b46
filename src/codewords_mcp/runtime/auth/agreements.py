"""Agreements of owners to run workflows of other owners.

A public workflow runs with its author's code and its runner's rights, so the author's consent at
the deploy is not enough. An agreement holds until the owner withdraws it; then the next run asks
again.
"""

from __future__ import annotations

from sqlalchemy import Connection

from codewords_mcp.errors import NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.auth.authority import Permissions
from codewords_mcp.runtime.auth.consents import Consents
from codewords_mcp.runtime.model.agreement import Agreement
from codewords_mcp.runtime.model.grants import describe_grants
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.questions import of_run
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.store import agreements as rows
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.consent_entries import ConsentEntry
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import AgreementRow


class Agreements:
    """Agreements of runners, in the database, so that they hold on every runtime of it."""

    def __init__(self, database: Database, consents: Consents) -> None:
        self._db = database
        self._consents = consents
        self._known: dict[tuple[str, str], set[str]] = {}
        """By owner and workflow, the digests of agreements that this process has read."""

    def holds(self, owner: str, permissions: Permissions) -> bool:
        """Whether the owner is the author, or agreed to all permissions of the version."""
        if owner == permissions.author or permissions.is_empty:
            return True
        return permissions.digest in self._known.get((owner, permissions.service_id), ())

    async def require(
        self,
        owner: str,
        permissions: Permissions,
        asker: str = "",
        consent: Consent = Consent(),  # noqa: B008  # immutable
    ) -> None:
        """Check that a run of this owner may start.

        Only permissions beyond the owner's earlier agreement are asked for. `asker` names the
        requester in the question. Raises ConsentNeeded; Forbidden if the owner declined.
        """
        if owner == permissions.author or permissions.is_empty:
            return
        # where runtimes share the database, another one may have withdrawn it
        if self.holds(owner, permissions) and not self._db.shared:
            return

        service_id, manifest = permissions.service_id, permissions.manifest
        # A withdrawal replaces this set, also during the read: digests added afterwards have no
        # effect.
        known = self._known.setdefault((owner, service_id), set())
        stored = await self._db.read(rows.get, owner, service_id)
        if stored is None:
            before = None
        else:
            before = Manifest.model_validate(stored)

        if missing := manifest.widens(before or Manifest()):
            known.discard(permissions.digest)
            again = before is not None
            question = of_run(
                owner,
                service_id,
                permissions.author,
                permissions.digest,
                missing,
                again=again,
                asker=asker,
            )
            await self._consents.settle(question, consent)
            # The whole manifest, not only its digest: the next question then asks only for what
            # is new.
            values: AgreementRow = {
                "owner": owner,
                "workflow_id": service_id,
                "digest": permissions.digest,
                "manifest": manifest.model_dump(mode="json"),
                "agreed_at": now(),
            }
            await self._db.write(rows.put, values)

        # Into the set that was current before the read. If the owner withdrew meanwhile, that
        # set is no longer used.
        known.add(permissions.digest)

    async def list(self, owner: str) -> list[Agreement]:
        """The agreements of an owner, the newest first."""
        found = await self._db.read(rows.of_owner, owner)
        return [
            Agreement(
                service_id=row["workflow_id"],
                name=row["name"],
                published_by=row["author"],
                capabilities=describe_grants(Manifest.model_validate(row["manifest"]).widens(Manifest())),
                agreed_at=to_datetime(row["agreed_at"]),
            )
            for row in found
        ]

    async def withdraw(self, owner: str, service_id: str) -> None:
        """Delete the owner's agreement to a workflow. Runs in flight continue. Raises NotFound."""

        def remove(connection: Connection) -> bool:
            digest = rows.remove(connection, owner, service_id)
            if digest is None:
                return False
            facts = {"about": "run", "permissions": digest}
            ConsentEntry("withdrawn", owner, service_id, facts).note(connection)
            return True

        removed = await self._db.write(remove)
        self._known.pop((owner, service_id), None)
        if not removed:
            raise NotFound(
                "You have agreed to no workflow of that id.", remedy=Remedy(RemedyAction.LIST_AGREEMENTS)
            )
