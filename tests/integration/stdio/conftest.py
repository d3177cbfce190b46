"""Homes, stand-in runtimes and fronts for the tests of the pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.stdio_client import Peer, Standin, end_runtime, environment


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home that does not exist yet; a runtime that came up in it is ended."""
    folder = tmp_path / "home"
    yield folder
    end_runtime(folder)


@pytest.fixture
def standin(home: Path) -> Iterator[Callable[..., Standin]]:
    """Start a stand-in runtime in the home and wait until it listens."""
    with ExitStack() as stack:

        def start(**env: str) -> Standin:
            return stack.enter_context(Standin(home, **env))

        yield start


@pytest.fixture
def front(home: Path) -> Iterator[Callable[..., Peer]]:
    """Start a front in the home."""
    with ExitStack() as stack:

        def start(*args: str, **env: str) -> Peer:
            return stack.enter_context(Peer(environment(home, **env), *args))

        yield start
