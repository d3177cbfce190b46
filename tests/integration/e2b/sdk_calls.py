"""What is asked of an E2B, as a program of its own: under another SDK, or by other URLs, it prints what it saw as JSON.

The SDK's own verbs first, then the driver with a workflow. E2B_* and CODEWORDS_E2B_* variables say where E2B is; the
argument is JSON: {"environment": {...}, "folder": path}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import e2b

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, SandboxSpec
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount
from codewords_mcp.runtime.sandboxes.e2b.driver import E2BDriver
from codewords_mcp.runtime.sandboxes.e2b.protocol import to_environment
from codewords_mcp.settings import Settings

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "6"); self.end_headers(); self.wfile.write(b"served")
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


async def sdk_verbs(options: dict[str, Any]) -> dict[str, Any]:
    """Commands, files and the life of a sandbox."""
    sandbox = await e2b.AsyncSandbox.create(
        "base", timeout=60, metadata={"k y": "v&1"}, envs={"A": "b"}, **options
    )
    done = await sandbox.commands.run("echo $A; echo wrong >&2", timeout=20)
    failed: int | None = None
    try:
        await sandbox.commands.run("exit 7", timeout=20)
    except e2b.CommandExitException as error:
        failed = error.exit_code
    parts: list[str] = []
    handle = await sandbox.commands.run(
        "read line; echo got $line", background=True, stdin=True, timeout=20, on_stdout=parts.append
    )
    await sandbox.commands.send_stdin(handle.pid, "hello\n")
    await handle.wait()
    sleeper = await sandbox.commands.run("exec sleep 100", background=True, timeout=0)
    listed = sleeper.pid in [one.pid for one in await sandbox.commands.list()]
    killed = await sleeper.kill()
    files: Any = sandbox.files
    await files.write("folder/file.txt", "naïve")
    names = [entry.name for entry in await files.list("folder")]
    text = await files.read("folder/file.txt")
    found = await e2b.AsyncSandbox.list(
        query=e2b.SandboxQuery(metadata={"k y": "v&1"}), **options
    ).next_items()
    await sandbox.pause()
    await e2b.AsyncSandbox.connect(sandbox.sandbox_id, timeout=60, **options)
    survived = (await sandbox.commands.run("cat folder/file.txt", timeout=20)).stdout
    ended = await sandbox.kill()
    return {
        "stdout": done.stdout, "stderr": done.stderr, "exit": failed, "stdin": "".join(parts), "listed": listed, "killed": killed,
        "names": names, "text": text, "found": [one.sandbox_id == sandbox.sandbox_id for one in found], "survived": survived,
        "ended": [ended, await sandbox.kill()],
    }  # fmt: skip


async def workflow(environment: EnvironmentRef, folder: Path) -> dict[str, Any]:
    """A program by way of the driver, paused and resumed on the way."""
    driver = await E2BDriver.open(Settings(home=folder, sandbox="e2b", e2b_ttl=60), None, folder / "run")
    try:
        sandbox = await driver.start(
            SandboxSpec("verbs", environment, SERVER, {"PORT": "8000"}, network=False)
        )
        output = asyncio.create_task(_read(sandbox.output()))
        await sandbox.wait_ready()
        answers = [await _ask(sandbox.socket_path)]
        await sandbox.pause()
        answers.append(await _ask(sandbox.socket_path))  # which resumes it
        usage = await sandbox.usage()
        await sandbox.kill()
        return {
            "answers": answers,
            "output": await output,
            "cost": (usage.cost or 0) > 0,
            "orphans": await driver.leases.sweep(),
        }
    finally:
        await driver.close()


async def _read(chunks: Any) -> str:
    return b"".join([chunk.data async for chunk in chunks if chunk.stream == "stdout"]).decode()


async def _ask(path: str) -> str:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return answer.rpartition(b"\r\n\r\n")[2].decode()


async def main(task: dict[str, Any]) -> None:
    settings = Settings(home=Path(task["folder"]), sandbox="e2b")
    report = {"version": version("e2b"), "verbs": await sdk_verbs(E2bAccount(settings).options)}
    report["workflow"] = await workflow(to_environment(task["environment"]), Path(task["folder"]))
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("CODEWORDS_LOG_LEVEL", "ERROR")
    asyncio.run(main(json.loads(sys.argv[1])))
