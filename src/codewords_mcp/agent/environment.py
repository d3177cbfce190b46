"""Builds the machine's environment from the host's pins, by the same steps as the host's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.e2b.mux import Json
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.environments.uv import find_uv
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings

_WARM_SECONDS: Final = 20.0
_WARM_POLL: Final = 0.05
_SCRIPT: Final = """# /// script
# requires-python = "=={python}.*"
# dependencies = {pins}
# [tool.codewords]
# client = "{client}"
# ///
"""


async def build(home: Path, request: Json, report: Callable[[str], None]) -> EnvironmentRef:
    """Raises EnvironmentFailed, StorageFailed."""

    async def progress(_: float, __: float, message: str) -> None:
        report(message)

    client = "ours" if request["client"] else "pypi"
    code = _SCRIPT.format(python=request["python"], pins=json.dumps(request["pins"]), client=client)
    code += request["modules"]
    # The same steps as the host's, so that an environment behaves alike on both sides.
    environments = Environments(home, Settings(home=home), find_uv())

    try:
        return (await environments.ensure(parse_script(code), progress)).ref
    finally:
        await environments.close()


async def warm(driver: LocalDriver, environment: EnvironmentRef) -> None:
    """Have a fork server, and a warm sandbox behind it, if there can be one; else programs start by exec."""
    await driver.prepare(environment)
    waited = 0.0

    while waited < _WARM_SECONDS:
        pools = driver.forks.describe()
        if not pools or any(pool["warm"] for pool in pools):
            return
        # A fork server that can't be made leaves another text: waiting on would be in vain.
        if any(
            "its fork server is being made" not in pool["starts"] and pool["starts"] != "forks"
            for pool in pools
        ):
            return

        await asyncio.sleep(_WARM_POLL)
        waited += _WARM_POLL
