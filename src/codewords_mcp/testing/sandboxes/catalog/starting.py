"""Programs that serve, in the ways people write them."""

from __future__ import annotations

import json
from pathlib import Path

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.expecting import raises, same, together, within
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context


@check("start.fastapi")
async def fastapi(context: Context) -> None:
    """A FastAPI workflow starts, gets ready and answers a request."""
    async with context.running(programs.FASTAPI) as program:
        await program.ready()
        status, body = await program.ask(b"/", b'{"name": "Ada"}', "POST")
    same((status, json.loads(body)), (200, {"greeting": "Hello, Ada!"}), "The answer")


@check("start.backlog")
async def backlog(context: Context) -> None:
    """A request sent before the program listens waits for it and is answered."""
    # Long enough for the request to come first.
    slow = "import time\ntime.sleep(0.3)\n"
    async with context.running(
        slow, programs.ASGI, "import os, uvicorn\nuvicorn.run(app, port=int(os.environ['PORT']))"
    ) as program:
        same(await program.ask(), (200, b"served"), "The answer")


@check("start.ready-for-all")
async def ready_for_all(context: Context) -> None:
    """Getting ready is told to all who wait, and at once to who asks later."""
    async with context.running(programs.LITTLE, "serve('served')") as program:
        # Those who wait are told, and so is who asks later.
        await together(*(program.ready() for _ in range(5)))
        await program.ready()
        same(await program.ask(), (200, b"served"), "The answer")


@check("start.uvicorn-by-name")
async def uvicorn_by_name(context: Context) -> None:
    """`uvicorn.run('main:app')` serves, as `uvicorn.run(app)` does."""
    run = """
    if __name__ == "__main__":
        import os, uvicorn
        uvicorn.run("main:app", host="0.0.0.0", port=int(os.environ["PORT"]))
    """
    async with context.running(programs.ASGI, run) as program:
        await program.ready()
        same(await program.ask(), (200, b"served"), "The answer")


@check("start.own-server")
async def own_server(context: Context) -> None:
    """A server that is not uvicorn is reached on 0.0.0.0, at whatever PORT it is told."""
    code = "import os\nserve('on ' + os.environ['PORT'], host='0.0.0.0')"
    async with context.running(programs.LITTLE, code, port=8123) as program:
        await program.ready()
        status, body = await program.ask()
    same(status, 200, "The status")
    # Without a network of its own, a program is told a free port.
    if context.driver.tier.id != "P":
        same(body, b"on 8123", "The port that the program was told")


@check("start.loopback-only")
async def loopback_only(context: Context) -> None:
    """A server that binds 127.0.0.1 only is reached."""
    async with context.running(programs.LITTLE, "serve('served', host='127.0.0.1')") as program:
        await program.ready()
        same(await program.ask(), (200, b"served"), "The answer")


@check("start.child-server")
async def child_server(context: Context) -> None:
    """A server in a child process is reached."""
    run = """
    if __name__ == "__main__":
        import os, subprocess, sys
        subprocess.run([sys.executable, "-m", "uvicorn", "main:app", "--port", os.environ["PORT"]])
    """
    async with context.running(programs.ASGI, run) as program:
        await program.ready()
        same(await program.ask(), (200, b"served"), "The answer")


@check("start.twenty-at-once")
async def twenty_at_once(context: Context) -> None:
    """Twenty sandboxes started at once each answer as themselves."""

    async def run_program(number: int) -> bytes:
        code = "import os\nserve(os.environ['NAME'])"
        # Each answers by a name of its own: a mixed-up socket shows.
        async with context.running(programs.LITTLE, code, env={"NAME": f"number {number}"}) as program:
            await program.ready()
            return (await program.ask())[1]

    answers = await together(*(run_program(number) for number in range(20)))
    same(answers, [b"number %d" % number for number in range(20)], "The answers")


@check("start.no-environment")
async def no_environment(context: Context) -> None:
    """An environment that is not there is the sandbox's failure, not the program's."""
    known = context.environment
    nowhere = EnvironmentRef(
        Path("/nonexistent/environment"), Path("/nonexistent/python"), known.python_version
    )

    async def start() -> None:
        async with context.running("print('started')", environment=nowhere) as program:
            await within(program.sandbox.wait_ready(), "Getting ready")

    await raises(SandboxFailed, start(), "Starting in an environment that is not there")

    # A failed start must not break the driver for the next one.
    async with context.running("print('fine')") as program:
        await program.ended()
        same(program.stdout, b"fine\n", "The output of the next sandbox")
