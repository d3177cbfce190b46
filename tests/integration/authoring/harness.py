"""Carries out one authoring task: generate, deploy the draft, run the workflow, let the task judge its answers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from tests.integration.authoring.tasks import Task
from tests.support.runtime import ADMIN, ALLOWED

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.authoring import GenerationAttempt
from codewords_testing.providers import LoopbackProviders
from codewords_testing.providers.scripted import chat_reply


@dataclass(slots=True)
class Outcome:
    """How a task went: `works` if its workflow passes the task's own check; else `failure` says what happened."""

    task: Task
    works: bool = False
    failure: str = ""
    model: str = ""
    seconds: float = 0.0
    tried: list[GenerationAttempt] = field(default_factory=list[GenerationAttempt])
    cost: float | None = None


async def carry_out(runtime: Runtime, task: Task, model: LoopbackProviders | None) -> Outcome:
    """With the task's recorded replies, or, without `model`, with the real provider that has a key."""
    if model is not None:
        model.answer_next(*map(chat_reply, task.replies))
    outcome, began = Outcome(task), time.perf_counter()
    try:
        await _carry_out(runtime, task, outcome)
    except CodewordsError as error:
        outcome.failure = f"{error.code}: {error.message}"
    outcome.seconds = time.perf_counter() - began
    return outcome


async def _carry_out(runtime: Runtime, task: Task, outcome: Outcome) -> None:
    made = await runtime.authoring.generate(ADMIN, task.description)
    if made.draft is None:
        outcome.failure = "there is no model to ask"
        return
    outcome.tried, outcome.model, outcome.cost = made.draft.tried, made.draft.model, made.draft.cost
    if made.status != "ready":
        outcome.failure = f"{made.why}: {made.draft.tried[-1].problem}"
        return
    live = await runtime.workflows.deploy(
        ADMIN, draft_id=made.draft.draft_id, name=task.name, consent=ALLOWED
    )
    for given, right in task.inputs:
        run = await runtime.runs.call(ADMIN, live.service_id, data=given)
        if run.status != "succeeded" or not right(run.response_json):
            outcome.failure = f"{given} gave {run.response_status} {run.response_content}"
            return
    outcome.works = True
