"""One runtime of three is cut off from the database: for a moment it goes on, for longer the others go on with its runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import get_args

import pytest
from tests.chaos.helpers import outcomes, record, result, running, start, starting
from tests.support.background_runs import WORK, with_options
from tests.support.postgres import Postgres
from tests.support.served_runtime import ServedRuntime
from tests.support.tcp_proxy import Cut, TcpProxy, tcp_proxy_to
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.requirement("replicas:network-cut")]
MOMENT = 1.0
TTL = "4"
"""Seconds; a runtime that cannot write for half of it lets its runs go."""
Three = tuple[TcpProxy, ServedRuntime, ServedRuntime, str]


@pytest.fixture(scope="module")
def three(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    """(the line of the first, the first, another, a workflow that is tried again once)."""
    url = postgres.url()
    with tcp_proxy_to(postgres.port) as line, starting(url, tmp_path_factory.mktemp("cut")) as replicas:
        through = url.replace(f":{postgres.port}/", f":{line.port}/")
        (first,) = replicas(1, CODEWORDS_DATABASE_URL=through, CODEWORDS_REPLICA_TTL=TTL)
        other, _ = replicas(2, CODEWORDS_REPLICA_TTL=TTL)
        yield line, first, other, other.deploy(with_options(WORK, "retries = 1"), "work")


@pytest.mark.parametrize("how", get_args(Cut))
def test_a_moment_without_the_network_costs_no_run(three: Three, how: Cut) -> None:
    line, first, other, service = three
    long = start(first, service, "long", seconds=3)
    running(first, long)
    with line.cut(how):
        threading.Event().wait(MOMENT)  # as long as this network is away
    meanwhile = start(first, service, "meanwhile")
    ended = [result(other, run_id) for run_id in (long, meanwhile)]
    assert [(run["status"], outcomes(run)) for run in ended] == [("succeeded", ["succeeded"])] * 2


@pytest.mark.parametrize("how", get_args(Cut))
def test_what_a_runtime_held_that_is_cut_off_for_longer_is_gone_on_with_once_and_it_serves_again(
    three: Three, how: Cut
) -> None:
    line, first, other, service = three
    long = start(first, service, "long", seconds=3)
    running(first, long)
    with line.cut(how):
        until(lambda: len(record(other, long)["attempts"]) == 2, "another runtime to try it again")
    ended = result(other, long)
    assert (ended["status"], outcomes(ended)) == ("succeeded", ["interrupted", "succeeded"])
    again = result(other, start(first, service, "again"))
    assert (again["status"], outcomes(again)) == ("succeeded", ["succeeded"])
    # What its sandbox used is written when that has gone, after the outcome.
    until(lambda: "wall_seconds" in record(other, long)["usage"], "all of the run to be on record")
    assert record(first, long) == record(other, long)
