"""Which session ends where a key, an owner or the home holds its share."""

from __future__ import annotations

import random

import pytest

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.auth.session_shares import McpSession, SessionShares

pytestmark = pytest.mark.requirement("mcp:session-shares")


class Opened:
    """Sessions by name, and which of them ended to make room."""

    def __init__(self, shares: SessionShares) -> None:
        self.shares = shares
        self.ended: list[str] = []
        self.sessions: dict[str, McpSession] = {}
        self._clock = 0.0

    def open(self, name: str, owner: str, key: str) -> McpSession:
        session = self.shares.open(owner, key, lambda: self.ended.append(name))
        self._clock += 1
        session.last_used = self._clock
        self.sessions[name] = session
        return session

    def use(self, name: str) -> None:
        self._clock += 1
        self.sessions[name].last_used = self._clock


def test_a_full_key_ends_its_own_longest_idle_session_and_nobody_elses() -> None:
    opened = Opened(SessionShares(per_key=2, per_owner=10, per_home=10))
    opened.open("other key", "ann", "k2")
    opened.open("other owner", "bob", "k3")
    opened.open("first", "ann", "k1")
    opened.open("second", "ann", "k1")
    opened.use("first")
    opened.open("third", "ann", "k1")
    opened.open("fourth", "ann", "k1")
    assert opened.ended == ["second", "first"]


def test_a_full_owner_ends_the_longest_idle_session_of_any_of_its_keys() -> None:
    opened = Opened(SessionShares(per_key=2, per_owner=3, per_home=10))
    opened.open("theirs", "bob", "k9")
    for number in range(3):
        opened.open(f"s{number}", "ann", f"k{number}")
    opened.open("new", "ann", "k5")
    assert opened.ended == ["s0"]


def test_a_full_home_ends_a_session_of_the_owner_that_holds_the_most() -> None:
    opened = Opened(SessionShares(per_key=10, per_owner=10, per_home=5))
    opened.open("small", "bob", "b")
    for number in range(4):
        opened.open(f"s{number}", "ann", "a")
    opened.open("new", "carl", "c")
    assert opened.ended == ["s0"]


def test_a_session_that_listens_goes_after_those_that_do_not_and_one_with_a_call_never() -> None:
    opened = Opened(SessionShares(per_key=3, per_owner=10, per_home=10))
    opened.open("calls", "ann", "k").begin_call()
    opened.open("listens", "ann", "k").streams = 1
    opened.open("idle", "ann", "k")
    opened.open("new", "ann", "k").begin_call()
    opened.open("newer", "ann", "k").begin_call()
    assert opened.ended == ["idle", "listens"]
    with pytest.raises(TooBusy, match="call in flight"):
        opened.open("one too many", "ann", "k")
    opened.sessions["calls"].end_call()
    opened.open("now", "ann", "k")
    assert opened.ended == ["idle", "listens", "calls"]


def test_whatever_opens_and_ends_no_share_is_exceeded_and_a_new_caller_always_gets_in() -> None:
    chance = random.Random(7)
    shares = SessionShares(per_key=3, per_owner=5, per_home=12)
    opened = Opened(shares)
    alive: dict[str, tuple[str, str]] = {}
    for number in range(2_000):
        owner = f"o{chance.randrange(5)}"
        key = f"{owner}/{chance.randrange(3)}"
        opened.open(str(number), owner, key)
        alive[str(number)] = (owner, key)
        for name in opened.ended:
            alive.pop(name, None)
        if chance.random() < 0.2:
            name = chance.choice(list(alive))
            shares.close(opened.sessions[name])
            shares.close(opened.sessions[name])
            del alive[name]
        assert len(shares) == len(alive) <= 12
        assert str(number) in alive or number not in opened.ended
        for part, limit in ((0, 5), (1, 3)):
            values = [who[part] for who in alive.values()]
            assert all(values.count(value) <= limit for value in values)
    assert len(opened.ended) == len(set(opened.ended)), "each ends once"
