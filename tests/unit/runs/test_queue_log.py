"""What the queue's library says is part of the runtime's own log: JSON lines, its tracebacks included."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.requirement("log:one-form")]
LOGS = """
import io, logging, sys
from codewords_mcp.logging import configure
from codewords_mcp.runtime.runs.queue import log_as_we_do
configure("INFO")
log_as_we_do()
import dbos
from dbos._logger import dbos_logger, init_logger
init_logger()
try:
    raise dbos.error.DBOSAwaitedWorkflowCancelledError("run-1/1")
except Exception as error:
    dbos_logger.error("Exception encountered in asynchronous workflow", exc_info=error)
    dbos_logger.exception("several\\nlines")
"""


@pytest.mark.slow
def test_a_traceback_of_the_queue_is_one_json_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGS], capture_output=True, encoding="utf-8", check=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == [
        "Exception encountered in asynchronous workflow",
        "several\nlines",
    ]
    assert all(
        line["logger"] == "dbos" and "DBOSAwaitedWorkflowCancelledError" in line["exception"]
        for line in lines
    )
