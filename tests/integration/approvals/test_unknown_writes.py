"""Runs that wait, and end with a question about a write: the run that goes on from them has their waits."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.integration.approvals.helpers import YES, approval_ground, question
from tests.integration.runtime.helpers import deployed
from tests.support.background_runs import with_options
from tests.support.runtime import ADMIN, finished, request, workflow
from tests.support.waiting import until_async

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS
from codewords_mcp.runtime.model.webhook import Arrival

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_WRITES_AND_WAITS = """
import asyncio, os, httpx

async def refuse(response):
    response.raise_for_status()

@app.post("/")
async def act(body: dict):
    async with httpx.AsyncClient(timeout=60, base_url=os.environ["CODEWORDS_RUNTIME_URI"]) as client:
        client.headers["Authorization"] = os.environ["CODEWORDS_API_KEY"]
        made = (await client.post("/run/wait/", json={"new_webhook": True})).json()
        print("ADDRESS", made["id"], flush=True)
        outside = httpx.AsyncClient(timeout=60, event_hooks={"response": [refuse]})
        replies = await asyncio.gather(
            client.post("/run/wait/", json={"for_webhook": made["id"]}),
            client.post("/run/approvals/", json={"title": "Go on?"}),
            outside.post(body["url"] + "/write", json={"key": "lost"}),
        )
    return {"waited": replies[0].json(), "answer": replies[1].json(), "sent": replies[2].status_code}
"""


@pytest.mark.requirement("runs:resume-asks", "approvals:webhook", "approvals:ask")
async def test_waits_of_a_run_that_asks_about_a_write_are_those_of_the_run_that_goes_on(
    tmp_path: Path,
) -> None:
    """The request and the answer of a person come while the first run has ended and the second has not begun."""
    options = (
        "retries = {count = 1, resume = true}",
        f'hosts = ["{HOST_ALIAS}"]',
        'services = ["approvals", "wait"]',
    )
    async with approval_ground(tmp_path, grace=600) as ground:
        runtime, host = ground.runtime, ground.host
        service = await deployed(runtime, with_options(workflow(_WRITES_AND_WAITS, title="Both"), *options))
        both_wait, left = threading.Event(), ["lost"]

        def fate(key: str) -> int:
            if key not in left:
                return 200
            left.remove(key)
            both_wait.wait(60)
            return 0

        host.fate = fate
        run_id = await runtime.runs.start(request(service, {"url": host.url}))
        asked = await question(runtime, run_id)
        run = await runtime.runs.get(ADMIN, run_id)
        address = await until_async(lambda: runtime.approvals.address_of(run), "the address")
        assert address is not None
        both_wait.set()
        run = await finished(runtime, run_id)
        assert run.error is not None
        assert run.error.code == "write_unknown", run.error

        (kept,) = await runtime.approvals.of_run(ADMIN, run_id)
        assert (kept.id, kept.status) == (asked.id, "open")
        await runtime.approvals.answer(ADMIN, asked.id, YES)
        arrival = Arrival(
            address[0].rpartition("/")[2], "POST", {}, {"content-type": "application/json"}, b'{"n": 1}'
        )
        assert (await runtime.webhooks.receive(arrival)).body == {"ok": True, "repeated": False}

        resumed = await finished(runtime, (await runtime.resumes.resume(ADMIN, run_id, sent=True)).id)
        assert resumed.status == "succeeded", resumed.error
        found = resumed.response_json
        assert (found["waited"]["status"], found["waited"]["request"]["body"]) == ("received", {"n": 1})
        assert (found["answer"]["answer"], found["sent"]) == ("approve", 202)
        assert host.doubled == []
        questions = await runtime.approvals.of_run(ADMIN, resumed.id)
        assert [(one.id, one.answered_from) for one in questions] == [(asked.id, "a test")]
