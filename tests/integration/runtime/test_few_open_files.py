"""A runtime that may open few files answers more calls than it has room for, or turns them away for now."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest
from tests.support.served_runtime import environment, start_runtime

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("runs:open-files")]

LIMITED = ("prlimit", "--nofile=192:192")
CALLS = 40
CODE = """
# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "uvicorn"]
# ///
import os, time
from fastapi import FastAPI
app = FastAPI()

@app.post("/")
def answer() -> dict:
    time.sleep(0.2)
    return {}

if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""


async def test_more_calls_than_open_files_are_answered_in_turn_or_told_to_come_again(tmp_path: Path) -> None:
    with start_runtime(tmp_path, under=LIMITED) as runtime:
        service = runtime.deploy(CODE, "few-files")
        headers = {"Authorization": runtime.key}
        async with httpx.AsyncClient(base_url=runtime.url, headers=headers, timeout=120) as client:
            answers = await asyncio.gather(*(client.post(f"/run/{service}/", json={}) for _ in range(CALLS)))
            statuses = Counter(answer.status_code for answer in answers)
            assert statuses[200] > CALLS // 2, statuses
            assert set(statuses) <= {200, 429}, [answer.text for answer in answers]
            assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)
            assert (await client.post(f"/run/{service}/", json={})).status_code == 200
    assert "limit of open files is low" in (tmp_path / "serve.log").read_text(encoding="utf-8")


def test_doctor_says_that_the_limit_is_low_and_how_to_raise_it(tmp_path: Path) -> None:
    command = [*LIMITED, sys.executable, "-m", "codewords_mcp", "doctor"]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environment(tmp_path), timeout=120, check=False
    )
    assert "a runtime may open 192 files here" in done.stdout, done.stdout + done.stderr
    assert "ulimit -n" in done.stdout
