"""The facade's part about the runtime itself: its status, and whether it can do its work."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from codewords_mcp import __version__
from codewords_mcp.runtime.limits import OWN_SCOPES
from codewords_mcp.runtime.readiness import Problem
from codewords_mcp.runtime.secret_calls import SecretCalls
from codewords_mcp.runtime.store import runs as run_rows
from codewords_mcp.runtime.store import workflows as workflow_rows
from codewords_mcp.settings import Settings


class StatusCalls(SecretCalls):
    """The status calls of `Runtime`."""

    settings: Settings
    _started: float

    async def problems(self) -> list[Problem]:
        """The parts that are not ready. Bounded in time, and never raises."""
        return await self._house.readiness.check()

    async def status(self) -> dict[str, Any]:
        """For `doctor`: version, home, tier, limits, counts; `sandbox.ready` is false where no workflow can run.

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
            "availability": house.availability().model_dump(),
            "sandbox": await house.sandbox_status(),
            "secrets": self.describe_master_key(),
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

    async def _stored(self) -> dict[str, Any]:
        house = self._house
        return {
            "browser": await house.browser_status(),
            "providers": await house.gateway.keys.configured(),
            "store": await house.store_status(),
            "workflows": await house.database.read(workflow_rows.count),
        }
