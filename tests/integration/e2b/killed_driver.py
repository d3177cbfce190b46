"""A runtime's driver with a program, which is there to be killed at whatever moment."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.integration.e2b.programs import COUNTER, ask, spec

from codewords_mcp.runtime.sandboxes.e2b.driver import E2BDriver
from codewords_mcp.runtime.sandboxes.e2b.protocol import to_environment
from codewords_mcp.settings import Settings


async def main(task: dict[str, Any]) -> None:
    folder = Path(task["folder"])
    driver = await E2BDriver.open(Settings(home=folder.parent, sandbox="e2b", e2b_ttl=15), None, folder)
    sandbox = await driver.start(spec(to_environment(task["environment"]), COUNTER))
    sys.stdout.write(await ask(sandbox) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
