"""A process that does not come to its orderly end is ended."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.requirement("serve:ends-in-time")

HANGING = """
import threading
from codewords_mcp.cli._exit_watchdog import ExitWatchdog

watchdog = ExitWatchdog()
never = threading.Event()
{deadlines}
threading.Thread(target=never.wait).start()  # the interpreter joins it
{after}
"""


def exit_code(deadlines: str, after: str = "") -> int:
    code = HANGING.format(deadlines=deadlines, after=after)
    return subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL).returncode


def test_a_process_whose_threads_hang_ends_with_its_own_code() -> None:
    assert exit_code("watchdog.exit_within(0.1)") == 1
    assert exit_code("watchdog.exit_within(0.1)", "never.wait()") == 1


def test_the_earliest_deadline_counts_with_its_code() -> None:
    assert exit_code("watchdog.exit_within(600); watchdog.exit_within(0.1, 130)") == 130
    assert exit_code("watchdog.exit_within(0.1, 0); watchdog.exit_within(600)") == 0
