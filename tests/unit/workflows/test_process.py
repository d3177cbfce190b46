"""Programs that the runtime runs for itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop

from codewords_mcp.runtime.workflows.environments.uv import UvResult, run_command

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


@pytest.mark.requirement("environments:busy")
def test_a_program_that_ends_before_the_loop_has_turned_is_answered_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the served runtime runs it: on uvloop, which cannot write to the pipe of a program that has ended."""
    start = asyncio.create_subprocess_exec

    async def busy(*command: str, **options: Any) -> asyncio.subprocess.Process:
        process = await start(*command, **options)
        await process.wait()
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", busy)

    async def both() -> tuple[UvResult, UvResult]:
        unread = await run_command(("true",), env=ENVIRONMENT, timeout_s=30, doing="a test", stdin="unread")
        return unread, await run_command(
            ("cat",), env=ENVIRONMENT, timeout_s=30, doing="a test", stdin="read\n"
        )

    assert uvloop.run(both()) == (UvResult(0, "", ""), UvResult(0, "read\n", ""))
