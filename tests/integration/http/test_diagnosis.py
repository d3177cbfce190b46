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
