"""Templates to start a workflow from."""

from __future__ import annotations

import re
from typing import Any, cast

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.services import ServiceApi
from codewords_mcp.runtime.authoring.template_choice import matching_templates
from codewords_mcp.runtime.authoring.templates import missing_secrets, read_template, template_code, templates
from codewords_mcp.runtime.model.authoring import (
    Template,
)
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.workflow import WorkflowDetail
from codewords_mcp.runtime.store import workflows

_CATEGORY = re.compile(r"[a-z0-9-]{1,40}")


class TemplateApi:
    """Templates to start a workflow from: the gallery and the caller's own."""

    def __init__(self, container: Container, services: ServiceApi) -> None:
        self._container = container
        self._services = services

    async def share(self, caller: Caller, service_id: str, category: str | None) -> None:
        """Put the caller's workflow among their templates, as its live version is; `None` takes it out again.

        Raises NotFound, InvalidInput.
        """
        refuse_run(caller, "change templates")
        if category is not None and not _CATEGORY.fullmatch(category):
            raise InvalidInput(
                "A category is 1 to 40 lower-case letters, digits and dashes.",
                hint="Such as `data` or `sales`.",
            )

        # Raises NotFound unless the caller owns the workflow.
        await self._version(caller, service_id)
        values = {"template": category}
        await self._container.database.write(workflows.change, service_id, values)

    async def get_code(self, caller: Caller, template_id: str) -> str:
        """The script of a template, of the gallery or the caller's own. Raises NotFound."""
        # The caller's own first, whose ids are workflow ids and never equal one of the gallery.
        own = [template.code for template in await self._own_templates(caller) if template.id == template_id]
        if own:
            return own[0]
        return template_code(template_id)

    def in_gallery(self, template_id: str | None) -> bool:
        """True if this is a template that every home has, and nobody's own."""
        return any(template.id == template_id for template in templates())

    async def _own_templates(self, caller: Caller) -> list[Template]:
        if caller.kind == "run":  # it starts from the gallery, not from its owner's workflows
            return []
        rows = await self._container.database.read(workflows.templates, caller.owner)
        return [await self._own_template(caller, row) for row in rows]

    async def _own_template(self, caller: Caller, row: workflows.WorkflowRow) -> Template:
        detail = await self._version(caller, row.id)
        template = read_template(row.id, row.template or "", detail.code or "")
        raw_example: Any = detail.example
        if isinstance(raw_example, dict):
            example = cast("dict[str, Any]", raw_example)
        else:
            example = {}
        return template.model_copy(
            update={"title": detail.name, "description": detail.description, "example_input": example}
        )

    async def list(self, caller: Caller, *, query: str = "", category: str = "") -> list[Template]:
        """Workflows to start from, the caller's own among them; with a query the best first. Says which secrets they lack."""
        found = [*templates(), *await self._own_templates(caller)]
        if category:
            found = [template for template in found if template.category == category.lower()]
        of_services = await self._services.missing_credentials(
            caller, {name for template in found for name in template.services}
        )
        needs = {name for template in found for name in template.needs}
        present = await self._container.secrets.resolve(caller.owner, sorted(needs))
        found = [
            template.model_copy(update={"missing": missing_secrets(template, of_services, present)})
            for template in found
        ]
        if query:
            return matching_templates(found, query)

        return found

    async def _version(self, caller: Caller, service_id: str, number: int | None = None) -> WorkflowDetail:
        return await self._container.deployments.get(caller, service_id, number=number, include_code=True)
