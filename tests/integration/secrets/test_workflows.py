"""Workflows with secrets that have a host rule: used, searched for, and told of."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.secrets.tls_host import Ca, StandIn, names_on_loopback, standing_in, trusted
from tests.support.background_runs import with_options
from tests.support.egress import relayed_to
from tests.support.runtime import (
    ADMIN,
    deploy,
    fetch,
    make_home,
    open_runtime,
    workflow,
)

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.egress import Egress, EgressPolicy
from codewords_mcp.runtime.egress.intercept import Interception, SandboxCredential
from codewords_mcp.runtime.sandboxes.e2b.program_egress import around, describe
from codewords_mcp.runtime.secrets.placeholders import new_placeholder
from codewords_mcp.runtime.secrets.rules import make_rule

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

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


@pytest.mark.requirement("rules:end-to-end")
async def test_without_isolation_too_the_value_stays_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(tmp_path, monkeypatch, sandbox="process") as (runtime, host, pair):
        await runtime.secrets.set(ADMIN, NAME, VALUE, hosts=[pair])
        service = await deploy(runtime, CALLER)
        status, body, _ = await fetch(runtime, service, {"url": f"https://{pair}/v1/charges"})
    assert status == 200, body
    assert host.asked[0]["headers"]["authorization"] == f"Bearer {VALUE}"
    assert VALUE not in body.decode()


@pytest.mark.requirement("rules:inspect")
async def test_a_workflow_that_asks_for_it_sends_no_placeholder_to_any_host_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage(tmp_path, monkeypatch, sandbox="process") as (runtime, host, pair):
        await runtime.secrets.set(ADMIN, NAME, VALUE, hosts=["api.elsewhere.example"])
        service = await deploy(runtime, with_options(CALLER, "inspect = true"))
        _, body, run_id = await fetch(runtime, service, {"url": f"https://{pair}/v1/charges"})
        run = await runtime.runs.get(ADMIN, run_id, wait=60)
    assert "whose rule is for api.elsewhere.example only" in body.decode()
    assert host.asked == []
    assert run.usage is not None
    assert run.usage["egress"]["refused"][0]["host"] == HOST


@pytest.mark.requirement("rules:inspect", "rules:e2b")
def test_what_is_looked_at_everywhere_is_all_dialled_by_the_runtime_on_e2b_too() -> None:
    egress = Egress(EgressPolicy(), relayed_to("127.0.0.1", 9))
    for everywhere, by in ((False, "machine"), (True, "runtime")):
        credential = SandboxCredential(NAME, new_placeholder(VALUE), VALUE, make_rule([HOST]))
        egress.expect("sandbox", egress.policy, Interception([credential], everywhere=everywhere))
        described = describe("sandbox", egress, by_machine=True)
        assert described["by"] == by
        assert around(described) == ((None, False) if everywhere else (None, True))


CALLER = workflow(
    """
import os, httpx
@app.post("/")
def pay(asked: dict):
    key = os.environ["STRIPE_API_KEY"]
    return httpx.get(asked["url"], headers={"Authorization": f"Bearer {key}"}).text
""",
    env=(NAME,),
)


@pytest.mark.requirement("secrets:rules")
async def test_well_known_names_bring_their_hosts_and_a_value_set_again_keeps_its_rule(
    tmp_path: Path,
) -> None:
    async with open_runtime(make_home(tmp_path / "home"), sandbox="process") as runtime:
        known = await runtime.secrets.set(ADMIN, NAME, VALUE)
        assert (known.held, known.hosts[0], known.places) == ("placeholder", HOST, ["header", "basic"])
        own = await runtime.secrets.set(
            ADMIN, "OWN_KEY", "value-1", hosts=["Api.Example.com."], places=["query"]
        )
        assert (own.hosts, own.places) == (["api.example.com"], ["query"])
        again = await runtime.secrets.set(ADMIN, "OWN_KEY", "value-2")
        assert (again.hosts, again.places) == (["api.example.com"], ["query"])
        plain = await runtime.secrets.set(ADMIN, "OWN_KEY", "value-3", plain=True)
        assert (plain.held, plain.hosts) == ("plain", [])
        page = await runtime.secrets.create_link(ADMIN, "PAGE_KEY", hosts=["api.page.com"])
        nonce = page.rpartition("/")[2]
        assert (await runtime.secrets.peek_link(ADMIN, nonce)).hosts == ["api.page.com"]
        typed = await runtime.secrets.redeem_link(ADMIN, nonce, "value-4", hosts=["api.typed.com"])
        assert typed.hosts == ["api.typed.com"]
