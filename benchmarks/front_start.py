"""How long a person waits for the tools: from starting the process to the first `tools/list` answered.

Ours is `codewords-mcp`, once with the home's runtime up and once with nothing running; the peer is a bare stdio
server of the `mcp` SDK with one tool. Both eras. The client is a few lines on pipes, so that its own weight is in
neither number.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _bench import Measure, Question, clean_environment, interleave, options, report

PEER_NAME = "a bare mcp SDK stdio server with one tool"
PEER = """
from mcp.server import MCPServer
server = MCPServer("bare", log_level="ERROR")
@server.tool()
def add(a: int, b: int) -> int:
    "Add."
    return a + b
server.run()
"""
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


def script() -> str:
    """The console script of this environment: what a chat host starts."""
    return str(Path(sys.executable).with_name("codewords-mcp"))


def time_to_tools(argv: list[str], env: dict[str, str], era: str) -> float:
    """Milliseconds from the start of the process to the answer of its first tools/list."""
    began = time.perf_counter()
    process = subprocess.Popen(
        argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        if era == "legacy":
            ask(process, {"id": 1, "method": "initialize", "params": HELLO})
            send(process, {"method": "notifications/initialized"})
            tools = ask(process, {"id": 2, "method": "tools/list", "params": {}})
        else:
            tools = ask(process, {"id": 2, "method": "tools/list", "params": {"_meta": META}})
        took = (time.perf_counter() - began) * 1000
        if not tools["result"]["tools"]:
            raise SystemExit(f"{argv[0]} listed no tools")
        return took
    finally:
        process.communicate(timeout=30)


def send(process: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    process.stdin.flush()


def ask(process: subprocess.Popen[bytes], message: dict[str, Any]) -> dict[str, Any]:
    send(process, message)
    assert process.stdout is not None
    while line := process.stdout.readline():
        answer = json.loads(line)
        if answer.get("id") == message["id"]:
            if "error" in answer:
                raise SystemExit(f"the server answered: {answer['error'].get('message')}")
            return answer
    raise SystemExit("the server ended before it answered; run it by hand to see why")


@contextmanager
def fresh_home() -> Generator[dict[str, str]]:
    """The environment of a home of its own; whatever runs there is ended at the end."""
    with tempfile.TemporaryDirectory(prefix="codewords-bench-") as folder:
        env = clean_environment(CODEWORDS_HOME=folder, CODEWORDS_PORT="0")
        try:
            yield env
        finally:
            end_runtime(env)


def end_runtime(env: dict[str, str]) -> None:
    subprocess.run([script(), "stop"], env=env, check=True, stdout=subprocess.DEVNULL, timeout=60)


def runtime_up(env: dict[str, str], era: str) -> Measure:
    return lambda: time_to_tools([script()], env, era)


def nothing_running(env: dict[str, str], era: str) -> Measure:
    """The home is one that was used before, as on every day but the first."""

    def measure() -> float:
        took = time_to_tools([script()], env, era)
        end_runtime(env)
        return took

    return measure


def main() -> int:
    chosen = options(__doc__ or "", runs=15, quick_runs=5)
    questions: list[Question] = []
    env = clean_environment()
    for situation, ours, target in (
        ("runtime up", runtime_up, 0.05),
        ("nothing running", nothing_running, 2.5),
    ):
        for era in ("legacy", "2026-07-28"):
            question = Question(f"start to first tools/list, {situation}, {era}", PEER_NAME, "ms", target)
            with fresh_home() as home:
                interleave(
                    question,
                    ours(home, era),
                    lambda era=era: time_to_tools([sys.executable, "-c", PEER], env, era),
                    chosen.runs,
                )
            questions.append(question)
    return report(questions, chosen)


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.exit(main())
