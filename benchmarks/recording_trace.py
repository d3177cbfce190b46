"""How long does the trace of a run with 500 spans take, from the request to its last byte?

The run is a real one: its program made 490 requests. The peer is the run's record, asked of the same server in turns.

    python benchmarks/recording_trace.py [--quick] [--json]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import httpx
from _bench import Options, Question, options, report
from _sandboxes import quiet
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home, workflow

from codewords_mcp.settings import Settings

SPANS = 500
CALLS = SPANS - 6
"""The other spans are the run's own and its phases."""
PROGRAM = workflow(
    f"""
import os, httpx

@app.post("/")
async def ask():
    headers = {{"Authorization": os.environ["CODEWORDS_API_KEY"]}}
    async with httpx.AsyncClient(base_url=os.environ["CODEWORDS_RUNTIME_URI"], headers=headers) as client:
        for number in range({CALLS}):
            (await client.get(f"/services?number={{number}}")).raise_for_status()
""",
    title="Asks often",
)


def milliseconds(client: httpx.Client, path: str) -> float:
    """The time of one answer."""
    began = time.perf_counter()
    answer = client.get(path)
    took = (time.perf_counter() - began) * 1000
    answer.raise_for_status()
    return took


def measure(chosen: Options, folder: Path) -> Question:
    """Ask for the trace and the record in turns."""
    question = Question(f"trace of a run with {SPANS} spans", "the run's record", "ms", None, at_most=20)
    settings = Settings(home=make_home(folder), port=0, api_key=ADMIN_KEY)
    with Door(settings) as door, door.client() as client:
        deployed = client.post("/deploy", json={"code": PROGRAM, "name": "asks", "allow": True}, timeout=300)
        deployed.raise_for_status()
        ran = client.post(f"/run/{deployed.json()['service_id']}/", timeout=120)
        ran.raise_for_status()
        run_id = ran.headers["x-request-id"]
        trace = client.get(f"/runs/{run_id}/trace").json()
        assert len(trace["spans"]) >= SPANS - 1, len(trace["spans"])

        for _ in range(chosen.runs):
            question.ours.append(milliseconds(client, f"/runs/{run_id}/trace"))
            question.peer.append(milliseconds(client, f"/request/{run_id}"))
    return question


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options((__doc__ or "").splitlines()[0], runs=400, quick_runs=100)
    with tempfile.TemporaryDirectory() as folder:
        return report([measure(chosen, Path(folder))], chosen)


if __name__ == "__main__":
    sys.exit(main())
