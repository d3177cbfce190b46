"""How many bytes of writes leave dry runs of programs that try everything to write?

Each attempt is a dry run of its own, against a TLS host that answers everything and a TCP port that counts: raw bytes, other
protocols, smuggled and overridden requests, websockets, threads and processes after the answer, child workflows, services,
uploads, accounts of model providers. The kinds and their random parts are in tests/integration/recording/hostile_writes.py.

    python benchmarks/dry_runs.py [--count 1000] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
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


async def measure(count: int, seed: int) -> int:
    """Make the attempts. Returns how many writes arrived."""
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

    print(f"{count} dry runs of {len(KINDS)} kinds of hostile programs in {time.monotonic() - started:.0f} s")
    print(f"connections that only read  {reads - len(arrived)}")
    print(f"writes that arrived  {len(arrived)}, {sum(map(len, arrived))} bytes")
    print(f"changes in the home  {'some' if changed else 'none'}")
    for leak in arrived[:20]:
        print(leak)
    return len(arrived) + changed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    sys.exit(1 if asyncio.run(measure(chosen.count, chosen.seed)) else 0)
