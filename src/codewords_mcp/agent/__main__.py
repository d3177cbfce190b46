"""The agent's command line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from codewords_mcp.common.frozen_imports import loading

with loading(models=False):
    import structlog

    from codewords_mcp.agent.machine import AgentMachine
    from codewords_mcp.agent.server import Agent
    from codewords_mcp.runtime.sandboxes.e2b.protocol import AGENT_PORT


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m codewords_mcp.agent", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path("/var/lib/codewords"))
    parser.add_argument("--port", type=int, default=AGENT_PORT)
    parser.add_argument("--ready", type=Path, help="a file to make when programs can be started")
    return parser.parse_args(arguments)


async def _main(options: argparse.Namespace) -> None:
    machine = await AgentMachine.open(options.home)
    try:
        async with Agent(machine).serving(options.port):
            if options.ready is not None:
                options.ready.touch()
            await asyncio.Event().wait()
    finally:
        await machine.driver.close()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_main(_arguments(sys.argv[1:])))
