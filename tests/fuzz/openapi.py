"""The HTTP API by its own description: schemathesis asks a live runtime with the key of every kind of caller.

Schemathesis is fetched into an environment of its own by uv: it is heavy and nothing else needs it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.integration.auth.walking import Walk, open_walk

SCHEMATHESIS = "schemathesis==4.32.5"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_LEFT_OUT = r"^/(browser|stop|sse|mcp|run|run_async|openai|anthropic|gemini|validate|deploy|generate|v1|v2|secrets/rotate-key)(/|$)"
"""Waits or ends the runtime, answers without an end, starts a sandbox for each case, or is what a workflow or provider answers."""
_FEW = 3
"""Cases of each operation at the least."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of one caller's cases."""

    caller: str
    cases: int
    failed: bool
    output: str


def ask(walk: Walk, caller: str, cases: int, seed: int, folder: Path, *, brief: bool = False) -> Asked:
    """Ask the runtime as one kind of caller, about so many cases in all; `brief` leaves the many systematic ones out."""
    key, url = walk.keys[caller], walk.door.url
    schema = folder / "openapi.json"
    with walk.door.client() as http:
        schema.write_bytes(http.get("/openapi.json").content)
        operations = len(re.findall(r'"operationId"', schema.read_text(encoding="utf-8")))
    header = ["--header", f"Authorization: Bearer {key}"] if key else []
    uv = Path(sys.executable).parent / "uv"
    command = [
        str(uv if uv.exists() else "uv"), "tool", "run", "--from", SCHEMATHESIS, "schemathesis", "run", str(schema), "--url", url,
        "--max-examples", str(max(1 if brief else _FEW, cases // operations)), "--seed", str(seed), "--checks", CHECKS, "--exclude-path-regex", _LEFT_OUT,
        "--phases", "fuzzing" if brief else "examples,coverage,fuzzing", "--request-timeout", "110", "--continue-on-failure", "--no-color", *header,
    ]  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=kept,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=3600,
        check=False,
    )
    output = done.stdout + done.stderr
    counted = re.search(r"(\d+) generated", output)
    return Asked(caller, int(counted[1]) if counted else 0, done.returncode != 0, output)


def fuzz_all(folder: Path, cases: int, seed: int, only: str) -> int:
    """Ask as every kind of caller whose name begins so; prints what contradicts the description."""
    total, failed = 0, 0
    with open_walk(folder) as walk:
        for caller in walk.keys:
            if not caller.startswith(only):
                continue
            found = ask(walk, caller, cases, seed, folder)
            total += found.cases
            failed += found.failed
            sys.stdout.write(f"{caller:24} {found.cases:8} cases{', failed' if found.failed else ''}\n")
            if found.failed:
                sys.stdout.write(found.output[-20_000:] + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{total} cases, {failed} callers with failures\n")
    return 1 if failed else 0
