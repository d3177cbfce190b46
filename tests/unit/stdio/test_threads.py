"""A latch opens once, for all who wait and all who come later."""

from __future__ import annotations

from threading import Thread

import pytest

from codewords_mcp.stdio.threads import Latch


@pytest.mark.requirement("stdio:starts-fast")
def test_a_latch_opens_for_all_who_wait_and_for_good() -> None:
    latch, seen = Latch(), list[bool]()
    waiting = [Thread(target=lambda: seen.append(latch.wait(60))) for _ in range(20)]
    for thread in waiting:
        thread.start()
    assert not latch.is_set()
    assert not latch.wait(0.01)

    setting = [Thread(target=latch.set) for _ in range(20)]
    for thread in setting:
        thread.start()
    for thread in [*setting, *waiting]:
        thread.join(60)

    assert seen == [True] * 20
    assert latch.is_set()
    assert latch.wait(0)
