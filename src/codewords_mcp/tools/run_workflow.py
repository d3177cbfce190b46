"""`run_workflow`: call a deployed workflow and wait a limited time for its response."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import anyio
from mcp_types import CallToolResult
from pydantic import Field

from codewords_mcp.errors import CodewordsError, Conflict, InvalidInput
from codewords_mcp.mcp_server.cards import RUN_CARD
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.run_result import RunResult, RunView
from codewords_mcp.mcp_server.task_session import task_of
from codewords_mcp.mcp_server.tool import EXECUTES, remaining_timeout, tool
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.manifest import OWN_CHROME
from codewords_mcp.runtime.model.questions import Question
from codewords_mcp.runtime.model.run import FINISHED, Run
from codewords_mcp.runtime.model.trigger import TriggerTest
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.tools._approvals import question_text
from codewords_mcp.tools._arguments import WaitSeconds, WorkflowId
from codewords_mcp.tools._integrations import refuse_integrations
from codewords_mcp.tools._runs import held_writes, load_picture, run_tool_result, wait_for_run
from codewords_mcp.tools._workflow_calls import FORM_FILES, fields_for_files, page_line

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_FAILURE_LOG_LINES = 20
_CANCELLING: set[asyncio.Task[None]] = set()
"""Cancellations in progress; referenced here, or asyncio could collect the tasks."""


async def run_workflow(
    ctx: ToolContext,
    workflow_id: WorkflowId,
    input: Annotated[Any, Field(description="get_workflow shows its shape")] = None,  # noqa: A002  # the word a model expects
    path: str = "/",
    method: Literal["POST", "GET", "PUT", "PATCH", "DELETE"] = "POST",
    headers: dict[str, Any] | None = None,
    test_trigger: str | None = None,
    dry_run: bool = False,
    apply: str | None = None,
    wait_seconds: WaitSeconds = 25,
) -> Annotated[CallToolResult, RunResult]:
    """Run a workflow or library service (asks before it writes). dry_run lists writes; apply=its run_id sends them."""
    runtime, caller = runtime_and_caller(ctx)
    task = task_of(ctx)
    data, files = _divided(input)
    if files:
        shown = await runtime.workflows.get(caller, workflow_id)
        file_fields = fields_for_files(shown.routes, method, path)
    else:
        file_fields = list[str]()
    # A separate task: cancelling this call while the run is being recorded must not lose its id.
    if apply is not None:
        starting = _apply(runtime, caller, apply)
    elif test_trigger is not None:
        starting = _test(runtime, caller, workflow_id, test_trigger, input)
    else:
        starting = runtime.runs.call(
            caller,
            workflow_id,
            path=path,
            data=data,
            method=method,
            wait=0,
            # Whoever goes on with the task finds the run that it began.
            idempotency_key=task and f"task:{task.task_id}",
            dry_run=dry_run,
            files=files,
            file_fields=file_fields,
            headers={name: str(value) for name, value in (headers or {}).items()},
        )
    recording = asyncio.ensure_future(starting)

    try:
        run = await asyncio.shield(recording)
        seconds = remaining_timeout(ctx, wait_seconds)
        run = await wait_for_run(runtime, caller, run, seconds=seconds, progress=ctx.report_progress)
    except anyio.get_cancelled_exc_class():
        # Another process goes on with the task, and with its run.
        if task is not None and task.leaving:
            raise

        cancelling = asyncio.create_task(_cancel(runtime, caller, recording))
        _CANCELLING.add(cancelling)
        cancelling.add_done_callback(_CANCELLING.discard)
        # The scope of this call is cancelled, and would end each wait in it at once.
        with anyio.move_on_after(5, shield=True):
            await asyncio.shield(cancelling)
        raise

    held = await held_writes(runtime, caller, run)
    if run.status not in FINISHED or run.status == "succeeded":
        picture = await load_picture(runtime, caller, run)
        question = await question_text(runtime, caller, run) or await _page_line(runtime, caller, run)
        return run_tool_result(RunView(run, picture=picture, held=held, question=question))

    logs = await runtime.logs.final(caller, run, limit=_FAILURE_LOG_LINES)
    diagnosis = await runtime.authoring.diagnose(caller, run)
    # A diagnosis with frames has the workflow's own lines, so the end of the traceback adds nothing.
    lines = [] if diagnosis and diagnosis.frames else logs
    return run_tool_result(RunView(run, lines, diagnosis, held=held))


async def _page_line(runtime: Runtime, caller: Caller, run: Run) -> str:
    """A sentence on opening the page that a run answered with; "" for another answer."""
    beginning = (run.response_content or "")[:100].lstrip().lower()
    if run.service_id is None or not beginning.startswith(("<!doctype html", "<html")):
        return ""
    shown = await runtime.workflows.get(caller, run.service_id)
    return page_line(run.service_id, shown.routes, runtime.base_url) or ""


def _divided(sent: Any) -> tuple[Any, dict[str, str] | None]:
    """(The input, the files of a form in it.) Raises InvalidInput for files that are no texts."""
    if not isinstance(sent, dict) or FORM_FILES not in sent:
        return cast("Any", sent), None

    data = cast("dict[str, Any]", sent)
    files: Any = data[FORM_FILES]
    if not isinstance(files, dict) or not all(
        isinstance(text, str) for text in cast("dict[str, Any]", files).values()
    ):
        raise InvalidInput(f"`{FORM_FILES}` is an object of texts and addresses, by the fields of the form.")
    return {name: value for name, value in data.items() if name != FORM_FILES}, cast("dict[str, str]", files)


async def _apply(runtime: Runtime, caller: Caller, dry_run: str) -> Run:
    """Start the run that sends what a dry run held. The person has agreed to that list: see `_question`."""
    return await runtime.runs.get(
        caller, await runtime.dry_runs.apply(caller, dry_run, Consent(allow=True, way=""))
    )


async def _test(runtime: Runtime, caller: Caller, workflow_id: str, trigger_id: str, data: Any) -> Run:
    """Start the run of a test of a trigger: with `data`, or the newest item of its source."""
    trigger = await runtime.triggers.get(caller, trigger_id)
    if trigger.service_id != workflow_id:
        raise InvalidInput(f"This trigger starts {trigger.service_id}.", hint="Give that as `workflow_id`.")
    sample = await runtime.triggers.test(caller, trigger_id, TriggerTest(run=True, data=data))
    if sample.run_id is None:
        raise Conflict("The test started no run.", hint="list_triggers shows the trigger's state.")
    return await runtime.runs.get(caller, sample.run_id)


async def _cancel(runtime: Runtime, caller: Caller, recording: asyncio.Future[Run]) -> None:
    """Cancel a run as soon as it is recorded."""
    with contextlib.suppress(CodewordsError):  # the run was refused, or has finished
        run = await recording
        await runtime.runs.cancel(caller, run.id)


async def _refuse_own_chrome(runtime: Runtime, caller: Caller, workflow_id: str) -> None:
    """Raise InvalidInput for a service that acts in the person's own Chrome.

    Only workflows that the person agreed to may use it, never a model directly.
    """
    service = workflow_id.strip("/ ").partition("/")[0]
    if service in OWN_CHROME and (await runtime.browsers.get(caller)).paired:
        raise InvalidInput(
            f"{service} acts in the user's own Chrome, for workflows only that they agreed to.",
            hint="Deploy a workflow that calls it; deploying asks the user.",
        )


async def _question(ctx: ToolContext, arguments: dict[str, Any]) -> Question | None:
    """Return the question for a service that sends, changes or acts on something; None for others."""
    refuse_integrations(arguments["workflow_id"])
    runtime, caller = runtime_and_caller(ctx)
    if (dry_run := arguments.get("apply")) is not None:
        return await runtime.dry_runs.question(caller, dry_run)
    await _refuse_own_chrome(runtime, caller, arguments["workflow_id"])
    if arguments.get("dry_run"):
        return None
    return runtime.services.question(
        caller, arguments["workflow_id"], arguments.get("path", "/"), arguments.get("input")
    )


TOOL = tool(
    run_workflow,
    title="Run workflow",
    hints=EXECUTES,
    task="optional",
    retryable=True,
    confirm=_question,
    card=RUN_CARD,
)
