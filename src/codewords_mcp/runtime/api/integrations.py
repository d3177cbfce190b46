"""Actions of other apps."""

from __future__ import annotations

from typing import Any

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.integrations.directory import ResolvedAction
from codewords_mcp.runtime.integrations.service import RUN_TIMEOUT_S, ActionRequest
from codewords_mcp.runtime.model.call_questions import of_call
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.integration import ActionOutcome, Detail, FoundActions
from codewords_mcp.runtime.model.questions import Question
from codewords_mcp.runtime.model.service import CallPreview
from codewords_mcp.runtime.model.tool_questions import of_tool_call
from codewords_mcp.runtime.model.workflow import Consent


class IntegrationApi:
    """Actions of other apps. Methods raise what `integrations.service.Integrations` raises."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def search(self, caller: Caller, query: str, *, limit: int = 8) -> FoundActions:
        """Actions and apps for a question in plain words."""
        return await self._container.integrations.directory.search(caller.owner, query, limit)

    async def list_apps(self, *, limit: int = 60) -> FoundActions:
        """List the most used apps."""
        return await self._container.integrations.directory.apps(limit)

    async def list_actions(self, caller: Caller, app: str, *, query: str = "", limit: int = 30) -> Detail:
        """List the actions of an app."""
        return await self._container.integrations.directory.actions(caller.owner, app, query, limit)

    async def get_action(
        self, caller: Caller, app: str, action: str, *, prop: str = "", props: dict[str, Any] | None = None,
        query: str = "", account: str | None = None,
    ) -> Detail:  # fmt: skip
        """An action's fields, those too that come with `props`; or the values that one field takes."""
        # The app itself is asked, through the caller's account.
        if prop or props:  # the app is asked, by way of an account
            self._container.authorities.of(caller).require_action(app, None)
        integrations = self._container.integrations
        if prop:
            return await integrations.options(
                caller.owner, app, action, prop, props, query=query, account=account
            )
        return await integrations.schema(caller.owner, app, action, props, account)

    async def call(
        self, caller: Caller, app: str, action: str, props: dict[str, Any], *, account: str | None = None,
        seconds: float = RUN_TIMEOUT_S, consent: Consent = Consent(allow=True, way=""),  # noqa: B008  # immutable
    ) -> ActionOutcome:  # fmt: skip
        """Make one call. An action that writes needs `consent` or a person's agreement: raises ConsentNeeded without."""
        refuse_run(caller, "use integrations this way; it calls the service pipedream")
        integrations = self._container.integrations
        found = await integrations.directory.resolve(caller.owner, app, action, props)
        if found.action.writes:
            # Checked before the person is asked: a consent to an impossible call would be
            # wasted.
            if not consent.allow:  # nobody is asked about what could not be done
                await integrations.require_ready(caller.owner, found, account)
            question = _question(caller, found, props, account)
            await self._container.consents.settle(question, consent)
            # A key's own call is no yes to what the tool has become: nobody was shown that.
            if found.tool is not None and not consent.allow:
                await integrations.servers.agree_to_tool(caller.owner, found.tool)
        request = ActionRequest(app, action, props, account, seconds=seconds)
        return await integrations.run(caller.owner, request, resolved=found)

    async def preview(
        self, caller: Caller, app: str, action: str, props: dict[str, Any], *, account: str | None = None
    ) -> CallPreview:
        """Preview a call without making it. Raises what `call` raises before it calls the app."""
        refuse_run(caller, "use integrations this way; it calls the service pipedream")
        integrations = self._container.integrations
        found = await integrations.directory.resolve(caller.owner, app, action, props)
        if not found.action.writes:
            return CallPreview(writes=False)

        await integrations.require_ready(caller.owner, found, account)
        question = _question(caller, found, props, account)
        return CallPreview(writes=True, asks=question.lines)

    async def try_call(
        self, caller: Caller, app: str, action: str, props: dict[str, Any], **how: Any
    ) -> ActionOutcome | ConsentNeeded:
        """Call as `call` does, for callers that can ask a person: the question is returned, not raised."""
        try:
            return await self.call(caller, app, action, props, **how)
        except ConsentNeeded as question:
            return question


def _question(caller: Caller, found: ResolvedAction, props: dict[str, Any], account: str | None) -> Question:
    if found.tool is not None:
        return of_tool_call(caller.owner, found.tool, props)
    return of_call(caller.owner, found.action.key, props, account)
