"""Background runs and replicas of served runtimes, asked and killed from outside."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime
from tests.support.waiting import until


def start(runtime: ServedRuntime, service: str, name: str, seconds: float = 0, delay: float = 0) -> str:
    """A background run; its id."""
    request = urllib.request.Request(
        f"{runtime.url}/run_async/{service}/",
        data=f'{{"name": "{name}", "seconds": {seconds}}}'.encode(),
        headers={
            "Authorization": runtime.key,
            "Content-Type": "application/json",
            "Codewords-Delay": str(delay),
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers["X-Request-Id"]


def record(runtime: ServedRuntime, run_id: str) -> Any:
    return runtime.call("GET", f"/request/{run_id}")


def result(runtime: ServedRuntime, run_id: str) -> Any:
    return runtime.call("GET", f"/result/{run_id}?timeout=120")


def running(runtime: ServedRuntime, *run_ids: str) -> None:
    for run_id in run_ids:
        until(lambda one=run_id: record(runtime, one)["status"] == "running", "the run to be running")


def outcomes(run: Any) -> list[str]:
    return [attempt["outcome"] for attempt in run["attempts"]]


def lines(runtime: ServedRuntime, run_id: str, *, follow: bool = True) -> list[Any]:
    request = urllib.request.Request(
        f"{runtime.url}/logs/{run_id}?follow={int(follow)}", headers={"Authorization": runtime.key}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [json.loads(line) for line in answer.read().splitlines() if line]


def fired(runtime: ServedRuntime, service: str) -> list[Any]:
    return list(runtime.call("GET", f"/runs?service_id={service}&limit=100")["items"])


SHARED = {
    "CODEWORDS_API_KEY": "cwk-replicas-share-their-admin-key",
    "CODEWORDS_MASTER_KEY": "a1" * 32,
    "CODEWORDS_REPLICA_TTL": "5",  # on a busy machine a replica that lives may not come to say so for two seconds
    "CODEWORDS_DRAIN_TIMEOUT": "1",
}


Replicas = Callable[..., list[ServedRuntime]]


@contextlib.contextmanager
def starting(url: str, folder: Path) -> Generator[Replicas]:
    """Start so many runtimes on one database; called again, so many more on the same."""
    homes = (folder / f"home {n}" for n in range(100))
    with ExitStack() as stack:

        def start_some(count: int, **env: str) -> list[ServedRuntime]:
            shared = SHARED | {"CODEWORDS_DATABASE_URL": url, "CODEWORDS_FILES": str(folder / "files")} | env
            return [
                stack.enter_context(start_runtime(make_home(next(homes)), **shared)) for _ in range(count)
            ]

        yield start_some


SLOW_WORKFLOW = workflow(
    """
import asyncio
@app.post("/")
async def main(body: dict):
    print("working", flush=True)
    await asyncio.sleep(body["seconds"])
    return {"done": True}
""",
    title="Slow",
)
"""With the packages of the other tests' workflows, so that its environment is there."""
