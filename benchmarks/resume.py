"""How many writes are doubled when processes are killed under runs that may be resumed?

Runs with concurrent writes go on while kill -9 strikes the runtime, its fork server and its sandboxes: when half of a write
has arrived, when one has arrived, when its answer has gone out, while a person answers a question, and at any other time. A
host counts each write by a key of its own. Runs that ask about writes are answered by what the host has seen. On SQLite, and
with three replicas on PostgreSQL. There is no peer: the number has to be 0.

    python benchmarks/resume.py [--quick] [--json] [--kills 200] [--seconds 600] [--seed 18] [--database sqlite]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _bench import alone
from tests.chaos.resuming import resume_under_kills


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600.0, help="kill no longer than this")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--database", choices=["sqlite", "postgres"])
    chosen = parser.parse_args()
    kills = 5 if chosen.quick else chosen.kills

    bad = False
    for database in [chosen.database] if chosen.database else ["sqlite", "postgres"]:
        began = time.monotonic()
        storm = resume_under_kills(database, kills, chosen.seed, chosen.seconds)
        doubled = storm.host.doubled
        bad = bad or bool(doubled or storm.lost or storm.faults)
        seconds, writes = round(time.monotonic() - began), storm.host.writes.total()
        runs, questions = dict(storm.statuses), len(storm.asked)
        if chosen.json:
            alone(
                f"writes doubled by resume under kill -9, {database}",
                len(doubled),
                "writes",
                runs=len(storm.runs),
                at_most=0,
                holds=not storm.faults and not storm.lost,
                lost=storm.lost,
                kills=dict(storm.kills),
                moments=dict(storm.moments),
                writes_cut=storm.host.cut.total(),
                statuses=runs,
                writes=writes,
                questions=questions,
                asked_at_once=max(storm.asked, default=0),
                faults=storm.faults,
                seconds=seconds,
            )
        else:
            print(
                f"{database}: {len(doubled)} of {writes} writes doubled (at most 0), {storm.lost} lost (at most 0) by "
                f"{storm.kills.total()} kills {dict(storm.moments)} in {seconds} s; runs {runs}, questions {questions}",
                *storm.faults[:10],
                sep="\n  ",
                flush=True,
            )
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
