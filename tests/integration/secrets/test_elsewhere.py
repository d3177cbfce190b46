"""Runs whose secrets are kept elsewhere: used, changed there without a deploy, away, and never stored or shown."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.integration.secrets.helpers import HOST, NAME, files_with, stage
from tests.support.runtime import ADMIN, deploy, fetch, make_home, open_runtime, workflow
from tests.support.secret_stores import SecretStores, serving_stores

from codewords_mcp.errors import InvalidInput, UpstreamFailed
from codewords_mcp.runtime.api.runtime import Runtime

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REFERENCE = "vault://kv/app#token"
OLD, NEW = "value-that-vault-had-at-first", "value-that-vault-has-by-now"
CALLER = workflow(
    """
import os, httpx
@app.post("/")
def pay(asked: dict):
    key = os.environ["STRIPE_API_KEY"]
    print("the key is", key)
    return {"key": key, "said": httpx.get(asked["url"], headers={"Authorization": f"Bearer {key}"}).text}
""",
    env=(NAME,),
)


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Generator[SecretStores]:
    with serving_stores() as standing:
        for name, value in standing.environment.items():
            monkeypatch.setenv(name, value)
        standing.values["kv/app"] = {"token": OLD}
        yield standing


@pytest.mark.requirement("elsewhere:run")
async def test_a_host_gets_the_value_of_the_day_and_nothing_else_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stores: SecretStores
) -> None:
    settings = {"secret_sources": ["vault://kv/*"], "secret_cache": 0.0}
    async with stage(tmp_path, monkeypatch, sandbox="process", **settings) as (runtime, host, pair):
        kept = await runtime.secrets.refer(ADMIN, NAME, REFERENCE, hosts=[pair])
        assert (kept.source, kept.held) == (REFERENCE, "placeholder")
        service = await deploy(runtime, CALLER)
        answers = [await fetch(runtime, service, {"url": f"https://{pair}/v1/charges"})]
        stores.values["kv/app"] = {"token": NEW}
        answers.append(await fetch(runtime, service, {"url": f"https://{pair}/v1/charges"}))
        listed = await runtime.secrets.list(ADMIN)

    assert [asked["headers"]["authorization"] for asked in host.asked] == [f"Bearer {OLD}", f"Bearer {NEW}"]
    for status, body, _ in answers:
        assert status == 200, body
        assert OLD not in body.decode()
        assert NEW not in body.decode()
    assert [(secret.name, secret.source) for secret in listed] == [(NAME, REFERENCE)]
    assert files_with(tmp_path / "home", OLD) == []
    assert files_with(tmp_path / "home", NEW) == []


@pytest.mark.requirement("elsewhere:run")
async def test_a_workflow_that_gets_the_value_itself_has_it_removed_from_all_it_says(
    tmp_path: Path, stores: SecretStores
) -> None:
    code = CALLER.replace(
        'httpx.get(asked["url"], headers={"Authorization": f"Bearer {key}"}).text', '"nothing"'
    )
    async with runtime_of(tmp_path) as runtime:
        await runtime.secrets.refer(ADMIN, NAME, REFERENCE, plain=True)
        _, body, run_id = await fetch(runtime, await deploy(runtime, code), {})
        run = await runtime.runs.get(ADMIN, run_id, wait=60)
        log = await runtime.logs.tail(ADMIN, run_id)
    assert json.loads(body)["key"] == f"[secret {NAME}]"
    assert OLD not in str(run.model_dump())
    assert f"the key is [secret {NAME}]" in str(log)
    assert OLD not in str(log)


def runtime_of(tmp_path: Path) -> AbstractAsyncContextManager[Runtime]:
    return open_runtime(
        make_home(tmp_path / "home"), sandbox="process", secret_sources=["vault://kv/*"], secret_cache=0.0
    )


@pytest.mark.requirement("elsewhere:away", "elsewhere:allowed")
async def test_a_store_that_refuses_fails_the_run_in_words_and_a_reference_that_is_not_allowed_is_not_stored(
    tmp_path: Path, stores: SecretStores
) -> None:
    async with runtime_of(tmp_path) as runtime:
        await runtime.secrets.refer(ADMIN, NAME, REFERENCE)
        service = await deploy(runtime, CALLER)
        stores.values.clear()
        with pytest.raises(UpstreamFailed, match=f"{NAME} is kept in {REFERENCE}: there is no such secret"):
            await fetch(runtime, service, {"url": f"https://{HOST}/"})
        await refused(runtime, "vault://other/app#token", InvalidInput, "may not read")
        await refused(runtime, "env://PATH", InvalidInput, "may not read")
        await refused(runtime, "vault://kv/none#token", UpstreamFailed, "no such secret")
        assert [secret.source for secret in await runtime.secrets.list(ADMIN)] == [REFERENCE]


async def refused(runtime: Runtime, source: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await runtime.secrets.refer(ADMIN, "OTHER_KEY", source)
