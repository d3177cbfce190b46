"""Fork servers of Pythons with immortal objects: what forks share is immortal, and a program is none the wiser."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.sandboxes.helpers import Opened
from tests.support.needs import require
from tests.support.sandbox_programs import (
    HELLO,
    build_environment_of,
    fork_server,
    report,
    running,
    specification,
)
from tests.support.waiting import PATIENT_TIMEOUT, until_async

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Exit
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:immortal")]

COUNTS = """
    import asyncio, gc, json, sys, fastapi, pydantic

    immortal = sys.getrefcount(None)
    constant = next(one for one in json.dumps.__code__.co_consts if isinstance(one, tuple) or one)
    shared = [fastapi.FastAPI, fastapi.routing.__dict__, json.dumps, constant, sys.modules["asyncio"], pydantic.BaseModel.__doc__]
    own = [object(), type("Own", (), {}), [], {}, "text".join("ab"), lambda: None]
    print(json.dumps([[sys.getrefcount(one) == immortal for one in group] for group in (shared, own)]))
"""
LIFE = """
    import gc, sys, weakref, fastapi

    class Own:
        def __del__(self):
            print("freed", flush=True)

    single, pair = Own(), Own()
    pair.other = pair
    seen = weakref.ref(pair)
    del single, pair
    gc.collect()
    print(seen(), gc.isenabled(), flush=True)
    at_the_end = Own()
    sys.exit(7)
"""


@pytest.fixture(scope="module", params=["3.13"])
def newer(request: pytest.FixtureRequest) -> EnvironmentRef:
    require(f"python{request.param}")
    return build_environment_of(request.param, Path("/usr"))


async def immortal(driver: LocalDriver, environment: EnvironmentRef) -> None:
    """Return when what the environment's fork server shares is immortal: it is made so after a first fork."""
    await fork_server(driver, environment)

    async def all_of_it() -> bool:
        shared, _ = await report(driver, specification(environment, COUNTS))
        return all(shared)

    await until_async(all_of_it, "immortal objects", PATIENT_TIMEOUT)


async def test_what_forks_share_is_immortal_and_what_a_program_makes_is_not(
    opened: Opened, newer: EnvironmentRef, tmp_path: Path
) -> None:
    async with opened(tmp_path / "run", True) as driver:
        await immortal(driver, newer)
        _, own = await report(driver, specification(newer, COUNTS))
    assert own == [False] * len(own)


async def test_a_program_frees_collects_and_ends_as_anywhere(
    opened: Opened, newer: EnvironmentRef, tmp_path: Path
) -> None:
    async with opened(tmp_path / "run", True) as driver:
        await immortal(driver, newer)
        async with running(driver, specification(newer, LIFE)) as program:
            assert await program.ended() == Exit("exited", code=7)
            assert program.stdout.split() == ["freed", "freed", "None", "True", "freed"]
        async with running(driver, specification(newer, HELLO)) as program:
            assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
