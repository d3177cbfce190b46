"""A sandbox's way out on which everything is recorded."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from tests.integration.secrets.interception import FREE, OTHER, Ground, ground
from tests.integration.secrets.tls_host import Ca
from tests.support.waiting import until_async

from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.recording.exchanges import Exchange, UnreadConnection
from codewords_mcp.runtime.recording.recorder import LiveRecorder
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.secrets.scrub import Scrubber


class Recorded:
    """A stage whose programs are recorded, and what is on record."""

    def __init__(self, stage: Ground, log: ExchangeLog) -> None:
        self.stage = stage
        self.log = log

    def client(self, verify: ssl.SSLContext | None = None, *, http2: bool = False) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            proxy=f"http://127.0.0.1:{self.stage.proxy}",
            verify=verify or self.stage.context,
            trust_env=False,
            timeout=60,
            http2=http2,
        )

    @property
    def url(self) -> str:
        return f"https://{FREE}:{self.stage.host.port}"

    async def exchanges(self, count: int) -> tuple[Exchange, ...]:
        """So many, once they are over."""
        await until_async(lambda: sum(one.ended is not None for one in self.log.exchanges()) >= count)
        return self.log.exchanges()

    async def connections(self, count: int) -> tuple[UnreadConnection, ...]:
        """So many that were not read, once they are over."""
        await until_async(lambda: len(self.log.connections()) >= count)
        return self.log.connections()

    async def open(
        self, port: int, tls: ssl.SSLContext | None = None, host: str = FREE
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of a program."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.stage.proxy)
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        if tls is not None:
            await writer.start_tls(tls, server_hostname=host)
        return reader, writer

    async def talk(
        self, port: int, said: bytes, tls: ssl.SSLContext | None = None, host: str = FREE
    ) -> bytes:
        """The answer to raw bytes, until the host ends."""
        reader, writer = await self.open(port, tls, host)
        writer.write(said)
        try:
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()


@asynccontextmanager
async def recorded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *ports: int,
    ca: Ca | None = None,
    certified: str = FREE,
    secrets: dict[str, str] | None = None,
) -> AsyncGenerator[Recorded]:
    """`ports` are those of further hosts on this machine; `certified`: the host's name."""
    log = ExchangeLog()
    session = RecordingSession(LiveRecorder(), Scrubber(secrets or {}), log)
    private = frozenset(f"{name}:{port}" for port in ports for name in (FREE, OTHER))
    async with ground(
        tmp_path, monkeypatch, certified=certified, recording=session, private=private, ca=ca
    ) as stage:
        yield Recorded(stage, log)
