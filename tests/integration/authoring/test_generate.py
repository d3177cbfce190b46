"""Generating with a scripted model that errs, behind the real gateway; and why runs failed."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.authoring.harness import carry_out
from tests.integration.authoring.tasks import ERRING, TASKS, WORDS, code_of, fenced
from tests.support.runtime import ADMIN, deploy, make_home, open_runtime, workflow

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.authoring import Edit
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.model_errors import ModelAnswerInvalid
from codewords_testing.providers import LoopbackProviders
from codewords_testing.providers.model import StubReply
from codewords_testing.providers.scripted import chat_reply

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

BROKEN = fenced(code_of(WORDS).replace("len(asked.text)}", "len(asked.texts)}"))
"""Crashes on any input."""


@pytest.mark.requirement("author:tasks")
@pytest.mark.parametrize("task", [WORDS, *ERRING], ids=lambda task: task.name)
async def test_a_task_ends_in_a_deployed_workflow_that_passes_its_own_check(
    runtime: Runtime, model: LoopbackProviders, task: object
) -> None:
    found = next(one for one in TASKS if one is task)
    outcome = await carry_out(runtime, found, model)
    assert (outcome.works, outcome.failure) == (True, "")
    assert len(outcome.tried) == len(found.replies)
    assert [bool(one.problem) for one in outcome.tried] == [True] * (len(found.replies) - 1) + [False]


@pytest.mark.requirement("author:tasks")
async def test_there_are_forty_tasks_of_which_half_err(runtime: Runtime) -> None:
    assert (len(TASKS), len(ERRING)) == (40, 20)
    assert len({task.description for task in TASKS}) == 40


@pytest.mark.requirement("author:generate")
async def test_a_draft_tells_how_it_was_written_and_the_same_wish_gives_it_again(
    runtime: Runtime, model: LoopbackProviders
) -> None:
    heard: list[str] = []

    async def hear(done: float, total: float, message: str) -> None:
        assert 0 <= done <= total
        heard.append(message)

    model.answer_next(chat_reply(BROKEN), chat_reply(code_of(WORDS).join(["```python\n", "```"])))
    made = await runtime.authoring.generate(ADMIN, "Counts words.", constraints="No packages.", progress=hear)
    draft = made.draft
    assert made.status == "ready"
    assert draft is not None
    assert draft.model == "openai/gpt-4.1"
    assert draft.plan.startswith("1. read the input")
    assert "AttributeError" in draft.tried[0].problem
    assert draft.cost is not None
    assert draft.cost > 0
    assert [message.split(":")[0] for message in heard[::2]] == [
        "Answer 1 of 5 at most",
        "Answer 2 of 5 at most",
    ]
    asked = [request for request in model.requests if "Counts words." in request.body.decode()]
    assert len(asked) == 2
    assert "No packages." in asked[0].body.decode()
    assert "len(asked.texts)" in asked[1].body.decode()
    again = await runtime.authoring.generate(ADMIN, " Counts words. ", constraints="No packages.")
    assert again.draft is not None
    assert again.draft.draft_id == draft.draft_id
    assert len([request for request in model.requests if "Counts words." in request.body.decode()]) == 2


@pytest.mark.requirement("author:generate-bounds")
async def test_the_same_fault_three_times_ends_it_with_the_best_draft(
    runtime: Runtime, model: LoopbackProviders
) -> None:
    model.answer_next(*[chat_reply(BROKEN)] * 3)
    made = await runtime.authoring.generate(ADMIN, "Counts words again and again.")
    assert (made.status, made.why) == ("unfinished", "3 answers in a row had the same fault")
    assert made.draft is not None
    assert len(made.draft.tried) == 3
    edited = await runtime.drafts.edit(
        ADMIN, made.draft.draft_id, edits=[Edit(old="asked.texts", new="asked.text")]
    )
    assert edited.draft.ready
    assert [check.id for check in edited.resolved] == ["smoke"]


OpenLimited = Callable[..., AbstractAsyncContextManager[Runtime]]


@pytest.fixture
def limited(runtime: Runtime, tmp_path: Path, model: LoopbackProviders) -> OpenLimited:
    """Open another runtime with these settings, beside the module's, whose key of a provider it shares."""
    homes = (make_home(tmp_path / str(number)) for number in itertools.count())

    def open_limited(**settings: Any) -> AbstractAsyncContextManager[Runtime]:
        return open_runtime(next(homes), openai_base_url=model.url, **settings)

    return open_limited


@pytest.mark.requirement("author:generate-bounds")
async def test_rounds_and_budget_end_it_before_the_next_answer(
    limited: OpenLimited, model: LoopbackProviders
) -> None:
    spent = len(model.requests)
    model.answer_next(chat_reply(BROKEN))
    async with limited(author_budget=0.0001) as runtime:
        made = await runtime.authoring.generate(ADMIN, "Counts words for little money.")
    assert made.status == "unfinished"
    assert "beyond the budget of 0.0001 USD" in made.why
    assert len(model.requests) == spent + 1
    faults = [BROKEN, fenced(code_of(WORDS).replace("import os\n", "import os, no_such_module\n"))]
    model.answer_next(*map(chat_reply, faults))
    async with limited(author_budget=1, author_rounds=2) as runtime:
        made = await runtime.authoring.generate(ADMIN, "Counts words in two rounds.")
    assert made.why == "2 answers did not pass every check"


@pytest.mark.requirement("author:generate-bounds")
async def test_what_was_broken_off_is_gone_on_with_by_the_same_wish(
    runtime: Runtime, model: LoopbackProviders
) -> None:
    wish = "Counts words although the provider fails in between."
    model.answer_next(chat_reply(BROKEN))
    with pytest.raises(Exception, match=r"answered \d+|not fit|model"):
        await _with_failing_second(runtime, model, wish)
    model.answer_next(chat_reply(WORDS.replies[0]))
    made = await runtime.authoring.generate(ADMIN, wish)
    assert made.status == "ready"
    assert made.draft is not None
    assert [bool(one.problem) for one in made.draft.tried] == [True, False]


async def _with_failing_second(runtime: Runtime, model: LoopbackProviders, wish: str) -> None:
    refused = chat_reply("")
    refused.status, refused.body = 400, b'{"error": {"message": "no", "type": "invalid_request_error"}}'
    model.answer_next(refused)
    await runtime.authoring.generate(ADMIN, wish)


@pytest.mark.requirement("author:generate-bad")
async def test_answers_without_a_program_end_in_words(runtime: Runtime, model: LoopbackProviders) -> None:
    model.answer_next(*[chat_reply("I would rather talk about the weather.")] * 3)
    with pytest.raises(ModelAnswerInvalid, match="no program in 3 answers"):
        await runtime.authoring.generate(ADMIN, "Talks about the weather.")
    model.answer_next(*[chat_reply("I would rather talk about the weather.")] * 3)
    instead = await runtime.authoring.generate(ADMIN, "Talks about rain.", brief_on_failure=True)
    assert (instead.status, instead.draft) == ("brief", None)
    assert "no program in 3 answers, which cost" in instead.why
    assert instead.brief is not None
    model.answer_next(chat_reply(fenced(code_of(WORDS)[:300]), finish="length"), chat_reply(WORDS.replies[0]))
    made = await runtime.authoring.generate(ADMIN, "Counts words after being cut off.")
    assert made.draft is not None
    assert "cut off" in made.draft.tried[0].problem


@pytest.mark.requirement("author:brief-on-failure")
@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, {"error": {"message": "bad key", "type": "invalid_request_error"}}, "refused"),
        (404, {"error": {"message": "no such model", "type": "invalid_request_error"}}, "has no model"),
    ],
)
async def test_a_provider_that_fails_leaves_the_brief_and_says_what_was_paid(
    runtime: Runtime, model: LoopbackProviders, status: int, body: dict[str, Any], told: str
) -> None:
    def failing() -> StubReply:
        return StubReply(status, json.dumps(body).encode(), headers=[("content-type", "application/json")])

    model.answer_next(failing())
    at_once = await runtime.authoring.generate(ADMIN, f"Counts {status} words.", brief_on_failure=True)
    assert at_once.brief is not None
    assert told in at_once.why
    assert "USD" not in at_once.why
    # One answer was paid, and is kept.
    model.answer_next(chat_reply(BROKEN), failing())
    later = await runtime.authoring.generate(ADMIN, f"Counts {status} more words.", brief_on_failure=True)
    assert later.status == "brief"
    assert re.search(r"cost 0\.\d+ USD\. The last one is the draft draft_\w+\.", later.why), later.why


@pytest.mark.requirement("author:generate-bad")
@pytest.mark.parametrize(
    ("wish", "told"), [("", "empty"), (" \n!?", "empty"), ("x" * 100_000, "100,000 characters")]
)
async def test_a_description_that_is_none_is_refused_before_any_model_is_asked(
    runtime: Runtime, model: LoopbackProviders, wish: str, told: str
) -> None:
    before = len(model.requests)
    with pytest.raises(InvalidInput, match=told):
        await runtime.authoring.generate(ADMIN, wish)
    assert len(model.requests) == before


FAILING = """
import logging
from pydantic import BaseModel

class Order(BaseModel):
    prices: dict[str, int]
    item: str

@app.post("/")
async def price(order: Order):
    print("STEPLOG START load")
    print("STEPLOG START look up")
    return {"price": find(order)}

def find(order):
    return order.prices[order.item]
"""


@pytest.mark.requirement("author:diagnosis")
async def test_a_failed_run_is_diagnosed_with_its_lines_input_and_what_changed(runtime: Runtime) -> None:
    service = await deploy(
        runtime, workflow(FAILING.replace("[order.item]", ".get(order.item, 0)")), name="Priced"
    )
    good = await runtime.runs.call(ADMIN, service, data={"prices": {"a": 1}, "item": "a"})
    assert good.status == "succeeded"
    assert await runtime.authoring.diagnose(ADMIN, good) is None
    await deploy(runtime, workflow(FAILING), service_id=service)
    run = await runtime.runs.call(ADMIN, service, data={"prices": {"a": 1}, "item": "pear"})
    assert run.status == "failed"
    async for _ in runtime.logs.lines(ADMIN, run.id):
        pass
    why = await runtime.authoring.diagnose(ADMIN, run)
    assert why is not None
    assert (why.step, why.error) == ("look up", "KeyError: 'pear'")
    assert [frame.text for frame in why.frames] == [
        'return {"price": find(order)}',
        "return order.prices[order.item]",
    ]
    [marked] = [line for line in (why.around or "").splitlines() if line.startswith(">")]
    assert marked.endswith("return order.prices[order.item]")
    assert why.input == '{"prices": {"a": 1}, "item": "pear"}'
    assert "Version 1 succeeded" in (why.since or "")
    assert "+    return order.prices[order.item]" in (why.since or "")
    assert ".get(" in (why.fix or "")
    same = await runtime.runs.call(ADMIN, service, data={"prices": {}, "item": "a"})
    again = await runtime.authoring.diagnose(ADMIN, same)
    assert again is not None
    assert await runtime.authoring.diagnose(Caller("stranger", "user"), same) is None, (
        "it shows the owner's code"
    )
    refused = await runtime.runs.call(ADMIN, service, data={"item": 3})
    told = await runtime.authoring.diagnose(ADMIN, refused)
    assert told is not None
    assert "does not fit the route's schema" in (told.fix or "")
