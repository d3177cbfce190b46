"""`python -m codewords_mcp.testing.sandboxes`: the checks against a driver of this package, as a table."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

import structlog
from platformdirs import user_cache_path

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.testing.sandboxes import (
    DRIVERS,
    MakeDriver,
    Outcome,
    build_environment,
    checks,
    self_check,
)


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m codewords_mcp.testing.sandboxes", description=__doc__)
    parser.add_argument(
        "--driver", default="local", help=f"{', '.join(DRIVERS)}, or module:function (a MakeDriver)"
    )
    parser.add_argument("--only", action="append", help="an id or an area; may be repeated")
    parser.add_argument("--home", type=Path, default=user_cache_path("codewords") / "conformance",
                        help="folder that keeps the checks' environment between runs")  # fmt: skip
    parser.add_argument("--environment", type=Path, help="a built environment of this very Python, instead")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--list", action="store_true", help="list the checks and run none")

    return parser.parse_args(arguments)


def _driver(name: str) -> MakeDriver:
    """Find a driver by its name, or by `module:function`. Raises SystemExit with a sentence."""
    if name in DRIVERS:
        return DRIVERS[name]
    module, _, function = name.partition(":")
    try:
        return getattr(__import__(module, fromlist=[function]), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SystemExit(f"There is no driver {name!r}: {error}. Known are {', '.join(DRIVERS)}.") from None


def _existing_environment(path: Path) -> EnvironmentRef:
    """An environment that is there already."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    # The suite's own Python: the caller promises that the environment was built for it.
    return EnvironmentRef(path, Path(sys.base_prefix).resolve(), version)


def _tell(outcome: Outcome) -> None:
    """Progress, for people, on stderr."""
    if outcome.status == "failed":
        sys.stderr.write(f"\n{outcome.check.id}: {outcome.reason}\n")
    elif sys.stderr.isatty():
        sys.stderr.write("." if outcome.status == "passed" else "s")
        sys.stderr.flush()


async def _run(options: argparse.Namespace) -> int:
    make_driver = _driver(options.driver)
    if options.environment:
        environment = _existing_environment(options.environment)
    else:
        environment = await build_environment(options.home)

    report = await self_check(
        make_driver, environment, only=options.only, on_outcome=None if options.json else _tell
    )
    if options.json:
        text = json.dumps(report.to_dict(), indent=1)
    else:
        text = report.table()

    sys.stdout.write(f"{text}\n")
    if report.ok:
        return 0

    return 1


def _loop() -> asyncio.AbstractEventLoop:
    """The runtime's own kind of event loop."""
    # The checks measure backpressure and races: another loop would judge another product.
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main(arguments: list[str]) -> int:
    """0 where nothing failed, 1 where something did, 2 where the suite could not run."""
    options = _arguments(arguments)
    # stdout is the report's.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if options.list:
        sys.stdout.writelines(f"{check.id:<28}{check.sentence}\n" for check in checks(options.only))
        return 0

    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            return runner.run(_run(options))
    except (CodewordsError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
