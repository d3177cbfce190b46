"""Lookups that do not end, of many sandboxes, and one of a sandbox that needs its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from tests.support.waiting import until_async

from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.web.dial import COMMON_LOOKUPS, LOOKUPS_PER_SANDBOX, Dialler, Share

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("egress:bounded")]
HOSTILE = 10


async def test_sandboxes_that_ask_dead_name_servers_leave_each_other_a_lookup_and_take_no_more_than_there_are() -> (
    None
):
    release, stuck = threading.Event(), set[int]()

    def resolve(host: str, _port: int) -> Sequence[str]:
        if host == "dead.test":
            stuck.add(threading.get_ident())
            release.wait(60)
        return ["192.0.2.1", "93.184.216.34"]

    dialler, policy = Dialler(resolve, 60), EgressPolicy()

    async def ask(host: str, share: Share) -> list[str]:
        return await dialler.permitted(policy, host, 443, share)

    shares = [Share() for _ in range(HOSTILE)]
    asked = [
        asyncio.create_task(ask("dead.test", share))
        for share in shares
        for _ in range(3 * LOOKUPS_PER_SANDBOX)
    ]
    await until_async(lambda: len(stuck) == COMMON_LOOKUPS + HOSTILE)
    assert await ask("alive.test", Share()) == ["93.184.216.34"]
    assert len(stuck) == COMMON_LOOKUPS + HOSTILE
    waits = asyncio.create_task(ask("alive.test", shares[0]))
    for task in asked[: len(asked) // 2]:
        task.cancel()  # the threads stay theirs
    release.set()
    assert await waits == ["93.184.216.34"]
    await asyncio.gather(*asked, return_exceptions=True)
    await until_async(lambda: not any(share.guaranteed_slot.locked() for share in shares))
    dialler.close()


async def test_a_lookup_that_waits_takes_the_sandboxes_own_when_that_is_free_again() -> None:
    release = {host: threading.Event() for host in ("dead.test", "first.test", "second.test")}
    asked = list[str]()

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        release[host].wait(60)
        return ["93.184.216.34"]

    dialler, policy = Dialler(resolve, 60), EgressPolicy()
    hostile = [Share(COMMON_LOOKUPS) for _ in range(2)]
    dead = [
        asyncio.create_task(dialler.permitted(policy, "dead.test", 443, share))
        for share in hostile
        for _ in range(COMMON_LOOKUPS)
    ]
    await until_async(lambda: len(asked) == COMMON_LOOKUPS + len(hostile))
    share = Share()
    first, given_up, second = (
        asyncio.create_task(dialler.permitted(policy, host, 443, share))
        for host in ("first.test", "second.test", "second.test")
    )
    await until_async(lambda: "first.test" in asked)
    given_up.cancel()
    release["first.test"].set()
    await first
    await until_async(lambda: "second.test" in asked)
    release["second.test"].set()
    assert await second == ["93.184.216.34"]
    release["dead.test"].set()
    await asyncio.gather(*dead)
    await until_async(lambda: not share.guaranteed_slot.locked() and not hostile[0].guaranteed_slot.locked())
    dialler.close()
