"""The check of a script that asks for snapshots: whether its runs will start from one, and why not."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.sandboxes.base import (
    Capability,
    Driver,
    EnvironmentRef,
    Limits,
    SandboxSpec,
    SnapshotDriver,
)
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.boot import PORT, STAND_IN, stand_ins
from codewords_mcp.runtime.workflows.validation.repair import runnable_code

_FIX = (
    "Do it when a route is asked, or in a function `__after_restore__()` of the script, which is called in each run "
    "before the server starts."
)


async def check_snapshot(
    script: Script, environment: EnvironmentRef, driver: Driver, limits: Limits, config: Mapping[str, str]
) -> Check:
    """Take a snapshot of the script, as its first run will; `config` are plain configuration values by variable.

    Never fails: a script that is unfit starts as without.
    """
    # Where connections are not caught, the variables of a run name proxies, which are its own.
    if not isinstance(driver, SnapshotDriver) or Capability.TRANSPARENT_EGRESS not in driver.capabilities:
        return Check(
            id="snapshot", status="note", message="Sandboxes of this machine start without snapshots."
        )
    variables = stand_ins(script, config)
    secret = {name for name, value in variables.items() if STAND_IN in value}
    spec = SandboxSpec(
        id=f"snapshot-{uuid.uuid4().hex[:12]}",
        environment=environment,
        code=runnable_code(script),
        env=variables,
        limits=limits,
        port=PORT,
        network=False,
        snapshot=frozenset(variables) - secret,
    )
    reasons = await driver.judge_snapshot(spec)
    if reasons is None:
        return Check(
            id="snapshot",
            status="note",
            message="Whether it is fit for a snapshot will turn out when it runs.",
        )
    if not reasons:
        return Check(id="snapshot", status="passed", message="Its runs start from a snapshot of its imports.")
    return Check(
        id="snapshot",
        status="note",
        message=f"Its runs start without a snapshot: {'; '.join(reasons)}.",
        fix=_FIX,
    )
