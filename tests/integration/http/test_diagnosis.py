"""Why a run failed, asked for the moment its answer is there."""

from __future__ import annotations

import httpx
import pytest
from tests.support.runtime import workflow

pytestmark = pytest.mark.requirement("author:diagnosis")
PROGRAM = workflow(
    """
import time
from fastapi import BackgroundTasks
from fastapi.responses import JSONResponse

def late() -> None:
    time.sleep(0.5)
    {}["missing"]

@app.post("/")
async def main() -> JSONResponse:
    tasks = BackgroundTasks()
    tasks.add_task(late)
    return JSONResponse({"detail": "failed"}, status_code=500, background=tasks)
""",
    title="Raises late",
)


def test_a_traceback_that_comes_after_the_response_is_waited_for(http: httpx.Client) -> None:
    made = http.post("/deploy", json={"code": PROGRAM, "name": "Raises late", "allow": True}).json()
    run = http.post(f"/run/{made['service_id']}/")
    assert run.status_code == 500
    found = http.get(f"/runs/{run.headers['x-request-id']}/diagnosis").json()
    line = PROGRAM.splitlines().index('    {}["missing"]') + 1
    assert found["diagnosis"]["error"] == "KeyError: 'missing'"
    assert f">{line:>4} " in found["diagnosis"]["around"]
    assert found["next_step"] == "code"


ASKS_MODEL = workflow(
    """
import httpx, os

@app.post("/")
async def main() -> None:
    url = os.environ["CODEWORDS_RUNTIME_URI"] + "/run/openai/v1/chat/completions"
    headers = {"authorization": "Bearer " + os.environ["CODEWORDS_API_KEY"]}
    async with httpx.AsyncClient() as client:
        body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
        (await client.post(url, headers=headers, json=body)).raise_for_status()
""",
    title="Asks a model",
)


def test_a_model_without_a_key_is_named_where_the_exception_does_not_tell(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = http.post("/deploy", json={"code": ASKS_MODEL, "name": "Asks a model", "allow": True}).json()
    run = http.post(f"/run/{made['service_id']}/")
    found = http.get(f"/runs/{run.headers['x-request-id']}/diagnosis").json()
    assert (found["next_step"], found["secret"]) == ("secret", "OPENAI_API_KEY")
    assert found["diagnosis"]["fix"] == "OPENAI_API_KEY has no value yet: a person sets it."
