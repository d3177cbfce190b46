"""Help with writing workflows."""

from __future__ import annotations

from codewords_mcp.errors import CodewordsError, NotFound
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.services import ServiceApi
from codewords_mcp.runtime.api.validation import ScriptValidator
from codewords_mcp.runtime.authoring import diagnose as diagnosing
from codewords_mcp.runtime.authoring.author_model import gateway_author
from codewords_mcp.runtime.authoring.brief import brief, describe_service
from codewords_mcp.runtime.authoring.drafts import supplied_example
from codewords_mcp.runtime.authoring.generate import Bounds, GenerationRequest, Generator
from codewords_mcp.runtime.authoring.model_request import check_description
from codewords_mcp.runtime.authoring.practices import practice, topics
from codewords_mcp.runtime.authoring.service_choice import choose_services
from codewords_mcp.runtime.authoring.template_choice import nearest_template
from codewords_mcp.runtime.authoring.templates import templates
from codewords_mcp.runtime.model.authoring import (
    AskModel,
    Brief,
    Diagnosis,
    Generation,
    ModelCompletion,
)
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.grants import ANY
from codewords_mcp.runtime.model.model_errors import ModelAnswerInvalid
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.run import FINISHED, Run, RunError
from codewords_mcp.runtime.model.service_operations import service_of
from codewords_mcp.runtime.model.validation import ValidationReport
from codewords_mcp.runtime.store import failed_calls, runs, workflows
from codewords_mcp.runtime.workflows.openapi import read_routes
from codewords_mcp.runtime.workflows.validation.smoke import Smoke


class AuthoringApi:
    """Help with writing workflows: checks, generation, practices, and why a run failed."""

    def __init__(self, container: Container, validator: ScriptValidator, services: ServiceApi) -> None:
        self._container = container
        self._validator = validator
        self._services = services

    async def validate(
        self,
        caller: Caller,
        code: str,
        *,
        draft_id: str | None = None,
        start: bool = True,
        progress: Progress = no_progress,
    ) -> ValidationReport:
        """Run every check on the code. A failing check is a result, not a raise.

        `draft_id`: as an edit of this draft would, with the input that it is tried with. Without `start`: only the checks
        that neither need its environment nor start it. Raises NotFound.
        """
        smoke = Smoke()
        if draft_id is not None:
            draft = await self._container.drafts.get(caller, draft_id)
            smoke = Smoke(supplied_example(draft), derive=True)
        return (await self._validator.check(caller, code, progress, smoke, start=start)).report

    async def generate(
        self,
        caller: Caller,
        description: str,
        *,
        constraints: str = "",
        ask: AskModel | None = None,
        brief_on_failure: bool = False,
        progress: Progress = no_progress,
    ) -> Generation:
        """Let a model write a workflow until every check passes. The result is a draft.

        Bounds: CODEWORDS_AUTHOR_ROUNDS and CODEWORDS_AUTHOR_BUDGET. The model is one of a provider
        with a key, else `ask`; without either the result is a brief. An equal request continues an
        unfinished draft and returns a finished one. `brief_on_failure`: return a brief if the model
        can't be asked or writes no program, with what it cost. Raises InvalidInput,
        ModelAnswerInvalid, and the errors of model calls.
        """
        refuse_run(caller, "generate workflows")
        description, constraints = check_description(description, constraints)
        author = await gateway_author(self._container.gateway, caller, self._container.settings)
        if author is None and ask is None:
            return Generation(status="brief", brief=await self.brief(caller, description, constraints))

        model, asks = author or ("the client's model", ask)
        if asks is None:
            raise NotFound("There is no model to ask.")

        query = f"{description} {constraints}"
        services = tuple(
            describe_service(service) for service in choose_services(await self._services.list(caller), query)
        )
        generation_request = GenerationRequest(
            description, constraints, nearest_template(templates(), query).code, services
        )
        bounds = Bounds(self._container.settings.author_rounds, self._container.settings.author_budget)
        failures: list[CodewordsError] = []
        generator = Generator(
            self._container.drafts,
            caller,
            generation_request,
            _with_failures(asks, failures),
            model,
            self._validator.for_draft(caller),
            bounds,
            progress,
        )
        if not brief_on_failure:
            return await generator.run()

        try:
            return await generator.run()
        except CodewordsError as error:
            if not isinstance(error, ModelAnswerInvalid) and error not in failures:
                raise
            # The caller is an assistant, which can write the workflow itself.
            assistant_brief = await self.brief(caller, description, constraints)
            return Generation(status="brief", brief=assistant_brief, why=_failure_text(error, generator))

    async def brief(self, caller: Caller, description: str, constraints: str = "") -> Brief:
        """Make a brief from which an assistant can write a workflow itself. Raises InvalidInput."""
        description, constraints = check_description(description, constraints)
        return brief(templates(), await self._services.list(caller), f"{description} {constraints}")

    def practice_topics(self) -> list[str]:
        """List the topics of `practice`."""
        return topics()

    def practice(self, topic: str) -> str:
        """Return the practice of a topic, in Markdown with code that runs. Raises NotFound, naming the topics."""
        return practice(topic)

    async def diagnose(self, caller: Caller, run: Run) -> Diagnosis | None:
        """Diagnose a failed run. None if it did not fail, or if the workflow is gone or another owner's."""
        if run.status not in FINISHED or run.status in {"succeeded", "cancelled"} or not run.service_id:
            return None

        service_id, database = run.service_id, self._container.database
        workflow = await database.read(workflows.get, service_id)
        # A diagnosis shows code, and a public workflow's code is its author's.
        if workflow is None or workflow.owner != caller.owner:
            return None

        version = await self._version_row(service_id, run.version)
        if version is None:
            return None

        code = version.code
        request_content = run.input.content if run.input else None
        # The last success is the best explanation: what differs from it is likely the cause.
        last = await database.read(
            runs.page, caller.owner, service_id=service_id, status="succeeded", limit=1, before=None
        )
        good = None
        if last and (before := await self._code_of(service_id, last[0].version)) is not None:
            good = last[0], before
        log = await self._container.dispatcher.final_tail(caller, run, diagnosing.LOG_LINES)
        routes = [f"{route['method']} {route['path']}" for route in read_routes(version.openapi)]
        unset = await self._unset(caller, version)
        no_access = await self._no_access(run)

        return diagnosing.diagnose(
            run, log, code, request_content, good, routes=routes, unset=unset, no_access=no_access
        )

    async def _no_access(self, run: Run) -> RunError | None:
        """The error of a run's last call of a service that lacked an account or credential, with a link that is valid now."""
        error = await self._container.database.read(failed_calls.last_without_access, run.id)
        if error is None:
            return None
        found = RunError.model_validate(error)
        app = failed_calls.app_of(error)
        if app is not None:
            # The link of the error is over after an hour.
            url = await self._container.integrations.accounts.connect_link(run.owner, app)
            found = found.model_copy(
                update={"hint": f"A person opens {url} and connects it; then run it again."}
            )
        return found

    async def _unset(self, caller: Caller, version: workflows.VersionRow) -> set[str]:
        """Names of secrets that a version and its services may need, and that have no value."""
        manifest = version.manifest or {}
        named = {*map(service_of, manifest.get("services", [])), *manifest.get("models", [])}

        if ANY in named:
            known = await self._services.list(caller)
        else:
            known = await self._services.named(caller, named)

        held = {str(secret["name"]) for secret in manifest.get("secrets", [])}
        present = await self._container.secrets.resolve(caller.owner, sorted(held))
        return {
            credential.name
            for service in known
            for credential in service.credentials
            if not credential.present
        } | (held - set(present))

    async def _code_of(self, service_id: str, version: int | None) -> str | None:
        row = await self._version_row(service_id, version)
        if row:
            return row.code
        return None

    async def _version_row(self, service_id: str, version: int | None) -> workflows.VersionRow | None:
        if version is None:
            return None
        return await self._container.database.read(workflows.version, service_id, version)


def _with_failures(ask_model: AskModel, failures: list[CodewordsError]) -> AskModel:
    """The same model; the errors of its calls are added to `failures`."""

    async def ask(system: str, prompt: str) -> ModelCompletion:
        try:
            return await ask_model(system, prompt)
        except CodewordsError as error:
            failures.append(error)
            raise

    return ask


def _failure_text(error: CodewordsError, generator: Generator) -> str:
    """Say why a generation failed, what its answers cost, and where the last one is."""
    if isinstance(error, ModelAnswerInvalid):
        return error.message
    text = f"{error.message} {error.hint}".rstrip()
    costs = [attempt.cost for attempt in generator.history.tried if attempt.cost is not None]
    if costs:
        text += f" The answers before it cost {sum(costs):.4f} USD."
    if generator.row is not None:
        text += f" The last one is the draft {generator.row.id}."
    return text
