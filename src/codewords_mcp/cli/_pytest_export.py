"""A recorded run as a pytest file for the repository of a workflow, with its recording beside it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from codewords_mcp.cli._client import Json
from codewords_mcp.errors import InvalidInput

_TEMPLATE: Final = '''\
"""The run {run} as a test: `codewords test` replays it on {file}. Nothing is sent, and no account is needed."""

import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
WORKFLOW = HERE / {workflow!r}
RECORDING = HERE / {recording!r}
EXPECT = {expect!r}


def test_{name}():
    command = shutil.which("codewords", path=str(pathlib.Path(sys.executable).parent)) or shutil.which("codewords")
    assert command, "codewords is not installed: pip install codewords-mcp"
    words = [command, "test", str(WORKFLOW), "--recording", str(RECORDING)]
    words += [word for one in EXPECT for word in ("--expect", one)]
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
'''


def write_pytest(document: Json, output: Path, workflow: Path, expect: Sequence[str]) -> Path:
    """Write the test and its recording, whose path is returned. Raises InvalidInput where that cannot be done."""
    if not (output.name.startswith("test_") and output.suffix == ".py"):
        raise InvalidInput(
            "pytest would not find this file.", hint="Name it test_….py, as in -o tests/test_orders.py."
        )
    if not workflow.is_file():
        raise InvalidInput(
            f"{workflow} is no file.", hint="Give the workflow's own file with --file, as in --file main.py."
        )

    recording = output.with_name(f"{output.stem}.recording.json")
    folder = output.parent.resolve()
    text = _TEMPLATE.format(
        run=document["run_id"],
        file=workflow.name,
        workflow=Path(os.path.relpath(workflow.resolve(), folder)).as_posix(),
        recording=recording.name,
        expect=list(expect),
        name=re.sub(r"\W+", "_", output.stem.removeprefix("test_")) or "run",
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        recording.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{error.filename or output} cannot be written: {error.strerror}.") from error
    return recording
