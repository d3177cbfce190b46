"""Plain configuration values of workflows."""

from __future__ import annotations

from collections.abc import Mapping

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.workflow import WorkflowConfig
from codewords_mcp.runtime.store import workflows as rows
from codewords_mcp.runtime.store.workflows import WorkflowRow
from codewords_mcp.runtime.workflows.configuration import check_addresses, check_values, config_notes
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.versions import manifest_of


class ConfigurationApi:
    """Values that a workflow's runs get as variables, beside secrets. They count from the next run, without a deploy."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def get(self, caller: Caller, service_id: str) -> WorkflowConfig:
        """Return the values. Raises NotFound."""
        refuse_run(caller, "read the configuration of workflows")
        return await self._described(await self._container.deployments.own(caller, service_id))

    async def set(self, caller: Caller, service_id: str, values: Mapping[str, str]) -> WorkflowConfig:
        """Replace all values. Sandboxes that were prepared with others are dropped.

        Raises NotFound, InvalidInput, Forbidden where a key of `deploy` only changes a host that may be reached.
        """
        refuse_run(caller, "configure workflows")
        workflow = await self._container.deployments.own(caller, service_id)
        check_values(values)
        version = await self._version(workflow)
        check_addresses(caller, manifest_of(version), workflow.config or {}, values)

        await self._container.database.write(rows.change, service_id, {"config": dict(values) or None})
        # After the write, so that no sandbox is prepared with the values before once these are dropped.
        self._container.forget(service_id)
        await self._container.tell_changed(caller.owner, service_id)
        return await self.get(caller, service_id)

    async def _described(self, workflow: WorkflowRow) -> WorkflowConfig:
        values = workflow.config or {}
        secrets = await self._container.secrets.names(workflow.owner)
        script = parse_script((await self._version(workflow)).code)
        return WorkflowConfig(values=values, notes=config_notes(values, script, secrets))

    async def _version(self, workflow: WorkflowRow) -> rows.VersionRow:
        found = await self._container.database.read(rows.version, workflow.id, workflow.active_version)
        if found is None:
            raise StorageFailed("The live version of this workflow is not in the store.")
        return found
