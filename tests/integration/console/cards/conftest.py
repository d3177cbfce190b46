"""A chat host in the tab of the console's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.console.cards.helpers import Host, host_pages
from tests.integration.console.helpers import Console


@pytest.fixture(scope="session")
def host_page() -> Iterator[str]:
    """The address of the host's page."""
    with host_pages() as page:
        yield page


@pytest.fixture
def host(console: Console, host_page: str) -> Iterator[Host]:
    """The page of a host whose client announced cards. At the end, no card sent a message that ext-apps does not know."""
    host = Host(console.tab, console.served, host_page)
    console.tab.resize(700, 900)
    host.connect()
    yield host
    if console.tab.value("typeof host") == "object":
        assert console.tab.value("host.invalid") == []
        host.clear()
