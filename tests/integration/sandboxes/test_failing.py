"""Programs that fail, and the sentences that say how. The sandbox is never at fault."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.sandbox_programs import Program, running, specification

from codewords_mcp.errors import ProgramFailed, SandboxFailed
from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef, Exit, Limits
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:failing-program")]


async def failure_of(program: Program) -> ProgramFailed:
    with pytest.raises(ProgramFailed) as caught:
        await program.sandbox.wait_ready()
    return caught.value


@pytest.mark.parametrize(("code", "status"), [("import sys; sys.exit(3)", 3), ("x = 1", 0)])
async def test_a_program_that_ends_before_it_listens(
    driver: Driver, environment: EnvironmentRef, code: str, status: int
) -> None:
    async with running(driver, specification(environment, code)) as program:
        error = await failure_of(program)
        assert await program.ended() == Exit("exited", code=status)
    assert (error.code, error.exit_code) == ("program_exited", status)
    assert error.message == f"The workflow exited with code {status} before it opened its port."
    assert program.sandbox.failure() is error or str(program.sandbox.failure()) == str(error)


async def test_an_exception_is_shown_as_python_shows_it(driver: Driver, environment: EnvironmentRef) -> None:
    code = "def deep():\n    raise ValueError('no')\ndeep()\n"
    async with running(driver, specification(environment, code)) as program:
        assert (await failure_of(program)).exit_code == 1
    assert program.stderr == (
        'Traceback (most recent call last):\n  File "/app/main.py", line 3, in <module>\n    deep()\n'
        "  File \"/app/main.py\", line 2, in deep\n    raise ValueError('no')\nValueError: no\n"
    )


async def test_a_syntax_error_is_shown_with_its_line(driver: Driver, environment: EnvironmentRef) -> None:
    async with running(driver, specification(environment, "x = (\n")) as program:
        assert (await failure_of(program)).exit_code == 1
    assert 'File "/app/main.py", line 1' in program.stderr
    assert "boot.py" not in program.stderr


async def test_a_program_that_never_listens_is_told_which_port_was_expected(
    driver: Driver, environment: EnvironmentRef
) -> None:
    spec = specification(
        environment, "import time; time.sleep(60)", limits=Limits(start_timeout=0.5), port=8123
    )
    async with running(driver, spec) as program:
        error = await failure_of(program)
    assert error.code == "program_no_port"
    assert error.message == "The workflow did not open port 8123 within 0.5 seconds."


@pytest.mark.slow
async def test_a_program_that_listens_elsewhere_is_told_where(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = "import http.server as h; h.HTTPServer(('', 9999), h.SimpleHTTPRequestHandler).serve_forever()"
    async with running(driver, specification(environment, code)) as program:
        error = await failure_of(program)
    assert error.code == "program_wrong_port"
    assert error.message == "The workflow listens on port 9999, not on port 8000."


async def test_a_crash_is_told_by_its_signal(driver: Driver, environment: EnvironmentRef) -> None:
    async with running(driver, specification(environment, "import os; os.kill(os.getpid(), 11)")) as program:
        error = await failure_of(program)
        assert await program.ended() == Exit("signaled", signal=11)
    assert error.message == "The workflow was ended by SIGSEGV before it opened its port."


async def test_a_program_that_hangs_up_half_way_is_told_from_one_that_answers(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = """
    import os, uvicorn
    async def app(scope, receive, send):
        if scope["type"] == "http":
            os._exit(7)
    uvicorn.run(app, port=8000, lifespan="off")
    """
    async with running(driver, specification(environment, code)) as program:
        await program.sandbox.wait_ready()
        with pytest.raises(ProgramFailed) as caught:
            await program.ask("GET")
        await program.ended()
        failure = program.sandbox.failure()
    assert caught.value.code == "program_bad_reply"
    assert isinstance(failure, ProgramFailed)
    assert (failure.code, failure.exit_code) == ("program_exited", 7)
    assert failure.message == "The workflow exited with code 7 before it had answered."


STUBBORN = """
    import os, signal, time
    # one write each: a print is two, and the signal may come between them
    signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"heard\\n"))
    os.write(1, b"ready\\n")
    while True:
        time.sleep(60)
"""


async def test_sigterm_lets_a_program_end_in_its_own_way(driver: Driver, environment: EnvironmentRef) -> None:
    code = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    print("ready", flush=True)
    while True:
            time.sleep(0.05)  # one that comes just before a sleep does not end it
    """
    async with running(driver, specification(environment, code)) as program:
        await program.until_printed("ready\n")
        assert await program.sandbox.stop(grace=20) == Exit("exited", code=5)
        assert program.sandbox.failure() is None


async def test_a_program_that_ignores_sigterm_is_killed_after_its_grace(
    driver: Driver, environment: EnvironmentRef
) -> None:
    async with running(driver, specification(environment, STUBBORN)) as program:
        await program.until_printed("ready\n")
        assert await program.sandbox.stop(grace=1) == Exit("killed")
        assert program.sandbox.failure() is None
    assert program.stdout == "ready\nheard\n"


@pytest.mark.requirement("sandbox:kill")
async def test_killing_is_repeatable_and_heard_by_all_who_wait(
    driver: Driver, environment: EnvironmentRef
) -> None:
    async with running(driver, specification(environment, STUBBORN)) as program:
        await program.until_printed("ready\n")
        waiting = asyncio.create_task(program.sandbox.wait_ready())
        ends = await asyncio.gather(
            *(program.sandbox.kill("timed_out") for _ in range(3)), program.sandbox.wait()
        )
        assert ends == [Exit("timed_out")] * 4
        assert await program.sandbox.kill() == Exit("timed_out")
        with pytest.raises(Exception, match="ran past its time limit"):
            await waiting


@pytest.mark.requirement("sandbox:kill")
@pytest.mark.parametrize("delay", [0, 0.01, 0.03, 0.06, 0.1])
async def test_a_start_that_is_cancelled_leaves_nothing(
    driver: LocalDriver, environment: EnvironmentRef, delay: float, tmp_path: Path
) -> None:
    starting = asyncio.create_task(driver.start(specification(environment, STUBBORN)))
    await asyncio.sleep(delay)  # not a wait: any moment of the start must do
    starting.cancel()
    try:
        sandbox = await starting
    except asyncio.CancelledError:
        pass
    else:
        await sandbox.kill()
    groups = {entry.name for group in driver.cgroups for entry in group.iterdir() if entry.is_dir()}
    assert groups <= driver.reserved_names
    await driver.close()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["tier.json"]


async def test_a_missing_interpreter_is_the_sandbox_s_failure_not_the_program_s(
    driver: Driver, environment: EnvironmentRef, tmp_path: Path
) -> None:
    broken = EnvironmentRef(tmp_path, environment.base_prefix, environment.python_version)
    async with running(driver, specification(broken, "")) as program:
        with pytest.raises(SandboxFailed, match="could not run the environment's Python"):
            await program.sandbox.wait_ready()
