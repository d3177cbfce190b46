"""A runtime whose sandboxes reach a TLS host on loopback, and a workflow that asks it whatever its input says."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runtime.helpers import serving
from tests.integration.secrets.tls_host import Ca, StandIn, standing_in, trusted
from tests.support.runtime import ADMIN, fetch, make_home, open_runtime, workflow
from tests.support.waiting import until_async

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.recording.exchanges import Recording

_CALLS = """
import httpx, json as texts, os

@app.post("/")
async def act(request: Request):
    asked = await request.json()
    replies = []
    async with httpx.AsyncClient(timeout=30) as client:
        for method, url, data in asked["calls"]:
            headers = {}
            if url.startswith("/"):
                url = os.environ["CODEWORDS_RUNTIME_URI"] + url
                headers["Authorization"] = os.environ["CODEWORDS_API_KEY"]
            reply = await client.request(method, url, json=data, headers=headers)
            replies.append([reply.status_code, reply.text[:200]])
    if asked.get("fail"):
        raise RuntimeError("as asked")
    return {"replies": replies}
"""


def calling(tool: str = "", *, title: str = "Calls", env: tuple[str, ...] = ()) -> str:
    """The workflow. `tool` are further lines of [tool.codewords]."""
    code = workflow(_CALLS, title=title, env=env)
    lines = "".join(f"# {line}\n" for line in ["[tool.codewords]", *tool.splitlines()])
    return code.replace("# ///\nfrom fastapi", f"{lines}# ///\nfrom fastapi", 1)


@dataclass
class RecordingGround:
    """A runtime, and the host that its workflows reach at `url`."""

    runtime: Runtime
    host: StandIn
    authority: str
    """The host's authority, in PEM."""

    @property
    def url(self) -> str:
        """The host's address, without a path."""
        return f"https://{HOST_ALIAS}:{self.host.port}"

    async def run(self, service_id: str, *calls: list[Any], **more: Any) -> tuple[int, Any, str]:
        """(status, answer, run id) of a run that makes these calls, [method, url or path, data]."""
        data = {"calls": calls, **more}
        status, body, run_id = await fetch(self.runtime, service_id, data)
        return status, json.loads(body) if body[:1] in b"{[" else body, run_id

    async def recording(self, run_id: str) -> Recording:
        """The recording of a run, once it is stored."""

        async def find() -> Recording | None:
            try:
                return await self.runtime.recordings.load(ADMIN, run_id)
            except NotFound:
                return None

        found = await until_async(find)
        assert found is not None
        return found


@asynccontextmanager
async def recording_ground(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    more_ports: Sequence[int] = (),
    own_ports: Sequence[int] = (),
    ca: Ca | None = None,
    **settings: Any,
) -> AsyncGenerator[RecordingGround]:
    """Open the runtime and its host, which `ca` signs. Sandboxes may reach `more_ports` of this machine too, services `own_ports`."""
    ca = ca or Ca(tmp_path)
    async with standing_in(ca, HOST_ALIAS) as host:
        allowed = [f"{HOST_ALIAS}:{port}" for port in (host.port, *more_ports)]
        allowed += [f"127.0.0.1:{port}" for port in own_ports]
        with trusted(ca, monkeypatch):
            home = make_home(tmp_path / "home")
            async with (
                open_runtime(home, egress_allow_private=allowed, **settings) as runtime,
                serving(runtime),
            ):
                yield RecordingGround(runtime, host, ca.file.read_text(encoding="ascii"))
