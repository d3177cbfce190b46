"""Validation, from checks that take microseconds to starting the script in a sandbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from typing import Any

from codewords_mcp.errors import EnvironmentFailed, InvalidScript
from codewords_mcp.runtime.model.authoring import ProposedTest
from codewords_mcp.runtime.model.grants import ANY
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.modules import InvalidModules, split_modules
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.service import ServiceInfo
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.recording.ambient_trace import part_span
from codewords_mcp.runtime.sandboxes.base import Capability, Driver, Limits
from codewords_mcp.runtime.workflows.analysis import derive
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.environments.installed import Environment
from codewords_mcp.runtime.workflows.resources import check_resources, limits_for
from codewords_mcp.runtime.workflows.script import DEFAULT_MAX_CODE, Script, UnreadableScript, parse_script
from codewords_mcp.runtime.workflows.validation.boot import SERVING, boot
from codewords_mcp.runtime.workflows.validation.checked_script import BY_PERSON, CheckedScript
from codewords_mcp.runtime.workflows.validation.code_size import refuse_excess
from codewords_mcp.runtime.workflows.validation.leaks import check_leaks
from codewords_mcp.runtime.workflows.validation.lint import lint
from codewords_mcp.runtime.workflows.validation.local_state import check_state
from codewords_mcp.runtime.workflows.validation.needed_secrets import check_services
from codewords_mcp.runtime.workflows.validation.packages import check_packages
from codewords_mcp.runtime.workflows.validation.proposed_test import propose_test
from codewords_mcp.runtime.workflows.validation.report import make_report
from codewords_mcp.runtime.workflows.validation.smoke import Example, Smoke
from codewords_mcp.runtime.workflows.validation.snapshots import check_snapshot
from codewords_mcp.runtime.workflows.validation.variables import (
    ConnectionFacts,
    check_connections,
    check_variables,
)

_STEPS = 4.0


async def validate(
    code: str,
    *,
    environments: Environments,
    driver: Driver,
    known_secrets: Collection[str] = (),
    secret_hosts: Mapping[str, Iterable[str]] | None = None,
    connected: Callable[[str], Awaitable[ConnectionFacts]] | None = None,
    services: Callable[[Collection[str]], Awaitable[list[ServiceInfo]]] | None = None,
    addresses: Callable[[Script], list[Check]] | None = None,
    parse_slot: AbstractAsyncContextManager[Any] | None = None,
    progress: Progress = no_progress,
    limits: Limits | None = None,
    max_code: int = DEFAULT_MAX_CODE,
    smoke: Smoke = Smoke(),  # noqa: B008  # immutable
    start: bool = True,
    config: Mapping[str, str] | None = None,
) -> CheckedScript:
    """Run all checks; without `start` those that neither need its environment nor start it.

    `known_secrets` are names with a stored value, `max_code` is in bytes.

    `smoke` chooses the input of the smoke test; by default the header's example.

    `secret_hosts`: secrets hidden from workflows, with the hosts for which the egress proxy inserts
    them. `connected` returns the state of a declared app's connection; without it connections are
    not checked. `services` returns library services and models by name, with the state of their
    credentials. `addresses` finds unreachable addresses in the code. `parse_slot` is held while the
    code is parsed, which takes a core. `config` are plain configuration values by variable.

    Every fault of the script is a failed check. Raises only StorageFailed and SandboxFailed, for
    faults of the runtime's own home or sandbox.
    """
    work = _Work(environments, driver, known_secrets, progress, limits or Limits(), max_code)
    work.secret_hosts = secret_hosts or {}
    work.smoke = smoke
    work.connected = connected
    work.parse_slot = parse_slot or nullcontext()
    work.services = services
    work.addresses = addresses
    work.start = start
    work.config = config or {}
    with work.timed("total"):
        await work.run(code)
    checks = [_with_place(work.script, check) for check in work.checks]
    report = make_report(checks, work.manifest, started=start)
    return CheckedScript(
        report,
        work.script,
        work.environment,
        work.openapi,
        work.timings_ms,
        work.manifest,
        work.example,
        work.test,
    )


class _Work:
    """The state of one validation."""

    def __init__(
        self,
        environments: Environments,
        driver: Driver,
        known_secrets: Collection[str],
        progress: Progress,
        limits: Limits,
        max_code: int,
    ) -> None:
        self._environments = environments
        self._driver = driver
        self._known = known_secrets
        self._progress = progress
        self._limits = limits
        self._max_code = max_code
        self.checks: list[Check] = []
        self.timings_ms: dict[str, float] = {}
        self.script: Script | None = None
        self.environment: Environment | None = None
        self.openapi: dict[str, Any] | None = None
        self.secret_hosts: Mapping[str, Iterable[str]] = {}
        self.connected: Callable[[str], Awaitable[ConnectionFacts]] | None = None
        self.services: Callable[[Collection[str]], Awaitable[list[ServiceInfo]]] | None = None
        self.addresses: Callable[[Script], list[Check]] | None = None
        self.parse_slot: AbstractAsyncContextManager[Any] = nullcontext()
        self.manifest: Manifest | None = None
        self.smoke = Smoke()
        self.example: Example | None = None
        self.test: ProposedTest | None = None
        self.start = True
        self.config: Mapping[str, str] = {}

    async def run(self, code: str) -> None:
        await self._progress(0, _STEPS, "Reading the script")
        # Parsing holds the GIL. Without a limit, many validations at once would stall every
        # run.
        async with self.parse_slot:
            with self.timed("parse"):
                script = await self._parse(code)
            if script is None:
                return
            with self.timed("look"):
                await self._inspect(script)

        # The cheap checks have the answer. An environment takes seconds and a sandbox more.
        if self._failed() or not self.start:
            return

        await self._progress(1, _STEPS, "Preparing its environment")
        with self.timed("environment"):
            environment = await self._build(script)
        if environment is None:
            return

        await self._progress(3, _STEPS, "Starting it in a sandbox")
        with self.timed("boot"):
            smoke = self.smoke.of_header(script)
            limits = limits_for(self._limits, script.tool)
            result = await boot(script, environment.ref, self._driver, limits, smoke, self.config)

        self.checks += result.checks
        if script.tool.get("snapshot") is True and not self._failed():
            with self.timed("snapshot"):
                self.checks.append(
                    await check_snapshot(script, environment.ref, self._driver, limits, self.config)
                )
        self.example = result.example
        self.openapi = result.openapi
        self.test = propose_test(script, result)
        await self._progress(_STEPS, _STEPS, "Checked")

    async def _parse(self, code: str) -> Script | None:
        try:
            # Larger code is refused by `parse_script` itself, so measuring it would be wasted.
            if len(code) <= self._max_code:
                await refuse_excess(code)
                # Comments of the code as far as its own tree goes.
                for module in split_modules(code)[1]:
                    await refuse_excess(module.text)
            script = await asyncio.to_thread(parse_script, code, max_code=self._max_code)
        except InvalidScript as error:
            if isinstance(error, UnreadableScript):
                check_id = "parse"
            elif isinstance(error, InvalidModules):
                check_id = "modules"
            else:
                check_id = "header"

            # `parse_script` reads the code before it reports a wrong header, so it is valid
            # Python.
            if check_id == "header":
                self.checks.append(_passed("parse", "The script is valid Python."))
            failed = Check.of_error(check_id, error)
            self.checks.append(failed.model_copy(update={"line": error.line, "column": error.column}))
            return None

        self.script = script
        self.checks += [
            _passed("parse", "The script is valid Python."),
            _passed("header", "Its header declares Python and packages."),
        ]
        self.checks += script.notes

        return script

    async def _inspect(self, script: Script) -> None:
        self.checks.append(_app(script))
        groups = Capability.EXACT_MEMORY_LIMIT in self._driver.capabilities
        self.checks += check_resources(script.tool, self._limits, groups=groups)
        self.checks += await lint(script)
        # In threads: each walks the whole tree, and the event loop serves requests meanwhile.
        self.checks += await asyncio.to_thread(check_state, script.whole_tree)
        self.checks += await asyncio.to_thread(check_leaks, script, self._known)
        self.checks += await asyncio.to_thread(check_variables, script, {*self._known, *self.config})
        if self.connected is not None:
            self.checks += await check_connections(script, self.connected)
        warnings, packages = await check_packages(script)
        self.checks += warnings
        with self.timed("manifest"):
            analysis = await asyncio.to_thread(derive, script, rules=self.secret_hosts)
        # A variable with a configuration value is none that a secret has to be asked for.
        secrets = tuple(one for one in analysis.manifest.secrets if one.name not in self.config)
        self.manifest = analysis.manifest.model_copy(update={"packages": packages, "secrets": secrets})
        self.checks += analysis.notes
        if self.addresses is not None:
            self.checks += await asyncio.to_thread(self.addresses, script)
        if self.services is not None and (
            called := {*analysis.manifest.service_names, *analysis.manifest.models} - {ANY}
        ):
            self.checks += check_services(
                await self.services(called), {variable.name for variable in script.env}
            )

    async def _build(self, script: Script) -> Environment | None:
        async def scaled(done: float, total: float, message: str) -> None:
            await self._progress(1 + 2 * done / total, _STEPS, message)

        try:
            environment = await self._environments.ensure(script, scaled)
        except EnvironmentFailed as error:
            self.checks.append(Check.of_error("dependencies", error))
            return None

        self.environment = environment
        packages = environment.lock.count("==")
        shared = f" Shared modules: {environment.modules}." if environment.modules else ""
        self.checks.append(_passed("dependencies", f"{packages} packages, locked.{shared}"))
        if environment.built:
            state = "built"
        else:
            state = "there already"

        self.checks.append(
            _passed("environment", f"The environment for Python {environment.python_version} is {state}.")
        )
        return environment

    def _failed(self) -> bool:
        """Whether a check failed that makes starting the program useless. Things that a person has
        to set up do not count.
        """
        return any(check.status == "failed" and check.id not in BY_PERSON for check in self.checks)

    @contextmanager
    def timed(self, name: str) -> Generator[None]:
        started = time.perf_counter()
        try:
            with part_span("check" if name == "total" else f"check {name}"):
                yield
        finally:
            self.timings_ms[name] = round((time.perf_counter() - started) * 1000, 1)


def _passed(check_id: str, message: str) -> Check:
    return Check(id=check_id, status="passed", message=message)


def _with_place(script: Script | None, check: Check) -> Check:
    """The check, which names the file and line where it is about a shared module."""
    place = script.place(check.line) if script is not None and check.line else ""
    if not place:
        return check
    return check.model_copy(update={"message": f"{place}: {check.message}"})


def _app(script: Script) -> Check:
    if app := script.facts.unserved:
        return Check(
            id="app",
            status="note",
            line=script.facts.app_line,
            message=f"No line serves `{app}`, so the runtime does; run by itself, the file would end at once.",
            fix=SERVING,
        )
    if script.facts.app:
        return Check(
            id="app",
            status="passed",
            line=script.facts.app_line,
            message=f"`{script.facts.app}` is its FastAPI app.",
        )
    if script.facts.mentions_fastapi:
        return _passed("app", "It makes a FastAPI app; starting it will show.")

    return Check(
        id="app",
        status="failed",
        message="The script has no FastAPI app, and a workflow is one.",
        fix='from fastapi import FastAPI; app = FastAPI(title="…"); then a route such as @app.post("/")',
    )
