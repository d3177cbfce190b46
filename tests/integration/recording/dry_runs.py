"""Dry runs, and runs that send what they held, for the tests of both."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.recording.helpers import RecordingGround, calling
from tests.integration.runtime.helpers import deployed
from tests.support.runtime import (
    ADMIN,
    fetch,
    finished,
)

from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.dry_run import DryRunInfo
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.workflow import Consent

ALLOWED = Consent(allow=True)


def arrived(ground: RecordingGround) -> list[str]:
    """What reached the host since it was last asked for."""
    found = [f"{one['method']} {one['path']} {one['body']}".strip() for one in ground.host.asked]
    ground.host.asked.clear()
    return found


async def dry(
    ground: RecordingGround, service: str, *calls: list[Any], **more: Any
) -> tuple[list[Any], DryRunInfo]:
    """(the replies that the program got, the list) of a dry run."""
    status, body, run_id = await fetch(ground.runtime, service, {"calls": calls, **more}, mode="dry_run")
    assert status == 200, body
    await ground.recording(run_id)
    return json.loads(body)["replies"], await ground.runtime.dry_runs.get(ADMIN, run_id)


async def applied(ground: RecordingGround, run_id: str) -> Run:
    started = await ground.runtime.dry_runs.apply(ADMIN, run_id, ALLOWED)
    return await finished(ground.runtime, started)


async def deploy_dry(ground: RecordingGround) -> str:
    """A workflow that makes the calls of its input, of hosts and of services."""
    tool = f'services = ["send_email", "files", "database"]\nhosts = ["{HOST_ALIAS}"]'
    return await deployed(ground.runtime, calling(tool, title="Dry"))
