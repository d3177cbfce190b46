"""`codewords-mcp demo`: the main job before a person's eyes, over the same stdio that a chat host uses.

Nothing is taken on trust: each step checks its result, and the last runs the line that is printed.
The runtime that serves the workflow is the person's own and goes on after the demo: the line can be pasted.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TextIO, cast

from codewords_mcp import __version__
from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import FAILED, INTERRUPTED, OK
from codewords_mcp.cli._connect import endpoint, key_file
from codewords_mcp.cli._steps import ShownStepFailed, Steps, check
from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.common.counts import counted
from codewords_mcp.errors import CodewordsError
from codewords_mcp.stdio import lifecycle, runtime_choice
from codewords_mcp.stdio.home import home_folder

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from mcp import Client

    from codewords_mcp.cli._client import Json

NAME = "demo greeting"
INPUT = {"name": "Ada"}
EXPECTED = {"message": "Hello Ada!"}
NEEDED_TOOLS = frozenset(
    {"list_templates", "validate_workflow", "deploy_workflow", "run_workflow", "get_run"}
)
_EXPECTED_HINT = f"It should be {json.dumps(EXPECTED)}."
LOG_SHOWN = 5
CALL_TIMEOUT = 600.0
"""Seconds a tool may work: the first deploy on a machine fetches the workflow's packages."""


def demo(*, as_json: bool) -> int:
    """Run the demo; 0 when every result was right, 1 when a step failed."""
    steps = Steps(quiet=as_json)
    if not as_json:
        _output.line(
            f"codewords-mcp {__version__}: a workflow from template to URL, as a chat host would do it\n",
            "bold",
        )

    facts: Json = {}
    try:
        asyncio.run(_Demo(steps, facts).play())
    except KeyboardInterrupt:
        return INTERRUPTED

    well = steps.all_ok
    if as_json:
        _output.print_json(
            {"ok": well, "version": __version__, "steps": [asdict(step) for step in steps.done], **facts}
        )
    elif well:
        _print_facts(facts)
    else:
        _output.error(steps.done[-1].detail, steps.done[-1].hint)

    if well:
        return OK

    return FAILED


class _Demo:
    """The steps in their order; each leaves in `facts` what a later one or the person needs."""

    def __init__(self, steps: Steps, facts: Json) -> None:
        self.steps, self.facts = steps, facts
        self.stack = AsyncExitStack()
        self.client: Client

    async def play(self) -> None:
        async with self.stack:
            # Steps give their outcome back instead of raising: the client's task groups would wrap what they raise.
            well = await self._over_stdio()
        if well:
            await self.steps.play("url", "Call its URL", self._url)

    async def _over_stdio(self) -> bool:
        for step_id, title, action in (
            ("connect", "Connect over stdio", self._connect),
            ("template", "Take the greeting template", self._template),
            ("validate", "Validate its code", self._validate),
            ("deploy", "Deploy it", self._deploy),
            ("run", f"Run it with {json.dumps(INPUT)}", self._run),
            ("logs", "Read its log", self._logs),
        ):
            if not await self.steps.play(step_id, title, action):
                return False

        return True

    async def _connect(self, say: Callable[[str], None]) -> str:
        # The runtime starts while the client is imported: each takes a second of a processor, and more on its first
        # start, which compiles what it imports. Nobody waits for the thread: the server finds what it started.
        Thread(target=_start_runtime, daemon=True).start()
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client

        errors = self.stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))  # noqa: SIM115
        server = StdioServerParameters(command=_program(), env=dict(os.environ))
        say("starting the runtime, if none runs")

        try:
            self.client = await self.stack.enter_async_context(
                Client(stdio_client(server, errlog=cast("TextIO", errors)), read_timeout_seconds=CALL_TIMEOUT)
            )
            tools = {tool.name for tool in (await self.client.list_tools()).tools}
        except Exception as error:
            errors.seek(0)
            raise ShownStepFailed(
                f"The MCP server did not answer. {_last_words(errors.read())}".strip(),
                "`codewords-mcp doctor` says what this machine lacks.",
            ) from error

        missing = sorted(NEEDED_TOOLS - tools)
        check(
            not missing,
            f"The server lacks the tools {', '.join(missing)}.",
            "Install the same version everywhere, then `codewords stop`.",
        )
        return f"{len(tools)} tools, protocol {self.client.protocol_version}"

    async def _template(self, say: Callable[[str], None]) -> str:
        listed = await self._tool("list_templates", {}, say)
        ids = [str(item["id"]) for item in listed["templates"]]
        check("greeting" in ids, f"There is no template `greeting` among: {', '.join(ids)}.")
        found = await self._tool("list_templates", {"template_id": "greeting"}, say)
        self.code = str(found["templates"][0]["code"])
        check("# /// script" in self.code, "The template's code has no script header.")
        return f"{len(ids)} templates, {len(self.code.splitlines())} lines of Python"

    async def _validate(self, say: Callable[[str], None]) -> str:
        report = await self._built("validate_workflow", {"code": self.code}, say)
        faults = "; ".join(
            str(item["message"]) for item in report.get("checks", []) if item["status"] == "failed"
        )
        check(report.get("all_passed") is True, f"The checks did not pass: {faults}")
        return "all checks passed"

    async def _deploy(self, say: Callable[[str], None]) -> str:
        # the demo of an older version is replaced, which has to be named by its id
        listed = await self._tool("list_workflows", {"query": NAME}, say)
        known = [str(workflow["workflow_id"]) for workflow in listed["workflows"] if workflow["name"] == NAME]
        arguments = {"code": self.code, "name": NAME}
        if known:
            arguments["workflow_id"] = known[0]
        live = await self._built("deploy_workflow", arguments, say)
        check(bool(live.get("workflow_id")) and bool(live.get("url")), "The deployment has no id or no URL.")
        self.facts |= {
            "workflow_id": live["workflow_id"],
            "workflow_version": live["version"],
            "url": live["url"],
            "isolation": live["isolation"],
        }

        if live["status"] == "unchanged":
            again = ", live already"
        else:
            again = ""

        return f"{live['workflow_id']} version {live['version']}{again}"

    async def _run(self, say: Callable[[str], None]) -> str:
        arguments = {"workflow_id": self.facts["workflow_id"], "input": INPUT, "wait_seconds": 40}
        run = await self._tool("run_workflow", arguments, say)
        self.facts["run_id"] = run_id = str(run["run_id"])
        error: Json = run.get("error") or {}
        check(
            run["status"] == "succeeded",
            f"The run is {run['status']}. {error.get('message', '')}",
            f"codewords logs {run_id}",
        )
        check(
            run.get("result") == EXPECTED,
            f"The workflow answered {json.dumps(run['result'])}.",
            _EXPECTED_HINT,
        )
        self.facts |= {"result": run.get("result"), "timings_ms": run.get("timings_ms") or {}}

        return json.dumps(run.get("result"))

    async def _logs(self, say: Callable[[str], None]) -> str:
        from codewords_mcp.cli._client import RuntimeClient as HttpClient

        lines: list[str] = []
        with HttpClient(await asyncio.to_thread(endpoint)) as http:
            self.facts["isolation_title"] = http.record("GET", "/status")["sandbox"]["title"]
            for entry in http.lines("GET", f"/logs/{self.facts['run_id']}"):
                if entry is not None:
                    lines.append(str(entry["message"]))
                    say(lines[-1])

        check(bool(lines), "The run's log is empty.")
        self.facts["logs"] = lines
        self.steps.show(lines[:LOG_SHOWN])

        return counted(len(lines), "line")

    async def _url(self, _say: Callable[[str], None]) -> str:
        self.facts["command"] = line = _line(str(self.facts["url"]))
        done = await asyncio.to_thread(_ran, line)
        check(
            _parsed(done.stdout) == EXPECTED,
            f"The line {line} printed {done.stdout[:200]}{done.stderr[:400]}",
            _EXPECTED_HINT,
        )
        return f"{done.stdout.strip()} by {'curl' if line.startswith('curl') else 'codewords run'}"

    async def _built(self, name: str, arguments: Json, say: Callable[[str], None]) -> Json:
        """A tool whose answer may be that it still builds: the same call joins that work."""
        deadline = time.monotonic() + CALL_TIMEOUT
        # The tool answers within a chat host's limit and goes on building.
        while (found := await self._tool(name, arguments, say))["status"] == "building":
            check(time.monotonic() < deadline, f"{name} was still building after {CALL_TIMEOUT:.0f} s.")
        return found

    async def _tool(self, name: str, arguments: Json, say: Callable[[str], None]) -> Json:
        async def tell(progress: float, total: float | None, message: str | None) -> None:
            del progress, total
            say(message or "")

        result: Any = await self.client.call_tool(
            name, arguments, read_timeout_seconds=CALL_TIMEOUT, progress_callback=tell
        )
        text = "\n".join(block.text for block in result.content if getattr(block, "text", None))
        check(
            not result.is_error,
            text or f"The tool {name} failed without a reason.",
            "`codewords-mcp doctor` says what this machine lacks.",
        )
        check(
            isinstance(result.structured_content, dict),
            f"The tool {name} answered without structured content.",
        )

        return cast("Json", result.structured_content)


def _start_runtime() -> None:
    """Start the home's runtime, if none runs. A failure is for the server to tell, which tries the same."""
    folder = home_folder()
    if runtime_choice.read(folder).kind != runtime_choice.REMOTE:
        with suppress(CodewordsError):
            lifecycle.ensure(folder)


def _program() -> str:
    """The `codewords-mcp` of this installation, else the one on PATH."""
    # The one beside this Python first: PATH may have another version.
    beside = shutil.which("codewords-mcp", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("codewords-mcp")
    check(
        found is not None,
        "The command codewords-mcp is not installed.",
        "pip install -e . in the project's folder.",
    )
    return cast("str", found)


def _parsed(text: str) -> JsonValue:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _line(url: str) -> str:
    """The line a person can paste: of curl, or of `codewords` where there is no curl."""
    value = shlex.quote(json.dumps(INPUT))
    if not shutil.which("curl"):
        program = Path(_program()).with_name("codewords")
        return f"{shlex.quote(str(program))} run {shlex.quote(NAME)} --input {value}"

    # The key is read from its file, so that no history keeps it.
    path = key_file()
    if path is not None:
        key = f"$(cat {shlex.quote(str(path))})"
    else:
        key = "$CODEWORDS_API_KEY"
    headers = f"""-H "Authorization: Bearer {key}" -H 'Content-Type: application/json'"""
    return f"curl -s {shlex.quote(url)} {headers} -d {value}"


def _ran(line: str) -> subprocess.CompletedProcess[str]:
    import subprocess

    # The line is ours, made by `_line` with quoted parts; running it is the point.
    return subprocess.run(["sh", "-c", line], capture_output=True, encoding="utf-8", timeout=90, check=False)


def _print_facts(facts: Json) -> None:
    timings = ", ".join(
        f"{name.replace('_', ' ')} {value:.0f} ms" for name, value in facts["timings_ms"].items()
    )
    _output.line()
    for label, text in (
        ("result", json.dumps(facts["result"])),
        ("isolation", f"tier {facts['isolation']}, {facts['isolation_title']}"),
        ("timings", timings),
        ("url", str(facts["url"])),
    ):
        _output.labelled("", "", label, text)

    _output.line("\nTry it yourself:\n", "bold")
    _output.line(f"  {facts['command']}\n")
    _output.line("The runtime goes on serving it, and ends itself when nobody uses it.", "dim")
    _output.line("`codewords-mcp stop` ends it now; any command starts it again.", "dim")


def _last_words(output: str) -> str:
    """Return the end of the output, each line once."""
    return " ".join(dict.fromkeys(line.strip() for line in output[-600:].splitlines() if line.strip()))
