"""The HTTP API by its own description: schemathesis sends requests as every kind of caller of the access table.

Schemathesis is fetched into an environment of its own by uv: it is heavy and nothing else needs it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codewords_mcp.runtime.auth.access import caller_kinds
from codewords_mcp.runtime.model.caller import Caller
from tests.support.access_walk import Walk, open_walk

SCHEMATHESIS = "schemathesis==4.32.5"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_UNDECIDABLE = "positive_data_acceptance"
"""Whether all is taken that fits a schema: no schema says that a cursor has to be one that a list gave."""
_SERVER = Path(__file__).with_name("schemathesis_server.py")
KINDS = tuple(kind.name for kind in caller_kinds())
_EXCLUDED_PATHS = r"^/providers/|^/(browser|stop|sse|events|mcp|run|run_async|openai|anthropic|gemini|validate|deploy|generate|v1|v2|secrets/rotate-key)(/|$)"
"""Waits or ends the runtime, answers without an end, starts a sandbox for each case, or is what a workflow or provider answers."""
_END_SECONDS = 30.0
_MIN_EXAMPLES = 3
"""Cases of each operation at the least."""


@dataclass(frozen=True, slots=True)
class Requester:
    """Where requests of one kind of caller go, and the headers that make them so."""

    url: str
    headers: dict[str, str]
    foreign_run: str | None = None
    """The only run that is asked for, where the kind is about another's run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one caller's cases."""

    caller: str
    cases: int
    failed: bool
    output: str


class Schemathesis:
    """Schemathesis in a process of its own, for as many runs as are wanted."""

    def __init__(self, folder: Path) -> None:
        uv = Path(sys.executable).parent / "uv"
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(
            [str(uv if uv.exists() else "uv"), "tool", "run", "--from", SCHEMATHESIS, "python", str(_SERVER)],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", errors="replace",
            start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str]:
        """(exit code, everything printed) of one run of its command line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"schemathesis ended with {self._process.wait()}; stderr says why"
        found: dict[str, Any] = json.loads(answer)
        return int(found["code"]), str(found["output"])

    def close(self) -> None:
        """End it: at the end of its stdin, or of our patience where a run goes on."""
        try:
            self._process.communicate(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()


@contextmanager
def open_schemathesis(folder: Path) -> Generator[Schemathesis]:
    """Schemathesis that works in a folder, until it is closed."""
    with closing(Schemathesis(folder)) as opened:
        yield opened


@contextmanager
def open_requester(walk: Walk, caller: str) -> Generator[Requester]:
    """A requester of this kind; a sandbox, where it is in one, stays open until it is closed."""
    door = walk.door
    if caller in {"page session", "console"}:
        with door.client(key=None) as http:
            http.get(door.sign_in_address(), headers={"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"})
            cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
        assert cookie
        headers = {"Cookie": cookie, "Origin": door.url, "Sec-Fetch-Site": "same-origin"}
        if caller == "console":
            headers["X-Codewords-Console"] = "1"
        yield Requester(door.url, headers)
    elif caller in walk.keys:
        yield Requester(door.url, _authorization(walk.keys[caller]))
    else:
        run = Caller("local", "run", run_id=f"run-of-{caller.replace(': ', '-')}")
        with door.sandbox(run, walk.ids["service_id"]) as inside:
            url = door.url if caller == "run: outside" else inside.url
            key = None if caller == "sandbox" else inside.key
            foreign_run = walk.ids["run_id"] if caller == "run: foreign" else None
            yield Requester(url, _authorization(key), foreign_run)


def fuzz_caller(
    walk: Walk,
    schemathesis: Schemathesis,
    caller: str,
    cases: int,
    seed: int,
    folder: Path,
    *,
    brief: bool = False,
    every_check: bool = False,
) -> Outcome:
    """Send about so many cases as one kind of caller; `brief` leaves the many systematic ones out.

    `every_check` of schemathesis counts for a caller who may do everything: a refusal tells little of a description.
    """
    with walk.door.client() as http:
        description: dict[str, Any] = http.get("/openapi.json").json()
    operations = sum("operationId" in one for path in description["paths"].values() for one in path.values())
    schema = folder / "openapi.json"

    with open_requester(walk, caller) as requester:
        _name_what_exists(description, walk.ids, requester.foreign_run)
        schema.write_text(json.dumps(description), encoding="utf-8")
        headers = [
            part for name, value in requester.headers.items() for part in ("--header", f"{name}: {value}")
        ]
        code, output = schemathesis.run(
            "run", str(schema),
            "--url", requester.url, "--max-examples", str(max(1 if brief else _MIN_EXAMPLES, cases // operations)),
            "--seed", str(seed), *(("--exclude-checks", _UNDECIDABLE) if every_check else ("--checks", CHECKS)), "--exclude-path-regex", _EXCLUDED_PATHS,
            "--phases", "fuzzing" if brief else "examples,coverage,fuzzing", "--request-timeout", "110",
            "--max-redirects", "0", "--continue-on-failure", "--no-color", *headers,
        )  # fmt: skip

    counted = re.search(r"(\d+) generated", output)
    return Outcome(caller, int(counted[1]) if counted else 0, code != 0, output)


def fuzz_all(folder: Path, cases: int, seed: int, only: str) -> int:
    """Send cases as every kind of caller whose name begins so; prints what contradicts the description."""
    total, failed = 0, 0
    with open_walk(folder) as walk, open_schemathesis(folder) as schemathesis:
        for caller in KINDS:
            if not caller.startswith(only):
                continue
            outcome = fuzz_caller(walk, schemathesis, caller, cases, seed, folder)
            total += outcome.cases
            failed += outcome.failed
            sys.stdout.write(f"{caller:24} {outcome.cases:8} cases{', failed' if outcome.failed else ''}\n")
            if outcome.failed:
                sys.stdout.write(outcome.output[-20_000:] + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{total} cases, {failed} callers with failures\n")
    return 1 if failed else 0


def _authorization(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _name_what_exists(description: dict[str, Any], ids: dict[str, str], foreign_run: str | None) -> None:
    """Let an id in a path be one that exists, beside anything: what is not found answers little."""
    for path in description["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                name = parameter["name"]
                if parameter["in"] != "path" or name not in ids:
                    continue
                if name == "run_id" and foreign_run:
                    parameter["schema"] = {"type": "string", "enum": [foreign_run]}
                else:
                    known = {"type": "string", "enum": [ids[name]]}
                    parameter["schema"] = {"anyOf": [known, parameter["schema"]]}
