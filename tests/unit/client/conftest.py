"""One runtime on loopback, and both clients under one set of awaitable names."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from tests.unit.client.fake_runtime import KEY, FakeRuntime, fake_runtime

from codewords_client import AsyncCodewordsClient, CodewordsClient


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own environment reaches a client under test."""
    names = (
        "CODEWORDS_API_KEY",
        "CODEWORDS_RUNTIME_URI",
        "RUNTIME_URI",
        "CODEWORDS_RUNTIME_URL",
        "SERVICE_ID",
    )
    for name in names:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def runtime() -> Generator[FakeRuntime]:
    with fake_runtime() as fake:
        yield fake


class Awaitable:
    """A client whose methods are all awaited: the sync one's run in a thread, and iterators come as lists."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.target, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if inspect.isasyncgenfunction(method) or (
                name in {"stream_logs", "logs"} and "Async" in type(self.target).__name__
            ):
                return [entry async for entry in method(*args, **kwargs)]
            if inspect.iscoroutinefunction(method):
                return _wrapped(await method(*args, **kwargs))
            return _wrapped(await asyncio.to_thread(lambda: _drained(method(*args, **kwargs))))

        return call


def _drained(value: Any) -> Any:
    return list(value) if inspect.isgenerator(value) else value


def _wrapped(value: Any) -> Any:
    return Awaitable(value) if type(value).__name__.endswith("CodewordsResponse") else value


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, runtime: FakeRuntime) -> AsyncGenerator[Any]:
    """Either client, against the runtime on loopback."""
    if request.param == "sync":
        with CodewordsClient(runtime.url, KEY) as made:
            yield Awaitable(made)
    else:
        async with AsyncCodewordsClient(runtime.url, KEY) as made:
            yield Awaitable(made)
