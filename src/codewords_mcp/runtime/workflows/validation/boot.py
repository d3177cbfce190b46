"""The check that starts the script: in a sandbox without network, with stand-ins for its secrets."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, cast

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import CodewordsError, ProgramFailed, SandboxUnavailable
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef, Limits, Sandbox, SandboxSpec
from codewords_mcp.runtime.workflows.openapi import normalise, openapi_path
from codewords_mcp.runtime.workflows.script import Script
from codewords_mcp.runtime.workflows.validation.crash import OWN_FILE, explain_crash
from codewords_mcp.runtime.workflows.validation.repair import watched_code
from codewords_mcp.runtime.workflows.validation.smoke import (
    Example,
    Smoke,
    SmokeResponse,
    judge,
    try_example,
)

PORT = 8000
STAND_IN = "validation-stand-in"
"""The value of every required variable during validation. No secret is read for it."""
_RUNTIME = "http://127.0.0.1:8765"
_ASK_TIMEOUT = 20.0
_CRASH_TIMEOUT = 1.0
STACK_INTERVAL = 4.0
"""Seconds between two stack dumps of a starting program."""
_MIN_STACKS = 2
_NEVER = 86_400.0
_OWN_STACK = re.compile(
    rf'\(most recent call first\):\n(?=  File "{OWN_FILE}", line (\d+) in )'
    rf'(?:  File [^\n]*\n){{0,100}}?  File "{OWN_FILE}", line \d+ in <module>'
)
"""A stack whose innermost call is the program's own. A package that is slow to import does not
match.
"""
_MAX_OPENAPI = 4 << 20
_MAX_OUTPUT = 64 << 10
_LAST_LINES, _MAX_LAST_LINES = 5, 400
"""Lines, and characters of them, that a failed start quotes."""
SERVING = """End the script with:
if __name__ == "__main__":
    import os
    import uvicorn
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))"""
_OPENAPI_FIX = (
    "Leave FastAPI's `openapi_url` at its default, or write its path as a text, open without a key."
)


@dataclass(slots=True)
class Boot:
    """Result of starting the script. `openapi` is None without a document; `example` is the input
    of the smoke test, `response` what it was answered.
    """

    checks: list[Check] = field(default_factory=list[Check])
    openapi: dict[str, Any] | None = None
    example: Example | None = None
    response: SmokeResponse | None = None


class _Output:
    """The end of the program's output, read as it arrives."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._read(sandbox))

    async def _read(self, sandbox: Sandbox) -> None:
        async for chunk in sandbox.output():
            self._chunks.append(chunk.data)
            self._size += len(chunk.data)
            # The end is kept, since a traceback is the last thing that a program prints.
            while self._size > _MAX_OUTPUT and len(self._chunks) > 1:
                self._size -= len(self._chunks.popleft())
            self._more.set()

    async def until(self, enough: Callable[[str], object], max_s: float) -> None:
        """Wait until `enough` accepts the output so far, at most `max_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max_s):
                while not enough(self.so_far()):
                    self._more.clear()
                    await self._more.wait()

    async def text(self) -> str:
        """The end of the whole output. Call it after the sandbox has ended."""
        async with asyncio.timeout(10):
            await asyncio.gather(self._task, return_exceptions=True)
        return self.so_far()

    def so_far(self) -> str:
        """The end of the output so far."""
        return b"".join(self._chunks)[-_MAX_OUTPUT:].decode(errors="replace")


async def boot(
    script: Script,
    environment: EnvironmentRef,
    driver: Driver,
    limits: Limits,
    smoke: Smoke | None = None,
    config: Mapping[str, str] = MappingProxyType({}),
) -> Boot:
    """Start the script, wait for its port and fetch its OpenAPI document. The sandbox is gone on
    return.

    `config` are plain configuration values by variable. With `smoke`, the program gets one request with an
    example input, if there is one.

    Raises SandboxFailed if the sandbox broke. Every fault of the program is a failed check.
    """
    result = Boot()
    spec = SandboxSpec(
        id=f"validate-{uuid.uuid4().hex[:12]}",
        environment=environment,
        code=watched_code(script, STACK_INTERVAL),
        env=stand_ins(script, config),
        limits=limits,
        port=PORT,
        # Validation must have no effect outside: the code is not deployed, and nobody
        # consented.
        network=False,
    )

    try:
        sandbox = await driver.start(spec)
    except SandboxUnavailable as error:
        # The machine can't isolate at all. A check can say so; a broken sandbox is an error.
        result.checks.append(Check.of_error("starts", error))
        return result

    output = _Output(sandbox)
    try:
        await _ready(sandbox, output)
        result.checks.append(
            Check(id="starts", status="passed", message="The program starts without any network.")
        )
        result.checks.append(Check(id="port", status="passed", message="It listens on PORT."))
        await _fetch_openapi(script, sandbox, result)

        if smoke and result.openapi:
            example = smoke.example(result.openapi)
        else:
            example = None

        if example is not None:
            result.example = example
            response = await try_example(sandbox.socket_path, example)
            result.response = response
            # the traceback may be written after the response
            if response.status >= 500:
                await output.until(partial(explain_crash, script), _CRASH_TIMEOUT)
            # Before the output is read: the end of the program is the end of its output.
            await sandbox.kill()
            result.checks.append(judge(script, example, response, await output.text()))
    except _Looping as loop:
        # Reported with the line, and minutes before the timeout of a start would come.
        await sandbox.kill()
        result.checks.append(
            Check(
                id="starts",
                status="failed",
                message=f"The program is still here after {STACK_INTERVAL * _MIN_STACKS:g} s: "
                "it loops or computes while it starts.",
                line=loop.line,
                fix="Start the server first, and do slow work when a route is asked.",
            )
        )
    except ProgramFailed as error:
        await sandbox.kill()
        result.checks.append(_failed(error, script, await output.text()))
    finally:
        await sandbox.kill()
        await output.text()

    return result


class _Looping(Exception):
    """The program does not get beyond a line of its own at its start. Caught by `boot`."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


async def _ready(sandbox: Sandbox, output: _Output) -> None:
    """Wait until the program serves. Raises the errors of `wait_ready`, and _Looping if two stacks
    show it in its own start.
    """
    ready = asyncio.ensure_future(sandbox.wait_ready())
    stuck = asyncio.ensure_future(output.until(_looping, _NEVER))

    try:
        await asyncio.wait({ready, stuck}, return_when=asyncio.FIRST_COMPLETED)
        # The program may have become ready in the very moment of the second stack.
        if not ready.done() and (line := _looping(output.so_far())):
            raise _Looping(line)
        await ready
    finally:
        for task in (ready, stuck):
            task.cancel()
        await asyncio.gather(ready, stuck, return_exceptions=True)


def _looping(output: str) -> int | None:
    """The program's own line in which repeated stacks show it, None if they show no loop."""
    lines = _OWN_STACK.findall(output)
    if len(lines) >= _MIN_STACKS:
        return int(lines[-1])
    return None


def stand_ins(script: Script, config: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program that is only tried, by name."""
    declared = {
        variable.name: config.get(variable.name, STAND_IN if variable.default is None else variable.default)
        for variable in script.env
    }
    return {"LOGLEVEL": "INFO", **declared} | {
        "PORT": str(PORT),
        "CODEWORDS_API_KEY": "cwk-" + STAND_IN,
        "CODEWORDS_RUNTIME_URI": _RUNTIME,
        "RUNTIME_URI": _RUNTIME,
        "SERVICE_ID": "validation_00000000",
        "CODEWORDS_SERVICE_ROOT": "/run/validation_00000000",
        # As in every run: a program must behave in validation as it will later.
        "PYTHONHASHSEED": "0",
    }


def _failed(error: ProgramFailed, script: Script, output: str) -> Check:
    crash = explain_crash(script, output)
    # Before the traceback: a program without a port may log exceptions that it handles.
    if error.code in {"program_no_port", "program_wrong_port"}:
        return Check.of_error("port", error)
    if crash is not None:
        return crash
    if error.code == "program_exited" and error.exit_code == 0:
        return Check(
            id="starts",
            status="failed",
            message="The program ended at once without serving anything.",
            fix=SERVING,
        )

    if error.code == "program_exited":
        return Check(id="starts", status="failed", message=error.message, fix=_last_lines(output))
    return Check.of_error("starts", error)


def _last_lines(output: str) -> str:
    """Quote the last lines of a program that ended without a traceback: by a signal, or by an exit of its own."""
    lines = [" ".join(line.split()) for line in output.splitlines() if line.strip()][-_LAST_LINES:]
    if not lines:
        return "It printed nothing. Print before each step of its start to see how far it comes."
    return f'Its last output: "{" / ".join(lines)[-_MAX_LAST_LINES:]}".'


async def _fetch_openapi(script: Script, sandbox: Sandbox, result: Boot) -> None:
    from codewords_mcp.runtime.sandboxes import http1

    try:
        async with asyncio.timeout(_ASK_TIMEOUT):
            response = await http1.request(
                sandbox.socket_path,
                "GET",
                openapi_path(script.tree).encode(),
                [(b"accept", b"application/json")],
                None,
            )
            try:
                status, body = response.status, await _read(response)
            finally:
                await response.aclose()
    except TimeoutError:
        message = f"The program listens, but did not answer within {_ASK_TIMEOUT:.0f} s."
        result.checks.append(
            Check(
                id="openapi",
                status="failed",
                message=message,
                fix="Do slow work when asked, not while the app starts.",
            )
        )
        return
    except CodewordsError as error:
        result.checks.append(Check.of_error("openapi", error))
        return

    result.checks.append(_check_openapi(script, status, body, result))


async def _read(response: Any) -> bytes:
    body = bytearray()
    async for chunk in response.body:
        body += chunk
        # The program may send without end. Cut JSON doesn't parse, which is the right answer.
        if len(body) > _MAX_OPENAPI:
            break
    return bytes(body)


def _check_openapi(script: Script, status: int, body: bytes, result: Boot) -> Check:
    document = _document(body) if status == 200 else None
    if document is not None:
        result.openapi = document
        return _routes(document)
    # The code has an app for certain, so the document is hidden on purpose: it can be called,
    # but nothing can say how.
    if script.facts.app and 300 <= status < 500:
        if status in {401, 403, 404}:
            message = f"The app hides its OpenAPI (status {status}), so nobody can see which input it takes."
            fix = _OPENAPI_FIX
        else:
            message = f"The app answers status {status} for /openapi.json: a middleware of its own keeps requests from it."
            fix = "Leave out what redirects to https or admits some hosts only: callers reach it through the runtime."
        return Check(id="openapi", status="warning", fix=fix, message=message)
    if status >= 500:
        return Check(
            id="openapi",
            status="failed",
            message=f"The app fails to describe itself (status {status} for /openapi.json).",
            fix="Look for a model or a response type that FastAPI cannot describe.",
        )

    return Check(
        id="openapi",
        status="failed",
        message="What listens is not a FastAPI app: it gives no OpenAPI at /openapi.json.",
        fix="Make a FastAPI app, as in `app = FastAPI(title=…)`, and serve it with uvicorn.",
    )


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = parse(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or "openapi" not in document:
        return None
    return normalise(cast("dict[str, Any]", document))


def _routes(document: dict[str, Any]) -> Check:
    paths = document.get("paths")
    if isinstance(paths, dict):
        count = len(cast("dict[str, Any]", paths))
    else:
        count = 0

    if not count:
        return Check(
            id="openapi",
            status="warning",
            message="The app's OpenAPI has no route, so nobody can see what it answers.",
            fix='Add one, as in @app.post("/").',
        )

    return Check(
        id="openapi",
        status="passed",
        message=f"It is a FastAPI app with {count} path{'s' if count > 1 else ''}.",
    )
