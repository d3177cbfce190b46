"""One pytest test a check, for a driver of yours:

    @pytest.fixture(scope="session")
    async def context():
        async with open_context(make_driver, await build_environment(folder)) as opened:
            yield opened

    @parametrize()
    async def test_my_driver(check, context):
        await holds(check, context)

Async fixtures and tests need a plugin: anyio's, with a session-wide `anyio_backend` of "asyncio", or pytest-asyncio.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from codewords_mcp.runtime.sandboxes.base import Driver
from codewords_mcp.testing.sandboxes.model import ConformanceCheck, Outcome
from codewords_mcp.testing.sandboxes.registry import checks
from codewords_mcp.testing.sandboxes.runner import run_check
from codewords_mcp.testing.sandboxes.stage import Context


def parametrize(
    *,
    only: Collection[str] | None = None,
    driver: type[Driver] | None = None,
    marks: Mapping[str, pytest.MarkDecorator] | None = None,
) -> pytest.MarkDecorator:
    """Give a test the argument `check`, for each check or those whose id or area is in `only`.

    `driver`: a class whose claims are its attributes; checks that need others are left out. `marks`: by id.
    """
    # A class has its claims as attributes: checks can be left out before a driver is opened.
    chosen = [check for check in checks(only) if driver is None or not check.missing(driver)]
    marks = marks or {}
    rows = [
        pytest.param(check, id=check.id, marks=[marks[check.id]] if check.id in marks else [])
        for check in chosen
    ]
    return pytest.mark.parametrize("check", rows)


async def holds(check: ConformanceCheck, context: Context) -> None:
    """Run a check: the test fails where it does, and is skipped where the driver does not claim what it needs."""
    judge(await run_check(check, context))


def judge(outcome: Outcome) -> None:
    """Make an outcome the test's."""
    if outcome.status == "skipped":
        pytest.skip(f"{outcome.check.sentence} {outcome.reason}")
    if outcome.status == "failed":
        pytest.fail(f"{outcome.check.sentence}\n{outcome.reason}", pytrace=False)
