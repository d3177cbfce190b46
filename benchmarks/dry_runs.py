"""How many bytes of writes leave dry runs of programs that try everything to write?

Each attempt is a dry run of its own, against a TLS host that answers everything and a TCP port that counts: raw bytes, other
protocols, smuggled and overridden requests, websockets, threads and processes after the answer, child workflows, services,
uploads, accounts of model providers. The kinds and their random parts are in tests/integration/recording/hostile_writes.py.

    python benchmarks/dry_runs.py [--quick] [--json] [--count 1000] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _bench import alone
from _sandboxes import quiet
from tests.integration.recording.helpers import recording_ground
from tests.integration.recording.hostile_writes import (
    KINDS,
    attempt,
    attempts,
    home_changes,
    hostile_program,
    sinking,
)
from tests.integration.runtime.helpers import deployed
from tests.integration.secrets.tls_host import Ca

AT_ONCE = 4


@dataclass(frozen=True)
class Seen:
    """The outcomes of the attempts."""

    arrived: list[bytes]
    reads: int
    home_changed: bool
    seconds: float


async def measure(count: int, seed: int) -> Seen:
    """Make the attempts."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        ca = Ca(Path(folder))
        async with (
            sinking(ca) as sink,
            recording_ground(
                Path(folder), monkeypatch, more_ports=[sink.port, sink.tls_port], ca=ca
            ) as ground,
        ):
            service = await deployed(ground.runtime, hostile_program())
            before = await home_changes(ground)
            waiting = iter(attempts(count, seed))

            async def work() -> None:
                for kind, one in waiting:
                    await attempt(ground, service, sink, kind, one)

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
            arrived = sink.leaks()
            reads = sum(map(bool, sink.connections))
            changed = await home_changes(ground) != before

    return Seen(arrived, reads - len(arrived), changed, time.monotonic() - started)


def tell(seen: Seen, count: int) -> None:
    """Print it as text."""
    print(f"{count} dry runs of {len(KINDS)} kinds of hostile programs in {seen.seconds:.0f} s")
    print(f"connections that only read  {seen.reads}")
    print(f"writes that arrived  {len(seen.arrived)}, {sum(map(len, seen.arrived))} bytes")
    print(f"changes in the home  {'some' if seen.home_changed else 'none'}")
    for leak in seen.arrived[:20]:
        print(leak)


def main() -> int:
    """Measure and print; the exit code: 1 where a write arrived."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two attempts of each kind")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    quiet()
    count = 2 * len(KINDS) if chosen.quick else chosen.count
    seen = asyncio.run(measure(count, chosen.seed))

    if chosen.json:
        sent = sum(map(len, seen.arrived))
        question = "bytes of writes that leave dry runs of hostile programs"
        alone(
            question, sent, "bytes", runs=count, at_most=0, holds=not seen.home_changed,
            kinds=len(KINDS), reads=seen.reads, home_changed=seen.home_changed,
        )  # fmt: skip
    else:
        tell(seen, count)
    return int(bool(seen.arrived) or seen.home_changed)


if __name__ == "__main__":
    sys.exit(main())
