"""Runs schemathesis for one caller after another in one process, in the environment that uv makes for it.

Its start and its first reading of a description take longer than a caller's cases. A line on stdin is a JSON list of
arguments; the line that answers it is an object with the exit code and everything printed.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
from typing import Any


def run(command: Any, arguments: list[str]) -> dict[str, Any]:
    """One run of the command line."""
    printed = io.StringIO()
    code: Any = 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            command.main(arguments, prog_name="schemathesis")
        except SystemExit as end:
            code = end.code
    return {"code": code, "output": printed.getvalue()}


def main() -> None:
    """Entry point: until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever is printed past `sys.stdout` is no answer
    command = importlib.import_module("schemathesis.cli").schemathesis

    for line in sys.stdin:
        answers.write(json.dumps(run(command, json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
