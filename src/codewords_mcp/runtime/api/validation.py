"""Checks of a workflow's code, with the credentials and connections of its caller."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from codewords_mcp.runtime.api.connections import ConnectionApi
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.services import ServiceApi
from codewords_mcp.runtime.authoring.private_hosts import check_private_hosts
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.runs.launcher import limits_of
from codewords_mcp.runtime.workflows.validation.checked_script import CheckedScript
from codewords_mcp.runtime.workflows.validation.smoke import Smoke

_CHECKS = "codewords_mcp.runtime.workflows.validation.checks"


class ScriptValidator:
    """Validates scripts, one at a time for each caller. `active` is the number of validations that go on."""

    def __init__(self, container: Container, services: ServiceApi, connections: ConnectionApi) -> None:
        self._container = container
        self._services = services
        self._connections = connections
        self._locks: WeakValueDictionary[tuple[str, str | None], asyncio.Lock] = WeakValueDictionary()
        self.active = 0

    async def check(
        self,
        caller: Caller,
        code: str,
        progress: Progress,
        smoke: Smoke = Smoke(),  # noqa: B008  # immutable
        *,
        start: bool = True,
        config: Mapping[str, str] | None = None,
    ) -> CheckedScript:
        """Run every check on the code, with the script that came of it. A failing check is a result, not a raise.

        Without `start` only those that neither need its environment nor start it. `config` are the plain configuration
        values that its runs get.
        """
        container = self._container
        # The runtime must not end for want of use while a validation goes on.
        self.active += 1
        try:
            # Loaded when it is first needed, in a thread, so that runs go on.
            await asyncio.to_thread(importlib.import_module, _CHECKS)
            from codewords_mcp.runtime.workflows.validation.checks import validate

            return await validate(
                code,
                environments=container.environments,
                driver=await container.driver(),
                known_secrets=await container.secrets.names(caller.owner),
                secret_hosts=await container.secrets.hosts_by_name(caller.owner),
                connected=partial(self._connections.check, caller),
                services=partial(self._services.named, caller),
                # A lock for each key: many validations of one caller wait for each other, not
                # everybody.
                parse_slot=self._locks.setdefault(
                    (caller.owner, caller.key_id or caller.run_id), asyncio.Lock()
                ),
                addresses=partial(check_private_hosts, allowed=container.settings.egress_allow_private),
                max_code=container.settings.max_code,
                limits=limits_of(container.settings),
                progress=progress,
                smoke=smoke,
                start=start,
                config=config,
            )
        finally:
            self.active -= 1

    def for_draft(
        self, caller: Caller, draft_id: str | None = None
    ) -> Callable[[str, Any], Awaitable[CheckedScript]]:
        """A check of `(code, example)` for a draft of the caller: an example is derived where none is set.

        Where the draft `draft_id` is served, with the configuration values with which it is.
        """
        served = self._container.catalog.served.find(draft_id) if draft_id else None
        config = served.servable.config if served else None

        async def check(code: str, example: Any) -> CheckedScript:
            return await self.check(caller, code, no_progress, Smoke(example, derive=True), config=config)

        return check
