"""Workflows with secrets that have a host rule: used, searched for, and told of."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.secrets.helpers import HOST, NAME, VALUE, stage
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

from codewords_mcp.runtime.egress import Egress, EgressPolicy
from codewords_mcp.runtime.egress.intercept import Interception, SandboxCredential
from codewords_mcp.runtime.sandboxes.e2b.program_egress import around, describe
from codewords_mcp.runtime.secrets.placeholders import new_placeholder
from codewords_mcp.runtime.secrets.rules import make_rule

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


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
