"""Status of the runtime."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from codewords_mcp import __version__
from codewords_mcp.errors import CodewordsError, StorageFailed
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.quotas import QuotaApi
from codewords_mcp.runtime.api.readiness import Problem
from codewords_mcp.runtime.api.secrets import SecretApi
from codewords_mcp.runtime.audit.receivers import receiver_names
from codewords_mcp.runtime.gateway.keys import key_name
from codewords_mcp.runtime.model.availability import Availability
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, require_admin
from codewords_mcp.runtime.model.limits import OWN_SCOPES
from codewords_mcp.runtime.runs import pausing
from codewords_mcp.runtime.runs.suspended_runs import overdue_runs
from codewords_mcp.runtime.store import access, audit_cursors, recordings, retention, run_purge
from codewords_mcp.runtime.store import alerts as alert_rows
from codewords_mcp.runtime.store import workflows as workflow_rows
from codewords_mcp.runtime.store.clock import to_text
from codewords_mcp.runtime.workflows.script import parse_script

REBUILD_TIMEOUT = 20.0
"""Seconds that `status` spends on damaged environments; shorter than the wait of `codewords doctor`."""


MAX_UNREAD_HOSTS = 100
MAX_OVERDUE = 100


class StatusApi:
    """Status of the runtime, and what an admin does to it as a whole."""

    def __init__(self, container: Container, secrets: SecretApi, quotas: QuotaApi) -> None:
        self._container = container
        self._secrets = secrets
        self._quotas = quotas

    async def problems(self) -> list[Problem]:
        """The parts that are not ready. Bounded in time, and never raises."""
        return await self._container.readiness.check()

    async def describe(self, caller: Caller, *, deep: bool = False) -> dict[str, Any]:
        """For `status` and `doctor`: version, home, tier, limits, counts; `sandbox.ready` is false where no workflow can run.

        Alerts and quotas are those that the caller may see; `budgets` is None for who is no admin.
        `deep` reads all files of all environments, and builds those of live workflows again that are damaged.
        `problems` are the parts that are not ready. What the database holds is left out while it is one of them.
        """
        container, problems = self._container, await self.problems()
        stored: dict[str, Any] = {}
        recorded = None

        # `doctor` must get an answer from a runtime whose database hangs.
        if all(problem.part != "database" for problem in problems):
            try:
                recorded = await container.database.read(run_purge.count)
                stored = await self._stored(caller)
                problems = [*problems, *await self._overdue(caller)]
            except StorageFailed as error:
                # It broke after the check, whose result serves for a second.
                problems = [*problems, Problem("database", error.message, error.hint, error.remedy)]

        return {
            "problems": [asdict(problem) for problem in problems],
            "version": __version__,
            "home": str(self._container.settings.home),
            "base_url": container.base_url,
            "started_at": self._container.started_at,
            "paused": await self._paused(),
            "availability": container.availability().model_dump(),
            "sandbox": await self._sandbox(),
            "damaged_environments": await self._rebuild_damaged() if deep and "workflows" in stored else None,
            "rebuilt_environments": dict(container.environments.rebuilt),
            "secrets": self._secrets.describe_master_key(),
            "consent": self._container.settings.consent,
            **stored,
            "runs": {
                "recorded": recorded,
                "active": container.admission.active,
                "queued": container.admission.queued,
            },
            "limits": {
                name: getattr(self._container.settings, name)
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

    def availability(self) -> Availability:
        """See `Container.availability`."""
        return self._container.availability()

    async def resume(self, caller: Caller, *, cancel_waiting: bool) -> bool:
        """Let a restored home start runs by itself; False where it was not paused. Admin only."""
        require_admin(caller, "resume the home")
        was_paused = self._container.trigger_loops.paused_at is not None
        await self._container.trigger_loops.resume(cancel_waiting=cancel_waiting)
        return was_paused

    async def _rebuild_damaged(self) -> dict[str, list[str]]:
        """Build damaged environments of live workflows again; those that stay damaged, with their packages."""
        container = self._container
        damaged = await container.environments.damaged()
        if not damaged:
            return damaged

        # Only those of live workflows; the next run of an older version builds its own.
        live = await container.database.read(workflow_rows.live_with, set(damaged))
        scripts = {code: parse_script(code) for _, code in live}

        # What does not end in time, or fails, is tried again by the next run.
        with suppress(TimeoutError):
            async with asyncio.timeout(REBUILD_TIMEOUT):
                for script in scripts.values():
                    with suppress(CodewordsError):
                        await container.environments.ensure(script)

        for service_id, _ in live:
            # Prepared sandboxes have files of the damaged environment mounted.
            container.forget(service_id)
        return {
            name: packages for name, packages in damaged.items() if name not in container.environments.rebuilt
        }

    async def _paused(self) -> dict[str, Any] | None:
        """Describe the work that waits in a restored home; None where it is not paused."""
        at = self._container.trigger_loops.paused_at
        if at is None:
            return None
        waiting = await self._container.database.read(pausing.waiting, at)
        return {"since": to_text(at), **asdict(waiting)}

    async def _stored(self, caller: Caller) -> dict[str, Any]:
        container = self._container
        budgets = await container.gateway.budgets.list() if caller.kind == "admin" else None
        return {
            "browser": await self._browser(),
            "providers": await container.gateway.keys.configured(),
            "prices": container.price_feed and asdict(container.price_feed.state),
            "store": await store_status(container),
            "keyless_providers": await self._keyless_providers(),
            "quotas": [quota.model_dump(mode="json") for quota in await self._quotas.list(caller)],
            "stored": (await self._quotas.stored(caller)).model_dump(mode="json"),
            "budgets": budgets and [budget.model_dump() for budget in budgets],
            "alerts": await container.database.read(alert_rows.count_unresolved, caller.owner),
            "environments": await container.environments.count(),
            "audit_receivers": await self._audit_receivers(),
            "recordings": await recordings_status(container),
            "workflows": await container.database.read(workflow_rows.count),
        }

    async def _overdue(self, caller: Caller) -> list[Problem]:
        """The problem that runs of the caller, for an admin all runs, wait longer than they should; none where no run does."""
        owner = None if caller.kind == "admin" else caller.owner
        found = await self._container.database.read(overdue_runs, MAX_OVERDUE, owner)
        if not found or self._container.trigger_loops.paused_at is not None:
            return []
        if len(found) == 1:
            message = f"The run {found[0].id} waits, though nothing holds it up."
        else:
            least = "At least " if len(found) == MAX_OVERDUE else ""
            message = (
                f"{least}{len(found)} runs wait, though nothing holds them up. The first is {found[0].id}."
            )
        hint = "The runtime resumes such runs within a minute. Where it does not, its log says why."
        return [Problem("runs", message, hint)]

    async def _keyless_providers(self) -> dict[str, str]:
        """Providers of the settings whose key is missing, with the name of the secret that it is."""
        gateway, chosen = self._container.gateway, self._container.settings.providers
        return {
            named.name: key_name(named.name)
            for named in gateway.named
            if named.name in chosen
            and named.needs_key
            and not await gateway.keys.exists(HOME_OWNER, named.name)
        }

    async def _audit_receivers(self) -> list[dict[str, Any]]:
        """The receivers of the audit trail: entries that wait, and what is wrong since when."""
        found: list[dict[str, Any]] = []
        for name in receiver_names(self._container.settings):
            cursor = await self._container.database.read(audit_cursors.read, name)
            since = cursor.failing_since
            failing_since = None if since is None else to_text(since)
            found.append(
                {
                    "name": name,
                    "unsent": cursor.unsent,
                    "problem": cursor.problem,
                    "failing_since": failing_since,
                }
            )
        return found

    async def _sandbox(self) -> dict[str, Any]:
        """Tier and capabilities; or why there are no sandboxes."""
        try:
            driver = await self._container.driver()
        except CodewordsError as error:
            return {
                "ready": False,
                "tier": "D",
                "title": "no isolation",
                "facts": [error.message],
                "fix": error.hint,
                "remedy": error.remedy and error.remedy.to_dict(),
                "capabilities": [],
            }

        tier = driver.tier
        return {
            "ready": True,
            "tier": tier.id,
            "title": tier.title,
            "facts": list(tier.facts),
            "fix": tier.fix,
            "capabilities": sorted(c.value for c in driver.capabilities),
        }

    async def _browser(self) -> dict[str, Any]:
        """Describe the browser for the home's own calls: ready, or why not and what to do."""
        status = await self._container.browsers.status(HOME_OWNER)
        return asdict(status)


async def recordings_status(container: Container) -> dict[str, Any]:
    """Describe which runs are recorded, and what is stored of them."""
    settings = container.settings
    count, replayable, size = await container.database.read(recordings.totals)
    return {
        "policy": settings.record,
        "egress": settings.sandbox != "e2b",
        "count": count,
        "replayable": replayable,
        "bytes": size,
        "workflow_bytes": settings.recording_workflow_bytes,
        "home_bytes": settings.recording_home_bytes,
        "unread_hosts": await container.database.read(recordings.all_unread_hosts, MAX_UNREAD_HOSTS),
    }


async def store_status(container: Container) -> dict[str, Any]:
    """Describe the stored data, with sizes in bytes."""
    database, settings = container.database, container.settings
    size = await database.read(retention.size)
    files, file_bytes = await database.read(access.files_size)

    return {
        "kind": "PostgreSQL" if database.shared else "SQLite",
        "bytes": size.bytes,
        "free_bytes": size.free,
        "shrinks": size.shrinks,
        "files": files,
        "file_bytes": file_bytes,
        "files_at": container.files.blobs.location,
        "files_shared": settings.files is not None,
        "disk_free": container.disk.free_bytes(),
        "run_ttl": settings.run_ttl,
        "runs_kept": settings.runs_kept,
    }
