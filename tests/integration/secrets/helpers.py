"""Workflows and programs with secrets that have a host rule."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.secrets.interception import Ground
from tests.integration.secrets.tls_host import Ca, StandIn, names_on_loopback, standing_in, trusted
from tests.support.runtime import (
    make_home,
    open_runtime,
    workflow,
)

from codewords_mcp.runtime.api.runtime import Runtime


async def run(stage: Ground, *command: str) -> str:
    """What a program says. Fails where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, env=stage.variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()
    return out.decode()


HOST = "api.stripe.com"


NAME = "STRIPE_API_KEY"


VALUE = "sk_live_51CanaryOnlyTheHostMaySeeThis"


PLAIN = "canary-that-was-asked-for-plain-0123"


SPY = workflow(
    """
import base64, hashlib, httpx, os, pathlib, sys
def holders(prefix, size, digest):
    # Looks for something without having it: by how it begins, and by its digest.
    found = []
    for process in [p for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()]:
        try:
            places = (process / "maps").read_text().splitlines()
            memory = (process / "mem").open("rb", buffering=0)
        except OSError:
            continue
        for place in places:
            span, rights, *_ = place.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if "r" not in rights or end - start > 1 << 28:
                continue
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            at = data.find(prefix)
            while at >= 0:
                if hashlib.sha256(data[at:at + size]).hexdigest() == digest:
                    found.append(f"{process.name} {place}")
                at = data.find(prefix, at + 1)
        memory.close()
    return found
@app.post("/")
def spy(asked: dict):
    key = os.environ["STRIPE_API_KEY"]
    print("printed", key, base64.b64encode(key.encode()).decode(), key[:20], key[20:])
    print("whole environment", dict(os.environ), file=sys.stderr)
    reply = httpx.post(asked["url"] + "/v1/charges", headers={"Authorization": f"Bearer {key}"}, json={"amount": 5})
    print("echo", reply.text)
    streamed = httpx.get(asked["url"] + "/stream", headers={"Authorization": f"Bearer {key}"}).text
    body = httpx.post(asked["url"] + "/v1/body", json={"key": key})
    return {
        "status": reply.status_code, "text": reply.text, "echo": reply.headers.get("x-echo"), "key": key,
        "body": [body.status_code, body.text], "streamed": streamed,
        "memory": holders(asked["prefix"].encode(), asked["size"], asked["digest"]),
        "plain": bool(holders(asked["plain_prefix"].encode(), asked["plain_size"], asked["plain_digest"])),
    }
@app.post("/header")
def header():
    from fastapi import Response
    return Response("ok", headers={"X-Key": os.environ["PLAIN_KEY"]})
@app.post("/raise")
def fail(asked: dict):
    raise RuntimeError(f"failed with {os.environ['STRIPE_API_KEY']} and {os.environ['PLAIN_KEY']}")
""",
    env=(NAME, "PLAIN_KEY"),
)


@asynccontextmanager
async def stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: object
) -> AsyncGenerator[tuple[Runtime, StandIn, str]]:
    """A runtime, the host, and the host's name with its port."""
    ca = Ca(tmp_path)
    names_on_loopback(monkeypatch, HOST)
    with trusted(ca, monkeypatch):
        async with standing_in(ca, HOST) as host:
            pair = f"{HOST}:{host.port}"
            home = make_home(tmp_path / "home")
            async with open_runtime(home, egress_allow_private=[pair], **settings) as runtime:
                yield runtime, host, pair


def looked_for(value: str, name: str = "") -> dict[str, object]:
    """What a workflow needs to find a value that it does not have."""
    import hashlib

    data = value.encode()
    key = f"{name}_" if name else ""
    return {
        f"{key}prefix": value[:12],
        f"{key}size": len(data),
        f"{key}digest": hashlib.sha256(data).hexdigest(),
    }


def forms(value: str) -> list[bytes]:
    return [value.encode(), base64.b64encode(value.encode())[:-4], value.encode().hex().encode()]


def files_with(folder: Path, value: str) -> list[str]:
    """Files below a folder that hold a value, in one of the forms."""
    found: list[str] = []
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top) / name
            if path.is_file() and any(form in path.read_bytes() for form in forms(value)):
                found.append(str(path))
    return found
