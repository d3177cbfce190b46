"""One runtime of three is cut off from the database: for a moment it goes on, for longer the others go on with its runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import pytest
from tests.chaos.gate import Gate, open_gate
from tests.chaos.helpers import outcomes, record, result, start, starting
from tests.support.postgres import Postgres
from tests.support.served_runtime import ServedRuntime
from tests.support.tcp_proxy import Cut, TcpProxy, tcp_proxy_to
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.requirement("replicas:network-cut")]
MOMENT = 1.0
TTL = "20"
"""Seconds; a runtime that cannot write for half of it lets its runs go. On a busy machine one that can may not come to it for seconds."""


@dataclass(frozen=True)
class Cuttable:
    """Two of three runtimes on one database: the first reaches it by `line`. `service` waits at the gate."""

    line: TcpProxy
    first: ServedRuntime
    other: ServedRuntime
    gate: Gate
    service: str

    def held(self, name: str) -> str:
        """A run of the first runtime whose program waits at the gate; its id."""
        run_id = start(self.first, self.service, name)
        until(lambda: self.gate.arrived[name], "the program to come to the gate")
        return run_id

    def passing(self, name: str) -> str:
        """A run of the first runtime whose program goes on at once; its id."""
        self.gate.let(name)
        return start(self.first, self.service, name)


@pytest.fixture(scope="module")
def three(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cuttable]:
    url = postgres.url()
    folder = tmp_path_factory.mktemp("cut")
    with open_gate() as gate, tcp_proxy_to(postgres.port) as line, starting(url, folder) as replicas:
        through = url.replace(f":{postgres.port}/", f":{line.port}/")
        common = {
            "CODEWORDS_REPLICA_TTL": TTL,
            "CODEWORDS_EGRESS_ALLOW_PRIVATE": f'["127.0.0.1:{gate.port}"]',
        }
        (first,) = replicas(1, **common | {"CODEWORDS_DATABASE_URL": through})
        other, _ = replicas(2, **common)
        yield Cuttable(line, first, other, gate, other.deploy(gate.program, "waits"))


@pytest.mark.parametrize("how", get_args(Cut))
def test_a_moment_without_the_network_costs_no_run(three: Cuttable, how: Cut) -> None:
    name = f"long {how}"
    long = three.held(name)
    with three.line.cut(how):
        threading.Event().wait(MOMENT)  # as long as this network is away
    three.gate.let(name)
    meanwhile = three.passing(f"meanwhile {how}")
    ended = [result(three.other, run_id) for run_id in (long, meanwhile)]
    assert [(run["status"], outcomes(run)) for run in ended] == [("succeeded", ["succeeded"])] * 2


@pytest.mark.parametrize("how", get_args(Cut))
def test_what_a_runtime_held_that_is_cut_off_for_longer_is_gone_on_with_once_and_it_serves_again(
    three: Cuttable, how: Cut
) -> None:
    first, other = three.first, three.other
    long = three.held(f"longer {how}")
    with three.line.cut(how):
        until(lambda: len(record(other, long)["attempts"]) == 2, "another runtime to try it again")
    ended = result(other, long)
    assert (ended["status"], outcomes(ended)) == ("succeeded", ["interrupted", "succeeded"])
    again = result(other, three.passing(f"again {how}"))
    assert (again["status"], outcomes(again)) == ("succeeded", ["succeeded"])
    # What its sandbox used is written when that has gone, after the outcome.
    until(lambda: "wall_seconds" in record(other, long)["usage"], "all of the run to be on record")
    assert record(first, long) == record(other, long)
