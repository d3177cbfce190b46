"""Why something was refused or failed is told where it is looked for: checks, the run's record, and what a model reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.runtime import (
    ADMIN,
    deploy,
    finished,
    log_text,
    make_home,
    open_runtime,
    request,
    workflow,
)

from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.mcp_server.run_format import format_run
from codewords_mcp.mcp_server.run_result import RunView, run_result
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.validation import Check

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REACHES = """
import httpx

@app.post("/")
def reach(body: dict):
    return httpx.get(body["url"], timeout=5, trust_env=body["proxy"]).status_code

@app.post("/quiet")
def quiet(body: dict):
    try:
        return httpx.get(body["url"], timeout=5).status_code
    except httpx.HTTPError as error:
        return str(error)

@app.get("/deaf")
def deaf():
    import time
    time.sleep(300)
"""
CALLS = """
from codewords_client import CodewordsClient

@app.post("/")
def ask():
    with CodewordsClient() as client:
        for service in ("send_email", "searchapi", "openai"):
            client.run(service, inputs={})
"""
HEADER_LINE = '# [tool.codewords]\n# hosts = ["10.1.2.3"]\n# timeout = 1\n'
PRIVATE = '["10.1.2.3:9200"]'
UNKNOWN = "http://other.example/"


@pytest.fixture(scope="module")
async def runtime(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Runtime]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            patch.delenv(name, raising=False)
        async with open_runtime(make_home(tmp_path_factory.mktemp("home"))) as opened:
            yield opened


def with_tool(line: str, title: str) -> str:
    """The program with a line under [tool.codewords]."""
    head, end, body = workflow(REACHES, title=title).partition("# ///\n")
    return f"{head}# [tool.codewords]\n# {line}\n{end}{body}"


@pytest.fixture(scope="module")
async def reaches(runtime: Runtime) -> str:
    return await deploy(runtime, with_tool('hosts = ["10.1.2.3"]', "Reaches"))


async def told(runtime: Runtime, run: Run) -> str:
    """What a model reads of a run whose log has ended."""
    async for _ in runtime.logs.lines(ADMIN, run.id):
        pass
    return format_run(run_result(RunView(run, [], await runtime.authoring.diagnose(ADMIN, run))))


def warned(checks: list[Check], one: str) -> dict[str, str]:
    return {
        check.message: check.fix or "" for check in checks if (check.id, check.status) == (one, "warning")
    }


@pytest.mark.requirement("runs:refusals-told")
@pytest.mark.parametrize("proxy", [True, False])
@pytest.mark.parametrize(
    ("url", "why", "line"),
    [
        (UNKNOWN, "manifest does not list it", 'hosts = ["other.example"]'),
        ("http://10.1.2.3:9200/", "10.1.2.3 is a private address", PRIVATE),
        ("https://10.1.2.3:9200/", "10.1.2.3 is a private address", PRIVATE),
    ],
)
async def test_a_refused_connection_tells_its_reason_in_the_record_the_log_and_to_a_model(
    runtime: Runtime, reaches: str, url: str, why: str, line: str, proxy: bool
) -> None:
    run = await runtime.runs.call(ADMIN, reaches, data={"url": url, "proxy": proxy})
    words, log = await told(runtime, run), await log_text(runtime, run.id)
    [reached] = (await runtime.runs.get(ADMIN, run.id)).usage["egress"]["reached"]
    assert not reached["allowed"]
    for place in (reached["why"], words, log):
        assert why in place
        assert line in place


@pytest.mark.requirement("runs:refusals-told")
async def test_a_run_that_takes_a_refusal_in_its_stride_tells_it_all_the_same(
    runtime: Runtime, reaches: str
) -> None:
    run = await runtime.runs.call(ADMIN, reaches, path="/quiet", data={"url": UNKNOWN})
    assert run.status == "succeeded"
    assert 'hosts = ["other.example"]' in await told(runtime, run)


@pytest.mark.requirement("runs:limits-named")
async def test_a_run_that_was_too_long_names_the_line_or_setting_that_limits_it(
    runtime: Runtime, reaches: str
) -> None:
    short = await deploy(runtime, with_tool("timeout = 1", "Short"))
    behind = await runtime.runs.call(ADMIN, short, path="/deaf", method="GET")
    assert behind.status == "timed_out"
    assert "`timeout = 1` under [tool.codewords]" in (behind.error.hint if behind.error else "")
    assert "in the background" not in await told(runtime, behind)
    with pytest.raises(Exception, match="set this limit"):
        await runtime.runs.execute(request(reaches, None, path="/deaf", method="GET", timeout=1.0))


@pytest.mark.requirement("runs:no-route")
@pytest.mark.parametrize(("path", "method"), [("/nowhere", "POST"), ("/deaf", "DELETE")])
async def test_a_route_that_is_not_there_is_answered_with_those_that_are(
    runtime: Runtime, reaches: str, path: str, method: str
) -> None:
    words = await told(runtime, await runtime.runs.call(ADMIN, reaches, path=path, method=method))
    assert "POST /, POST /quiet, GET /deaf" in words
    assert "Next: run_workflow(" in words


@pytest.mark.requirement("workflows:service-secrets")
async def test_secrets_that_services_and_models_lack_are_told_by_the_checks_with_the_call_that_sets_them(
    runtime: Runtime,
) -> None:
    code = workflow(CALLS, title="Lacks").replace('"httpx==0.28.1"', '"httpx==0.28.1", "codewords-client"')
    report = await runtime.authoring.validate(ADMIN, code)
    found = warned(report.checks, "credentials")
    for name in ("SMTP_URL", "SEARCHAPI_API_KEY", "OPENAI_API_KEY"):
        [fix] = [fix for message, fix in found.items() if name in message]
        assert fix == set_secret(name).words
    assert report.all_passed, "a secret may be set after the deploy"
    await runtime.secrets.set(ADMIN, "SMTP_URL", "smtp://user:word@mail.example:587")
    left = warned((await runtime.authoring.validate(ADMIN, code)).checks, "credentials")
    assert not any("SMTP_URL" in message for message in left)
    await runtime.secrets.delete(ADMIN, "SMTP_URL")


@pytest.mark.requirement("workflows:service-secrets")
async def test_a_run_that_lacks_a_secret_says_which_and_the_next_call_sets_it(runtime: Runtime) -> None:
    # what the service answers, as a program passes it on: no HTTP server stands before this runtime
    answer = (
        "The service searchapi needs SEARCHAPI_API_KEY, which is not set. Set the secret SEARCHAPI_API_KEY."
    )
    body = CALLS.replace("    with", f"    raise RuntimeError({answer!r})\n    with")
    code = workflow(body, title="Searches").replace('"httpx==0.28.1"', '"httpx==0.28.1", "codewords-client"')
    service = await deploy(runtime, code)
    run = await runtime.runs.call(ADMIN, service, data={})
    assert run.status == "failed"
    words = await told(runtime, run)
    assert 'Next: set_secret(name="SEARCHAPI_API_KEY")' in words
    await finished(runtime, run.id)


@pytest.mark.requirement("workflows:service-secrets")
async def test_an_app_that_nobody_connected_does_not_keep_the_other_checks_from_running(
    runtime: Runtime,
) -> None:
    code = workflow("\nraise RuntimeError('breaks at import')\n", env=("PIPEDREAM_SLACK_ACCESS",))
    checks = {check.id: check for check in (await runtime.authoring.validate(ADMIN, code)).checks}
    assert checks["connections"].status in {"failed", "warning"}
    assert checks["starts"].status == "failed"
    assert "breaks at import" in checks["starts"].message
