"""A runtime with a workflow whose runs may be resumed, and the host that it writes to."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.runtime.helpers import deployed, serving
from tests.support.counting_host import CountingHost, counting_host
from tests.support.resumable_runs import resumable
from tests.support.runtime import finished, make_home, open_runtime, request

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.run import Run


@dataclass
class ResumeGround:
    """A runtime, a workflow, and the host that it writes to."""

    runtime: Runtime
    service: str
    host: CountingHost

    def write(self, key: str, headers: dict[str, str] | None = None, **more: Any) -> list[Any]:
        """A call that writes."""
        return ["POST", f"{self.host.url}/write", {"key": key, **more}, headers]

    def read(self, name: str) -> list[Any]:
        """A call that reads."""
        return ["GET", f"{self.host.url}/{name}"]

    async def start(
        self, *steps: list[list[Any]], service: str = "", timeout: float | None = None, **more: Any
    ) -> str:
        """The id of a background run that takes these steps."""
        data = {"steps": steps, "strict": True, **more}
        return await self.runtime.runs.start(request(service or self.service, data, timeout=timeout))

    async def run(self, *steps: list[list[Any]], **more: Any) -> Run:
        """The record of a background run that takes these steps, when it has ended."""
        run_id = await self.start(*steps, **more)
        while True:
            run = await finished(self.runtime, run_id)
            if run.completed_at is not None:
                return run

    def fails_once(self, *names: str) -> None:
        """Answer the first of these requests with 500, or cut it off if it writes."""
        left = set(names)

        def fate(key: str) -> int:
            if key not in left:
                return 200
            left.discard(key)
            return 500 if key.startswith("/") else 0

        self.host.fate = fate


@asynccontextmanager
async def resume_ground(
    tmp_path: Path, *, retries: str = "{count = 3, resume = true}", **settings: Any
) -> AsyncGenerator[ResumeGround]:
    """Open the runtime and its host."""
    home = make_home(tmp_path / "home")
    with counting_host() as host:
        allowed = [f"127.0.0.1:{host.port}"]
        async with (
            open_runtime(home, egress_allow_private=allowed, **settings) as runtime,
            serving(runtime),
        ):
            yield ResumeGround(runtime, await deployed(runtime, resumable(retries)), host)


def outcomes(run: Run) -> list[str | None]:
    return [one.outcome for one in run.attempts]


def replies(run: Run) -> Any:
    assert run.response_content is not None
    return json.loads(run.response_content)["replies"]
