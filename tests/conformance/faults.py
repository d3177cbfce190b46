"""Drivers that break one promise each, around the process driver: a suite is worth what it finds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.sandboxes.base import (
    Capability,
    Driver,
    EnvironmentRef,
    Exit,
    ExitReason,
    Network,
    OutputChunk,
    Sandbox,
    SandboxSpec,
    Stream,
    Tier,
    Usage,
)
from codewords_mcp.testing.sandboxes import drivers


class Faulty:
    """A sandbox that keeps every promise; each subclass breaks one."""

    def __init__(self, inner: Sandbox) -> None:
        self.inner = inner
        self.id = inner.id

    @property
    def socket_path(self) -> str:
        return self.inner.socket_path

    async def wait_ready(self) -> None:
        await self.inner.wait_ready()

    def output(self) -> AsyncIterator[OutputChunk]:
        return self.inner.output()

    async def wait(self) -> Exit:
        return await self.inner.wait()

    async def stop(self, grace: float) -> Exit:
        return await self.inner.stop(grace)

    async def kill(self, reason: ExitReason = "killed") -> Exit:
        return await self.inner.kill(reason)

    def failure(self) -> CodewordsError | None:
        return self.inner.failure()

    async def usage(self) -> Usage:
        return await self.inner.usage()


class SwapsStreams(Faulty):
    async def output(self) -> AsyncIterator[OutputChunk]:  # pyright: ignore[reportIncompatibleMethodOverride]
        names: dict[Stream, Stream] = {"stdout": "stderr", "stderr": "stdout", "platform": "platform"}
        async for chunk in self.inner.output():
            yield replace(chunk, stream=names[chunk.stream])


class DecodesOutput(Faulty):
    async def output(self) -> AsyncIterator[OutputChunk]:  # pyright: ignore[reportIncompatibleMethodOverride]
        async for chunk in self.inner.output():
            yield replace(chunk, data=chunk.data.decode(errors="replace").encode())


class LosesTheEnd(Faulty):
    async def output(self) -> AsyncIterator[OutputChunk]:  # pyright: ignore[reportIncompatibleMethodOverride]
        async for chunk in self.inner.output():
            yield replace(chunk, data=chunk.data[:-1])


class TakesAllOutput(Faulty):
    def __init__(self, inner: Sandbox) -> None:
        super().__init__(inner)
        self._chunks: asyncio.Queue[OutputChunk | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for chunk in self.inner.output():
            self._chunks.put_nowait(chunk)
        self._chunks.put_nowait(None)

    async def output(self) -> AsyncIterator[OutputChunk]:  # pyright: ignore[reportIncompatibleMethodOverride]
        await asyncio.wait({self._reading})  # not before all of it is there, however slow this machine is
        while (chunk := await self._chunks.get()) is not None:
            yield chunk


class ForgetsTheCode(Faulty):
    async def wait(self) -> Exit:
        exit_ = await self.inner.wait()
        return replace(exit_, code=0) if exit_.reason == "exited" else exit_


class ForgetsTheSignal(Faulty):
    async def wait(self) -> Exit:
        exit_ = await self.inner.wait()
        return Exit("exited", code=128 + (exit_.signal or 0)) if exit_.reason == "signaled" else exit_


class BelievesTheLastKill(Faulty):
    async def kill(self, reason: ExitReason = "killed") -> Exit:
        await self.inner.kill(reason)
        return Exit(reason)


class HasNoFailure(Faulty):
    def failure(self) -> CodewordsError | None:
        return None


class IsReadyAtOnce(Faulty):
    async def wait_ready(self) -> None:
        pass


class KillsAtOnce(Faulty):
    async def stop(self, grace: float) -> Exit:
        return await self.inner.kill()


class UsesNothing(Faulty):
    async def usage(self) -> Usage:
        return Usage(0.0)


class DiesOfACancelledWait(Faulty):
    async def wait_ready(self) -> None:
        try:
            await self.inner.wait_ready()
        except asyncio.CancelledError:
            await self.inner.kill()
            raise


def same_spec(spec: SandboxSpec) -> SandboxSpec:
    return spec


def host_variables(spec: SandboxSpec) -> SandboxSpec:
    return replace(spec, env=dict(os.environ) | dict(spec.env))


def trimmed_variables(spec: SandboxSpec) -> SandboxSpec:
    return replace(spec, env={name: value.strip() for name, value in spec.env.items()})


def unix_lines(spec: SandboxSpec) -> SandboxSpec:
    return replace(spec, code=spec.code.replace("\r\n", "\n"))


class FaultyDriver:
    """The process driver, its sandboxes wrapped, its specifications changed on the way in."""

    def __init__(
        self, inner: Driver, sandbox: type[Faulty], change: Callable[[SandboxSpec], SandboxSpec]
    ) -> None:
        self.inner = inner
        self.capabilities = inner.capabilities
        self.tier = inner.tier
        self._sandbox = sandbox
        self._change = change

    async def start(self, spec: SandboxSpec) -> Sandbox:
        return self._sandbox(await self.inner.start(self._change(spec)))

    async def prepare(self, environment: EnvironmentRef) -> None:
        await self.inner.prepare(environment)

    async def close(self) -> None:
        await self.inner.close()


def faulty(sandbox: type[Faulty] = Faulty, change: Callable[[SandboxSpec], SandboxSpec] = same_spec) -> Any:
    """A `MakeDriver`."""

    async def make(network: Network | None, folder: Path) -> Driver:
        return FaultyDriver(await drivers.process(network, folder), sandbox, change)

    return make


async def boasting(network: Network | None, folder: Path) -> Driver:
    """Claims isolation and everything else, and has none."""
    driver = FaultyDriver(await drivers.process(network, folder), Faulty, same_spec)
    driver.tier = Tier("B", "Isolation, allegedly", ("None of it is true.",))
    driver.capabilities = frozenset(Capability)
    return driver


async def starts_after_close(network: Network | None, folder: Path) -> Driver:
    """Opens anew when it is closed."""

    class Reopening(FaultyDriver):
        async def start(self, spec: SandboxSpec) -> Sandbox:
            try:
                return await super().start(spec)
            except CodewordsError:
                self.inner = await drivers.process(network, folder)
                return await super().start(spec)

    return Reopening(await drivers.process(network, folder), Faulty, same_spec)
