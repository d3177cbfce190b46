"""The environment of the checks, built once and kept between test runs."""

from __future__ import annotations

import pytest
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.testing.sandboxes import ConformanceCheck, build_environment


@pytest.fixture(scope="session")
async def environment(anyio_backend: str) -> EnvironmentRef:
    return await build_environment(warm_folder())


_OF_THE_MACHINE = ("files", "isolation", "limits")
"""Areas of checks that E2B's machine keeps, whatever carries requests to it. On each push the loopback E2B's stand-in machine
would be checked by them, whose sandboxes are those that `test_local` checks.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what E2B's transport has no part in, but for `--whole-e2b`."""
    if config.getoption("--whole-e2b"):
        return
    left_out = [item for item in items if _is_of_the_machine(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _is_of_the_machine(item: pytest.Item) -> bool:
    if item.path.name != "test_e2b.py" or not isinstance(item, pytest.Function):
        return False
    check = item.callspec.params["check"]
    return isinstance(check, ConformanceCheck) and check.id.partition(".")[0] in _OF_THE_MACHINE
