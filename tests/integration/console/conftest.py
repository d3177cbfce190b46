"""One served runtime and one browser for all tests of the console's pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.console.helpers import DESKTOP, Console, signed_in_console

from codewords_testing.pipedream import LoopbackConnect, loopback_connect


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium there is nothing to test here."""
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker(pytest.mark.needs("chromium"))


@pytest.fixture(scope="session")
def broker() -> Iterator[LoopbackConnect]:
    """A stand-in for Pipedream, whose credentials the home does not have at first."""
    with loopback_connect() as running:
        yield running


@pytest.fixture(scope="session")
def signed_in(tmp_path_factory: pytest.TempPathFactory, broker: LoopbackConnect) -> Iterator[Console]:
    """The pages of a runtime with one workflow, and a person who opened its one-time address.

    All tests share its home; a module that counts what is there overrides this with one of its own.
    """
    with signed_in_console(tmp_path_factory.mktemp("console"), broker) as console:
        yield console


@pytest.fixture
def console(signed_in: Console) -> Console:
    """The same, on a desktop, with no complaint so far, and no page whose requests could still fail."""
    signed_in.tab.resize(*DESKTOP)
    signed_in.tab.open("about:blank")
    signed_in.tab.problems.clear()
    return signed_in
