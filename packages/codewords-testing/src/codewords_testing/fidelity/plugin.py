"""Pytest plugin: a test fails whose stand-ins sent a reply that the service could not have sent.

`pytest -p codewords_testing.fidelity.plugin`. Replies that a test wrote itself are not looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from codewords_testing.fidelity.check import problems
from codewords_testing.fidelity.exchange import SentReply, observing

_MOST = 10


class Fidelity:
    """Replies since the last test, and the number of all that were checked."""

    def __init__(self) -> None:
        self.exchanges: deque[SentReply] = deque()
        self.stack = ExitStack()
        self.checked = 0

    def take(self) -> list[str]:
        """Check the replies since the last call."""
        found: list[str] = []
        while self.exchanges:
            exchange = self.exchanges.popleft()
            self.checked += 1
            found += problems(exchange)
        return list(dict.fromkeys(found))


_KEY = pytest.StashKey[Fidelity]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to read the replies."""
    fidelity = config.stash[_KEY] = Fidelity()
    fidelity.stack.enter_context(observing(fidelity.exchanges.append))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Read no more."""
    if _KEY in config.stash:
        config.stash[_KEY].stack.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail a test whose stand-ins were unfaithful."""
    yield
    found = item.config.stash[_KEY].take()
    if found:
        more = f"\n… and {len(found) - _MOST} more" if len(found) > _MOST else ""
        pytest.fail(
            "a stand-in sent what the service could not have sent:\n" + "\n".join(found[:_MOST]) + more,
            pytrace=False,
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many replies were checked."""
    checked = config.stash[_KEY].checked
    if checked:
        terminalreporter.write_line(
            f"{checked} replies of stand-ins compared with the services' descriptions"
        )
