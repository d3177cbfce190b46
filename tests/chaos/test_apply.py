"""A run that applies a dry run is killed in between: no write is sent twice, and what is unknown is named."""

from __future__ import annotations

import pytest
from tests.chaos.applying import applying

pytestmark = [pytest.mark.slow]


@pytest.mark.requirement("runs:apply-killed")
@pytest.mark.parametrize(("database", "retries"), [("sqlite", "0"), ("postgres", "{count = 2}")])
def test_a_killed_apply_sends_no_write_twice_and_names_the_one_that_is_unknown(
    database: str, retries: str
) -> None:
    with applying(database, 5, retries) as made:
        with made.killed_at("key-2"):
            # Of replicas that are asked at once, each may begin a run: the list is one.
            begun = made.apply()
            assert begun, made.answers
        for run_id in begun:
            made.end_of(run_id)

        writes = made.listed()["writes"]
        assert [(one["state"], one["status"]) for one in writes[:2]] == [("sent", 200)] * 2
        assert (writes[2]["state"], writes[2]["status"]) == ("unknown", None)
        assert "number 3 on the list" in made.listed()["unknown"][0]
        assert [made.host.writes[key] for key in made.keys] == [1, 1, 1, 0, 0]

        # Once more: what was sent is answered from the list, and the unknown one ends it, by its name.
        for run_id in made.apply():
            ended = made.end_of(run_id)
            assert (ended["status"], ended["error"]["code"]) == ("failed", "write_held")
            assert "(number 3 on the list): an earlier run sent it" in ended["error"]["message"]
        assert [made.host.writes[key] for key in made.keys] == [1, 1, 1, 0, 0]
        assert made.states() == ["sent", "sent", "unknown", "agreed", "agreed"]


@pytest.mark.requirement("runs:apply-killed")
def test_replicas_that_apply_at_the_same_time_send_each_write_once() -> None:
    # Attempts, since a busy machine may take a replica for dead: then a write can be unknown, and is not sent again.
    with applying("postgres", 8, "{count = 5}") as made:
        for _ in made.keys:
            for run_id in made.apply():
                made.end_of(run_id)
            # One that came to a write which another was sending ended there; what it left, the next ones send.
            if "agreed" not in made.states():
                break
        assert made.host.doubled == []
        if not made.those.fences():
            assert [made.host.writes[key] for key in made.keys] == [1] * 8
            assert made.states() == ["sent"] * 8
