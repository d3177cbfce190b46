"""One served runtime and one browser for all tests of the console's pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.console.helpers import DESKTOP, PROGRAM, Console
from tests.support.chromium import executable, tab
from tests.support.runtime import make_home
from tests.support.served_runtime import start_runtime

from codewords_testing.pipedream import LoopbackConnect, loopback_connect


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium there is nothing to test here."""
    lacking = pytest.mark.skipif(
        executable() is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
    )
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker(lacking)


@pytest.fixture(scope="session")
def broker() -> Iterator[LoopbackConnect]:
    """A stand-in for Pipedream, whose credentials the home does not have at first."""
    with loopback_connect() as running:
        yield running


@pytest.fixture(scope="session")
def signed_in(tmp_path_factory: pytest.TempPathFactory, broker: LoopbackConnect) -> Iterator[Console]:
    """The pages of a runtime with one workflow, and a person who opened its one-time address."""
    folder = tmp_path_factory.mktemp("console")
    with (
        start_runtime(make_home(folder / "home"), CODEWORDS_PIPEDREAM_BASE_URL=broker.url) as served,
        tab(folder / "profile", width=DESKTOP[0], height=DESKTOP[1]) as page,
    ):
        console = Console(page, served, served.deploy(PROGRAM, "Page monitor"))
        page.open(served.call("POST", "/sign-ins", {"page": "/"})["url"])
        yield console


@pytest.fixture
def console(signed_in: Console) -> Console:
    """The same, on a desktop, with no complaint so far, and no page whose requests could still fail."""
    signed_in.tab.resize(*DESKTOP)
    signed_in.tab.open("about:blank")
    signed_in.tab.problems.clear()
    return signed_in
