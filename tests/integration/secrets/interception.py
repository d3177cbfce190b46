"""A sandbox's end of the egress on loopback, with placeholders, and a host behind it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.secrets.tls_host import (
    Ca,
    Raw,
    StandIn,
    client_context,
    names_on_loopback,
    raw_host,
    standing_in,
    trusted,
)
from tests.support.egress import listening, relayed_to

from codewords_mcp.runtime.egress import Egress, EgressEvent, EgressPolicy
from codewords_mcp.runtime.egress.intercept import Interception, SandboxCredential
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.sandboxes import authorities
from codewords_mcp.runtime.sandboxes.base import SandboxSockets
from codewords_mcp.runtime.secrets.placeholders import new_placeholder
from codewords_mcp.runtime.secrets.rules import make_rule

HOST = "api.stripe.com"
OTHER = "api.other.com"
FREE = "free.example"
"""No rule is for it."""
NAME = "STRIPE_API_KEY"
VALUE = "sk_live_51/Canary+OnlyTheHostMaySee=This"


@dataclass
class Ground:
    """Where a program stands: its proxy, what it trusts and holds; and what came of it."""

    host: StandIn
    proxy: int
    interception: Interception
    placeholder: str
    folder: Path
    events: list[EgressEvent] = field(default_factory=list[EgressEvent])

    @property
    def url(self) -> str:
        """The host's address, without a path."""
        return f"https://{HOST}:{self.host.port}"

    @property
    def refusals(self) -> list[str]:
        """Reasons of requests that were refused."""
        return [event.reason for event in self.events if event.kind == "request" and not event.allowed]

    @property
    def context(self) -> ssl.SSLContext:
        """Trusts the sandbox's authority and nothing else."""
        return client_context(self.interception.authority.pem)

    @property
    def variables(self) -> dict[str, str]:
        """A program's environment."""
        bundle = self.folder / authorities.FILE
        bundle.write_bytes(authorities.bundle(self.interception.authority.pem))
        proxy = f"http://127.0.0.1:{self.proxy}"
        own = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "KEY": self.placeholder,
        }
        return own | authorities.variables(self.interception.authority.pem, str(bundle))


@asynccontextmanager
async def ground(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    value: str = VALUE,
    places: tuple[str, ...] = (),
    certified: str = HOST,
    protocols: tuple[str, ...] = ("h2", "http/1.1"),
    recording: RecordingSession | None = None,
    unread: dict[str, str] | None = None,
    everywhere: bool = False,
    private: frozenset[str] = frozenset(),
    raw: Raw | None = None,
    ca: Ca | None = None,
    **options: Any,
) -> AsyncGenerator[Ground]:
    """`certified`: the name in the host's certificate; `private`: what else may be reached; `raw`: what it says,
    byte by byte; `ca`: the authority that vouches for it.
    """
    ca = ca or Ca(tmp_path)
    names_on_loopback(monkeypatch, HOST, OTHER, FREE)
    with trusted(ca, monkeypatch):
        serving = (
            standing_in(ca, certified, protocols=protocols) if raw is None else raw_host(ca, certified, raw)
        )
        async with serving as host:
            pairs = frozenset(f"{name}:{host.port}" for name in (HOST, OTHER, FREE, "127.0.0.1")) | private
            rule = make_rule([f"{HOST}:{host.port}"], places)
            credential = SandboxCredential(NAME, new_placeholder(value), value, rule)
            other = SandboxCredential(
                "OTHER_KEY", new_placeholder("other"), "other-value", make_rule([f"{OTHER}:{host.port}"])
            )
            interception = Interception(
                [credential, other], everywhere=everywhere, recording=recording, unread=unread
            )
            events: list[EgressEvent] = []
            egress = Egress(
                EgressPolicy(allow_private=pairs),
                relayed_to("127.0.0.1", 9),
                on_event=lambda _, e: events.append(e),
                **options,
            )
            egress.expect("sandbox-1", egress.policy, interception)
            sockets = SandboxSockets(listening(), listening())
            assert sockets.connect is not None
            proxy = sockets.connect.getsockname()[1]
            await egress.attach("sandbox-1", sockets)
            try:
                yield Ground(host, proxy, interception, credential.placeholder, tmp_path, events)
            finally:
                await egress.close()


def connect(stage: Ground, to: str = HOST) -> socket.socket:
    """A connection through the proxy, before TLS; blocking."""
    sock = socket.create_connection(("127.0.0.1", stage.proxy))
    sock.sendall(f"CONNECT {to}:{stage.host.port} HTTP/1.1\r\nHost: {to}\r\n\r\n".encode())
    return sock
