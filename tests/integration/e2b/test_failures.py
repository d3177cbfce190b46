"""What goes wrong at E2B is an error of ours with a way out, said at once, and leaves nothing there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.e2b import loopback
from tests.integration.e2b.helpers import OpenDriver
from tests.integration.e2b.programs import COUNTER, Heard, ask, spec
from tests.support.paths import PROJECT
from tests.support.waiting import until_async

from codewords_mcp.errors import CodewordsError, SandboxFailed, SandboxUnavailable, TooBusy
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.e2b import protocol, template
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount
from codewords_mcp.runtime.sandboxes.e2b.driver import E2BDriver
from codewords_mcp.runtime.sandboxes.e2b.environments import read_pins
from codewords_mcp.runtime.sandboxes.e2b.failures import BUILD_TEMPLATE
from codewords_testing.e2b import LoopbackE2B

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
CREATE = "api POST /v2/sandboxes"
AGENT = f"port:{protocol.AGENT_PORT} GET /"


@pytest.fixture
def bounds(built: EnvironmentRef, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are bounded by less than people's patience, once there is nothing to build any more."""
    assert built.path.exists()
    home = "codewords_mcp.runtime.sandboxes.e2b"
    monkeypatch.setattr(f"{home}.machine_pool._BUSY_SECONDS", 0.5)
    monkeypatch.setattr(f"{home}.agent_connection._CONNECT_SECONDS", 5.0)


REFUSALS: list[tuple[int, str, type[CodewordsError], str, str]] = [
    (401, "Invalid API key", SandboxUnavailable, "does not accept the key", "dashboard"),
    (403, "Team is blocked", SandboxUnavailable, "does not allow this account", "plan"),
    (429, "you have reached the maximum number of concurrent E2B sandboxes (20)", TooBusy, "as its plan allows", "CODEWORDS_E2B_SANDBOXES"),
    (429, "rate limit exceeded", TooBusy, "too many", "CODEWORDS_E2B_CREATES"),
    (400, "Timeout cannot be greater than 1 hours", SandboxFailed, "to live that long", "CODEWORDS_E2B_TTL"),
    (400, "something else", SandboxFailed, "refused what was asked", "log"),
    (500, "internal", SandboxFailed, "status 500", "status.e2b.dev"),
    (502, "bad gateway", SandboxFailed, "status 502", "status.e2b.dev"),
    (503, "no capacity", TooBusy, "no room", "again"),
]  # fmt: skip


@pytest.mark.requirement("e2b:errors")
@pytest.mark.usefixtures("bounds")
@pytest.mark.parametrize(
    ("status", "words", "kind", "said", "hint"),
    REFUSALS,
    ids=[f"{row[0]}-{row[1].split()[0].lower()}" for row in REFUSALS],
)
async def test_what_the_api_refuses_is_said_with_a_way_out_and_never_in_its_own_words(
    open_driver: OpenDriver,
    built: EnvironmentRef,
    e2b: LoopbackE2B,
    status: int,
    words: str,
    kind: type[CodewordsError],
    said: str,
    hint: str,
) -> None:
    driver = await open_driver()
    body = {"code": status, "message": words}
    e2b.faults.add(CREATE, status=status, body=body, headers={"Retry-After": "0"}, times=0)
    with pytest.raises(kind, match=said) as raised:
        await driver.start(spec(built, COUNTER))
    assert hint in raised.value.hint
    assert words not in raised.value.message
    e2b.faults.clear()


@pytest.mark.requirement("e2b:errors")
@pytest.mark.usefixtures("bounds")
async def test_an_api_that_does_not_answer_or_hangs_up_is_said_and_a_late_machine_is_swept(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver()
    driver.account.options["request_timeout"] = 0.5
    e2b.faults.add(CREATE, delay=3.0)
    with pytest.raises(SandboxFailed, match="did not answer in time"):
        await driver.start(spec(built, "print('never')"))
    e2b.faults.add(CREATE, drop=True, times=0)
    with pytest.raises((SandboxFailed, SandboxUnavailable), match="E2B"):
        await driver.start(spec(built, "print('never')"))
    e2b.faults.clear()
    driver.account.options["request_timeout"] = 30.0
    await until_async(lambda: bool(e2b.cloud.sandboxes))  # made after all, and nobody knows
    assert await driver.leases.sweep(everything=True) == 1


@pytest.mark.requirement("e2b:errors")
async def test_a_driver_without_a_key_with_a_wrong_one_or_without_e2b_does_not_open(
    e2b: LoopbackE2B, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codewords_mcp.runtime.sandboxes.e2b.account._REQUEST_SECONDS", 2.0)
    settings = loopback.settings_for(e2b, tmp_path)
    e2b.faults.add("api GET", status=401, body={"code": 401, "message": "Invalid API key"})
    with pytest.raises(SandboxUnavailable, match="does not accept the key"):
        await E2BDriver.open(settings, None, tmp_path / "run")
    nowhere = settings.model_copy(update={"e2b_api_url": "http://127.0.0.1:9"})
    with pytest.raises(SandboxUnavailable, match="cannot be reached"):
        await E2BDriver.open(nowhere, None, tmp_path / "run")
    monkeypatch.delenv("E2B_API_KEY")
    with pytest.raises(SandboxUnavailable, match="E2B_API_KEY is not set") as raised:
        await E2BDriver.open(settings, None, tmp_path / "run")
    assert "dashboard" in raised.value.hint


@pytest.mark.requirement("e2b:errors")
@pytest.mark.usefixtures("bounds")
async def test_a_template_that_is_missing_or_another_is_said_with_the_command_that_builds_it(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    with pytest.raises(SandboxUnavailable, match="no template called never-built") as raised:
        await open_driver(e2b_template="never-built")
    assert raised.value.remedy == BUILD_TEMPLATE
    e2b.add_template("strange")
    e2b.add_template(read_pins(built).name("strange"))
    driver = await open_driver(e2b_template="strange")
    with pytest.raises(SandboxUnavailable, match="The agent does not run") as raised:
        await driver.start(spec(built, COUNTER))
    assert raised.value.remedy == BUILD_TEMPLATE


@pytest.mark.requirement("e2b:dying")
@pytest.mark.usefixtures("bounds")
async def test_a_machine_that_dies_while_it_is_connected_to_is_a_failed_sandbox(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver()
    for part in ("before", "after"):
        e2b.faults.add(AGENT, kill=part)
        try:
            sandbox = await driver.start(spec(built, COUNTER))
        except SandboxFailed as error:
            assert "E2B" in error.message  # noqa: PT017
        else:
            with pytest.raises(SandboxFailed, match="E2B ended the sandbox"):
                await sandbox.wait_ready()
            await sandbox.kill()
    await until_async(lambda: not e2b.cloud.sandboxes)


@pytest.mark.requirement("e2b:dying")
@pytest.mark.usefixtures("bounds")
async def test_a_machine_that_dies_under_its_program_breaks_its_requests_off_and_says_why(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver()
    hanging = COUNTER.replace("count += 1", "count += 1; import time; time.sleep(600)")
    sandbox = await driver.start(spec(built, hanging))
    await sandbox.wait_ready()
    heard = Heard(sandbox)
    asking = asyncio.create_task(ask(sandbox))
    await until_async(lambda: sandbox.link.busy)
    e2b.cloud.kill_soon(sandbox.link.machine.id)
    with pytest.raises(OSError):
        await asking
    assert (await sandbox.wait()).reason == "killed"
    failure = sandbox.failure()
    assert isinstance(failure, SandboxFailed)
    assert "E2B ended the sandbox" in failure.message
    await heard.end()


@pytest.mark.requirement("e2b:dying")
@pytest.mark.usefixtures("bounds")
async def test_a_machine_that_dies_while_paused_or_spare_is_found_out(
    open_driver: OpenDriver, built: EnvironmentRef, e2b: LoopbackE2B
) -> None:
    driver = await open_driver()
    sandbox = await driver.start(spec(built, COUNTER))
    await sandbox.wait_ready()
    await sandbox.pause()
    e2b.cloud.kill_soon(sandbox.link.machine.id)
    with pytest.raises(ConnectionError):
        await ask(sandbox)
    failure = sandbox.failure()
    assert failure is not None
    assert "E2B ended the sandbox" in failure.message
    await sandbox.kill()


@pytest.mark.requirement("e2b:errors")
async def test_packages_that_cannot_be_had_there_are_the_environments_failure(
    open_driver: OpenDriver, built: EnvironmentRef, tmp_path: Path, e2b: LoopbackE2B
) -> None:
    odd = tmp_path / "odd" / "lib" / "python3.11" / "site-packages"
    (odd / "there_is_no_such_package_at_all-0.0.1.dist-info").mkdir(parents=True)
    driver = await open_driver()
    broken = EnvironmentRef(tmp_path / "odd", built.base_prefix, "3.11")
    with pytest.raises(CodewordsError) as raised:
        await driver.start(spec(broken, COUNTER))
    assert raised.value.code == "environment_failed"
    await until_async(lambda: not e2b.cloud.sandboxes)


def python(code: str, *before: Path) -> Any:
    searched = ":".join(map(str, (*before, PROJECT / "src")))
    return subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": searched, "PATH": "/usr/bin:/bin", "E2B_API_KEY": "e2b_0"},
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip


@pytest.mark.requirement("e2b:lazy")
@pytest.mark.parametrize(
    "module", ["stdio.proxy", "cli.app", "cli.serve", "runtime.api.container", "runtime.sandboxes.drivers"]
)
def test_nothing_imports_the_sdk_that_does_not_use_it(module: str) -> None:
    found = python(
        f"import sys, codewords_mcp.{module}; print([m for m in sys.modules if m.split('.')[0] == 'e2b'])"
    )
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.requirement("e2b:light")
def test_the_agent_of_a_machine_starts_without_the_runtimes_database() -> None:
    found = python(
        "import sys, codewords_mcp.agent.__main__; print({'sqlalchemy', 'dbos', 'pydantic', 'starlette'} & set(sys.modules))"
    )
    assert found.stdout.strip() == "set()", found.stderr


@pytest.mark.requirement("e2b:lazy")
def test_an_installation_without_the_sdk_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "e2b.py").write_text("raise ImportError('absent')", encoding="utf-8")
    code = """
import asyncio, pathlib, sys
from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.settings import Settings
try:
    asyncio.run(open_driver(Settings(sandbox="e2b"), None, pathlib.Path("/nonexistent")))
except SandboxUnavailable as error:
    print(error.message, error.hint)
"""
    found = python(code, tmp_path)
    assert "cannot be imported" in found.stdout, found.stderr
    assert "Install codewords-mcp[e2b], or e2b>=" in found.stdout


@pytest.mark.requirement("e2b:build-template")
async def test_a_cloud_without_snapshots_gets_its_template_and_the_cause_is_named(
    e2b: LoopbackE2B, tmp_path: Path
) -> None:
    settings = loopback.settings_for(e2b, tmp_path)
    account = await E2bAccount.open(settings)
    built: list[str] = []

    async def build(_template: Any, name: str, **_more: Any) -> None:
        built.append(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account, "build", build)  # the steps themselves have a test of their own
        wheel = tmp_path / "codewords_client-1.whl"
        wheel.touch()
        assert await template.build(account, settings, wheel, print) == ""

        e2b.faults.add("api GET /snapshots", status=404, body={"code": 404, "message": "no such route"})
        problem = await template.build(account, settings, wheel, print)
    assert built == [settings.e2b_template] * 2
    assert problem.startswith(
        "Environments of the template before were not removed: This E2B has no snapshots"
    )
    assert "time ran out" not in problem

    e2b.faults.add("api GET /snapshots", status=404, body={"code": 404, "message": "no such route"})
    with pytest.raises(SandboxFailed, match="has no snapshots"):
        await template.remove_environments(account, settings.e2b_template)
