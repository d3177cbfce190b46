"""Serving a draft to its owner while it is worked on: in a sandbox, as a deployed version would be, without deploying it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.authority import Permissions
from codewords_mcp.runtime.authoring.drafts import require_code
from codewords_mcp.runtime.model.authoring import DraftServing
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.questions import of_serving
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.debug_tunnels import DebugPipe, DebugTunnels
from codewords_mcp.runtime.runs.served_drafts import ServedDraft, beyond
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.drafts import DraftRow
from codewords_mcp.runtime.workflows.configuration import check_addresses, check_values
from codewords_mcp.runtime.workflows.debugger import debugged_code, debugged_script
from codewords_mcp.runtime.workflows.derived_manifest import derive_manifest
from codewords_mcp.runtime.workflows.script import Script, parse_script
from codewords_mcp.runtime.workflows.validation.repair import runnable_code
from codewords_mcp.runtime.workflows.versions import manifest_of

SERVED_S: Final = 90.0
"""Seconds that a draft is served without being renewed."""
ATTACH_S: Final = 20.0
"""Seconds that an editor waits for a program to attach to."""
KEPT_S: Final = 900.0
"""Seconds that a draft which was served is kept without being renewed."""


class ServedDraftApi:
    """Drafts that their owner can run by their id, as a workflow. They keep no state of a deployed workflow."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._tunnels = DebugTunnels(container.supply.debugged_draft)

    async def serve(
        self,
        caller: Caller,
        draft_id: str,
        code: str,
        *,
        workflow: str | None = None,
        debug: bool = False,
        config: Mapping[str, str] | None = None,
        consent: Consent = Consent(),  # noqa: B008  # immutable
        progress: Progress = no_progress,
    ) -> DraftServing:
        """Store code as the draft's next revision, unchecked, and serve it from now on.

        Each of its runs is in a sandbox, with the secrets and services of its owner. A person has to agree to what the code
        may reach beyond what was agreed to for this draft, and for the live version of `workflow`. With `debug` one sandbox
        serves all its runs, with a debugger in it (`join_debugger`). `config` are the plain configuration values of its runs;
        None for those of `workflow`.

        Raises NotFound; InvalidInput for `config` that no run could be given; InvalidScript and EnvironmentFailed, where the
        code before goes on being served; ConsentNeeded.
        """
        refuse_run(caller, "serve drafts")
        container = self._container
        row = await container.drafts.get(caller, draft_id)
        script = await asyncio.to_thread(
            parse_script, require_code(code), max_code=container.settings.max_code
        )
        values = await self._values(caller, workflow, config)
        manifest = await self._agreed_manifest(caller, row, script, workflow, consent, values)
        served = container.catalog.served.find(row.id)
        environment, built = await self._environment(script, served, progress, debug=debug)

        row = await container.drafts.replace_code(row, code, KEPT_S)
        servable = Servable(
            row.id, caller.owner, False, row.revision, script, debugged_code(script) if debug else runnable_code(script),
            environment, Permissions.of(row.id, caller.owner, manifest), debugged=debug, config=values,
        )  # fmt: skip
        agreed = served.agreed if served else ()
        if beyond(manifest, agreed):
            agreed = (*agreed, manifest)
        container.catalog.served.put(servable, agreed, SERVED_S)
        # Sandboxes that wait run the code before.
        container.supply.forget(row.id)
        await (await container.driver()).prepare(environment)
        return DraftServing(
            draft_id=row.id,
            revision=row.revision,
            url=f"{container.base_url}/run/{row.id}/",
            capabilities=manifest.lines(),
            environment_built=built,
        )

    async def renew(self, caller: Caller, draft_id: str) -> None:
        """Serve a draft for another while. Raises NotFound where it is served no longer, as after a restart of the runtime."""
        refuse_run(caller, "serve drafts")
        row = await self._container.drafts.get(caller, draft_id)
        if not self._container.catalog.served.renew(row.id, SERVED_S):
            raise NotFound("This draft is not served any more.", hint="Send its code again.")
        await self._container.drafts.keep(row, KEPT_S)

    async def _environment(
        self, script: Script, served: ServedDraft | None, progress: Progress, *, debug: bool
    ) -> tuple[EnvironmentRef, bool]:
        """The environment of a script, and whether it was built now. Raises EnvironmentFailed."""
        # Of the code before, where it has the same packages: looking for damage takes longer than all else here.
        if served is not None and _packages(served.servable.script) == _packages(script):
            known = served.servable
            if known.debugged == debug and known.environment.path.exists():
                return known.environment, False
        packages = debugged_script(script) if debug else script
        environment = await self._container.environments.ensure(packages, progress)
        return environment.ref, environment.built

    async def require_debugged(self, caller: Caller, draft_id: str) -> None:
        """Raise NotFound unless this draft is the caller's and served with a debugger."""
        refuse_run(caller, "debug drafts")
        served = self._container.catalog.served.find(draft_id)
        if served is None or served.servable.owner != caller.owner or not served.servable.debugged:
            raise NotFound("No draft of that id is served with a debugger.", hint="Serve it with `debug`.")

    async def join_debugger(self, draft_id: str, pipe: DebugPipe) -> None:
        """Carry an editor's bytes to the debugger of a draft and back. See `DebugTunnels.join`."""
        await self._tunnels.join(draft_id, pipe, ATTACH_S)

    async def offer_debugger(self, sandbox_id: str, program: str, pipe: DebugPipe) -> None:
        """Wait for an editor on behalf of a sandbox. See `DebugTunnels.offer`."""
        await self._tunnels.offer(sandbox_id, program, pipe)

    async def _values(
        self, caller: Caller, workflow: str | None, config: Mapping[str, str] | None
    ) -> Mapping[str, str]:
        """The configuration values of a draft's runs. Raises NotFound, InvalidInput."""
        if config is not None:
            check_values(config)
            return dict(config)
        if workflow is None:
            return {}
        return (await self._container.deployments.own(caller, workflow)).config or {}

    async def _agreed_manifest(
        self,
        caller: Caller,
        row: DraftRow,
        script: Script,
        workflow: str | None,
        consent: Consent,
        values: Mapping[str, str],
    ) -> Manifest:
        """The permissions that the code asks for. Raises ConsentNeeded for those that nobody agreed to."""
        container = self._container
        rules = await container.secrets.hosts_by_name(caller.owner)
        manifest = await asyncio.to_thread(derive_manifest, script, rules)
        # A key that agrees to nothing must not choose the host of an address either.
        check_addresses(caller, manifest, {}, values)
        # A variable with a configuration value is none that a secret has to be asked for.
        secrets = tuple(one for one in manifest.secrets if one.name not in values)
        manifest = manifest.model_copy(update={"secrets": secrets})
        served = container.catalog.served.find(row.id)
        if served:
            missing = served.widens(manifest)
        else:
            missing = manifest.widens(Manifest())
        if missing and workflow is not None:
            known = (*(served.agreed if served else ()), await self._live_manifest(caller, workflow))
            missing = beyond(manifest, known)
        if missing:
            question = of_serving(caller.owner, row.id, row.name, missing)
            await container.consents.settle(question, consent)
        return manifest

    async def _live_manifest(self, caller: Caller, workflow: str) -> Manifest:
        """The permissions of a workflow's live version. Raises NotFound unless the caller owns it."""
        detail = await self._container.deployments.own(caller, workflow)
        version = await self._container.database.read(workflows.version, detail.id, detail.active_version)
        return (version and manifest_of(version)) or Manifest()


def _packages(script: Script) -> tuple[object, ...]:
    """The facts of a script by which its environment is chosen."""
    return script.requires_python, script.dependencies, script.uses_our_client, script.modules
