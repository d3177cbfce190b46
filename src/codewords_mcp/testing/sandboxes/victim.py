"""A process with a driver and sandboxes that is there to be killed: `driver.crash` starts it."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import structlog

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.network import SuiteNetwork
from codewords_mcp.testing.sandboxes.stage import Context, MakeDriver

_CHILD = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", mark])
"""


async def _main(task: dict[str, Any]) -> None:
    """Start sandboxes of two kinds, say so on stdout, and wait for the end."""
    module, _, name = task["make_driver"].partition(":")
    # By name: the function itself cannot be passed to another process.
    make_driver: MakeDriver = getattr(importlib.import_module(module), name)
    fields = task["environment"]
    environment = EnvironmentRef(Path(fields["path"]), Path(fields["base_prefix"]), fields["python_version"])
    network, folder = SuiteNetwork(), Path(task["folder"])
    driver = await make_driver(network, folder)
    context = Context(driver, network, environment, make_driver, folder)
    held = (f"mark = {task['mark']!r}", _CHILD)
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(600)"
    waiting = await context.start(context.spec(*held, stubborn))
    serving = await context.start(context.spec(*held, programs.LITTLE, "serve('served')"))
    await waiting.until_printed(b"ready")
    await serving.ready()
    sys.stdout.write("running\n")
    sys.stdout.flush()
    # Until the suite kills this process.
    await asyncio.Event().wait()


if __name__ == "__main__":
    # stdout is for "running".
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sys.path += [path for path in json.loads(sys.argv[2]) if path not in sys.path]
    asyncio.run(_main(json.loads(sys.argv[1])))
