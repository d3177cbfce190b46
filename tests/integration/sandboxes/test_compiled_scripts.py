"""A script is compiled by its first fork; later ones get that code, which nothing of a run can change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from tests.support.sandbox_programs import HELLO, running, specification

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Exit
from codewords_mcp.runtime.sandboxes.forkserver.compiled_scripts import MAX_SCRIPTS, CompiledScripts
from codewords_mcp.runtime.sandboxes.forkserver.fork_isolation import ForkIsolation
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.sandboxes.namespaces.inside.program_code import MAX_BYTES

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:compiled-once")]

FAILING = 'def fail():\n    raise ValueError("on purpose")\n\nfail()\n'
BROKEN = "print('first')\ndef (:\n"
WARNING = "print(1 is 1)\n"
HUGE = "text = " + repr("x" * MAX_BYTES) + "\nprint(len(text))\n"


@pytest.fixture
async def server(forking: Callable[[], Awaitable[LocalDriver]]) -> LocalDriver:
    return await forking()


def compiled_of(driver: LocalDriver, environment: EnvironmentRef) -> CompiledScripts:
    """Those of the environment's fork server."""
    pools = driver.forks._pools.values()  # pyright: ignore[reportPrivateUsage]
    (server,) = [one._server for one in pools if one.environment == environment]  # pyright: ignore[reportPrivateUsage]
    assert server is not None
    return server.compiled


async def test_the_second_run_of_a_script_gets_the_code_of_the_first(
    server: LocalDriver, environment: EnvironmentRef
) -> None:
    spec = specification(environment, HELLO + "\n    # of this test\n")
    compiled = compiled_of(server, environment)
    assert compiled.get(spec.code) is None
    for number in range(2):
        async with running(server, replace(spec, id=f"compiled-{number}")) as program:
            assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
        kept = compiled.get(spec.code)
        assert kept
        assert b"greeting" in kept


@pytest.mark.parametrize(
    ("script", "kept", "said", "code"),
    [
        (FAILING, True, 'File "/app/main.py", line 2, in fail\n    raise ValueError("on purpose")', 1),
        (BROKEN, False, 'File "/app/main.py", line 2\n    def (:', 1),
        (WARNING, False, "SyntaxWarning", 0),
        (HUGE, False, "", 0),
    ],
    ids=["fails", "does not compile", "is warned of", "huge"],
)
async def test_each_run_says_what_a_run_that_compiles_its_script_says(
    server: LocalDriver, environment: EnvironmentRef, script: str, kept: bool, said: str, code: int
) -> None:
    spec = specification(environment, script)
    outputs: set[tuple[str, str]] = set()
    for number in range(3):
        async with running(server, replace(spec, id=f"said-{number}")) as program:
            assert await program.ended() == Exit("exited", code=code), program.stderr
            assert isinstance(program.local.isolation, ForkIsolation)
        assert said in program.stderr
        outputs.add((program.stdout, program.stderr))
    assert len(outputs) == 1
    assert bool(compiled_of(server, environment).get(spec.code)) is kept


@pytest.mark.requirement("workflows:encoding")
async def test_a_comment_runs_in_no_encoding_that_a_script_declares(
    server: LocalDriver, environment: EnvironmentRef
) -> None:
    code = "# -*- coding: utf-7 -*-\n# note: +AAo-raise SystemExit(7)\nraise SystemExit(3)\n"
    spec = specification(environment, code)
    for number in range(2):
        async with running(server, replace(spec, id=f"encoding-{number}")) as program:
            assert await program.ended() == Exit("exited", code=3), program.stderr


async def test_nothing_that_a_program_could_send_replaces_the_code(
    server: LocalDriver, environment: EnvironmentRef
) -> None:
    spec = specification(environment, HELLO + "\n    # of a hostile one\n")
    for number in range(2):
        async with running(server, replace(spec, id=f"hostile-{number}")) as program:
            await program.ask(data={"name": "Ada"})
            before = compiled_of(server, environment).get(spec.code)
            isolation = program.local.isolation
            isolation._on_message({"compiled": True}, [])  # pyright: ignore[reportPrivateUsage]
            assert before
            assert compiled_of(server, environment).get(spec.code) == before


def test_the_scripts_that_were_used_last_are_kept() -> None:
    compiled = CompiledScripts()
    for number in range(MAX_SCRIPTS + 1):
        compiled.add(str(number), b"code")
        assert compiled.get("0")
    assert compiled.get("1") is None
