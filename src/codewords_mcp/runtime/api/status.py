"""The facade's part about the runtime itself: its status, and whether it can do its work."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from codewords_mcp import __version__
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.api.readiness import Problem
from codewords_mcp.runtime.api.secrets import SecretCalls
from codewords_mcp.runtime.model.caller import Caller, require_admin
from codewords_mcp.runtime.model.limits import OWN_SCOPES
from codewords_mcp.runtime.runs import pausing
from codewords_mcp.runtime.store import runs as run_rows
from codewords_mcp.runtime.store import workflows as workflow_rows
from codewords_mcp.runtime.store.clock import to_text
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings

REBUILD_TIMEOUT = 20.0
"""Seconds that `status` spends on damaged environments; shorter than the wait of `codewords doctor`."""


class StatusCalls(SecretCalls):
    """The status calls of `Runtime`."""

    settings: Settings
    _started: float

    async def problems(self) -> list[Problem]:
        """The parts that are not ready. Bounded in time, and never raises."""
        return await self._house.readiness.check()

    async def status(self, *, deep: bool = False) -> dict[str, Any]:
        """For `doctor`: version, home, tier, limits, counts; `sandbox.ready` is false where no workflow can run.

        `deep` reads all files of all environments, and builds those of live workflows again that are damaged.
        `problems` are the parts that are not ready. What the database holds is left out while it is one of them.
        """
        house, problems = self._house, await self.problems()
        stored: dict[str, Any] = {}
        recorded = None

        if all(problem.part != "database" for problem in problems):
            stored = await self._stored()
            recorded = await house.database.read(run_rows.count)

        return {
            "problems": [asdict(problem) for problem in problems],
            "version": __version__,
            "home": str(self.settings.home),
            "base_url": house.base_url,
            "started_at": self._started,
            "paused": await self._paused(),
            "availability": house.availability().model_dump(),
            "sandbox": await house.sandbox_status(),
            "damaged_environments": await self._rebuild_damaged() if deep and "workflows" in stored else None,
            "rebuilt_environments": dict(house.environments.rebuilt),
            "secrets": self.describe_master_key(),
            "consent": self.settings.consent,
            **stored,
            "runs": {
                "recorded": recorded,
                "active": house.admission.active,
                "queued": house.admission.queued,
            },
            "limits": {
                name: getattr(self.settings, name)
                for name in (
                    "memory_limit",
                    "disk_limit",
                    "process_limit",
                    "sync_timeout",
                    "run_timeout",
                    "concurrency",
                    "queue_limit",
                    *(f"{scope}_{what}" for scope in OWN_SCOPES for what in ("concurrency", "queue_limit")),
                    "egress",
                )
            },
        }

    async def resume(self, caller: Caller, *, cancel_waiting: bool) -> bool:
        """Let a restored home start runs by itself; False where it was not paused. Admin only."""
        require_admin(caller, "resume the home")
        was_paused = self._house.paused_at is not None
        await self._house.resume(cancel_waiting=cancel_waiting)
        return was_paused

    async def _rebuild_damaged(self) -> dict[str, list[str]]:
        """Build damaged environments of live workflows again; those that stay damaged, with their packages."""
        house = self._house
        damaged = await house.environments.damaged()
        if not damaged:
            return damaged

        live = await house.database.read(lambda c: workflow_rows.live_with(c, set(damaged)))
        scripts = {code: parse_script(code) for _, code in live}

        # What does not end in time, or fails, is tried again by the next run.
        with suppress(TimeoutError):
            async with asyncio.timeout(REBUILD_TIMEOUT):
                for script in scripts.values():
                    with suppress(CodewordsError):
                        await house.environments.ensure(script)

        for service_id, _ in live:
            house.forget(service_id)
        return {
            name: packages for name, packages in damaged.items() if name not in house.environments.rebuilt
        }

    async def _paused(self) -> dict[str, Any] | None:
        """What a restored home would go on with; None where it is not paused."""
        at = self._house.paused_at
        if at is None:
            return None
        waiting = await self._house.database.read(pausing.waiting, at)
        return {"since": to_text(at), **asdict(waiting)}

    async def _stored(self) -> dict[str, Any]:
        house = self._house
        return {
            "browser": await house.browser_status(),
            "providers": await house.gateway.keys.configured(),
            "store": await house.store_status(),
            "workflows": await house.database.read(workflow_rows.count),
        }
