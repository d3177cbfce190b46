"""The versions that a caller may run, and the authority of calling runs."""

from __future__ import annotations

from sqlalchemy import Connection

from codewords_mcp.errors import AttemptOver
from codewords_mcp.runtime.auth.agreements import Agreements
from codewords_mcp.runtime.auth.authorities import Authorities
from codewords_mcp.runtime.auth.authority import Authority, RunAuthority
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.plain_text import item
from codewords_mcp.runtime.model.questions import describe_key
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.runs.catalog import Catalog, Servable
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.workflows import VersionRow, WorkflowRow


class RunAuthorization:
    """Finds the version to run for a caller, and requires the agreement that it needs."""

    def __init__(
        self, database: Database, catalog: Catalog, authorities: Authorities, agreements: Agreements
    ) -> None:
        self._db = database
        self._catalog = catalog
        self._authorities = authorities
        self._agreements = agreements

    async def servable(
        self,
        caller: Caller,
        service_id: str,
        consent: Consent = Consent(),  # noqa: B008  # immutable
    ) -> Servable:
        """The version to run for this caller. Its owner has agreed to it, or agrees by `consent`.

        Raises NotFound, EnvironmentFailed; ConsentNeeded for another owner's workflow without an agreement.
        """
        servable = await self._catalog.find(caller, service_id)
        # An owner agreed to a workflow of their own when it was deployed.
        if servable.owner != caller.owner:
            asker = self._asker(caller)
            await self._agreements.require(caller.owner, servable.permissions, asker, consent)
        return servable

    def _asker(self, caller: Caller) -> str:
        """Name the caller in a question to a person: a workflow, or the holder of a key."""
        if caller.run_id:
            workflow = self._authorities.service_of(caller.run_id)
        else:
            workflow = None
        if workflow is not None:
            return f"a run of the workflow {item(workflow, 80)}, with {describe_key(caller)}"
        if caller.kind == "user" and caller.key_id is None:
            return f"a schedule or webhook of {item(caller.owner, 64)}"
        return f"a call with {describe_key(caller)}"

    async def require_agreed(self, caller: Caller, service_id: str) -> None:
        """Raise the errors of `servable` for another owner's workflow; a workflow of one's own passes."""
        workflow = await self._db.read(workflows.get, service_id)
        if workflow is not None and workflow.public and workflow.owner != caller.owner:
            await self.servable(caller, service_id)

    async def authority(self, caller: Caller) -> Authority:
        """The authority of a caller. Raises AttemptOver for a run that is not on record.

        The calling run may have ended or be another replica's: its background calls are carried out later.
        """
        try:
            return self._authorities.of(caller)
        except AttemptOver:
            recorded = await self._recorded_authority(caller)
            if recorded is None:
                raise
            return recorded

    async def _recorded_authority(self, caller: Caller) -> RunAuthority | None:
        run_id = caller.run_id or ""
        found = await self._db.read(_version_of_run, run_id, caller.owner)
        if found is None:
            return None

        permissions = await self._catalog.permissions(*found)
        manifest = permissions.manifest
        hosts = None if manifest.any_host else manifest.hosts

        return RunAuthority(caller.owner, permissions.service_id, run_id, permissions, hosts)


def _version_of_run(connection: Connection, run_id: str, owner: str) -> tuple[WorkflowRow, VersionRow] | None:
    run = rows.get(connection, run_id, owner)
    if run is None or run.service_id is None or run.version is None:
        return None

    workflow = workflows.get(connection, run.service_id)
    version = workflows.version(connection, run.service_id, run.version)
    if workflow and version:
        return workflow, version
    return None
