"""The conformance suite of the sandbox protocol (`codewords_mcp.runtime.sandboxes.base`), for authors of drivers.

    report = await self_check(make_driver, environment)
    print(report.table())

or, in pytest, one test a check: see `for_pytest`. On the command line, for the drivers of this package:
`python -m codewords_mcp.testing.sandboxes --driver local`.
"""

from codewords_mcp.testing.sandboxes.drivers import DRIVERS, build_environment
from codewords_mcp.testing.sandboxes.expecting import Broken
from codewords_mcp.testing.sandboxes.model import ConformanceCheck, Need, Outcome, Report
from codewords_mcp.testing.sandboxes.registry import check, checks
from codewords_mcp.testing.sandboxes.runner import run_check, self_check
from codewords_mcp.testing.sandboxes.stage import Context, MakeDriver, Program, open_context

__all__ = [
    "DRIVERS",
    "Broken",
    "ConformanceCheck",
    "Context",
    "MakeDriver",
    "Need",
    "Outcome",
    "Program",
    "Report",
    "build_environment",
    "check",
    "checks",
    "open_context",
    "run_check",
    "self_check",
]
