"""Make every attack, as the user that runs this: `python -m tests.attacks.run report.json`.

With `--unprotected` the attempts are made by programs in no sandbox at all, which shows that they are true ones. That is
for an ordinary user only: as root they would do what they say.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import structlog
from tests.attacks import catalog
from tests.attacks.landlock import LANDLOCK
from tests.attacks.probes import Result
from tests.attacks.runner import Stage
from tests.attacks.scenarios import answers, authority, bombs, company, keys, leftovers, listener
from tests.attacks.targets import Targets, ground
from tests.support.sandbox_programs import build_environment, fork_server

from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef
from codewords_mcp.runtime.sandboxes.host import measure
from codewords_mcp.runtime.sandboxes.host.files import remove_tree
from codewords_mcp.runtime.sandboxes.landlock.driver import LandlockDriver
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.sandboxes.process.driver import ProcessDriver

WAYS: Final = {"namespaces": ("exec", "fork"), "landlock": (LANDLOCK,)}
"""Ways in which each driver starts a sandbox. Landlock has one: each program gets a new interpreter."""
_MAX_FILES: Final = 3000
"""In place of the driver's own bound of files, which would keep a slow disk busy for minutes."""
_UNPROTECTED: Final = ("files", "calls", "kernel", "sockets")
"""Groups without an act that would end, or change, the user's own programs."""


async def attack(
    environment: EnvironmentRef, folder: Path, *, driver_name: str, with_keys: bool
) -> dict[str, Any]:
    """Make the attacks in sandboxes of one driver. Returns the report with a result for each probe and way."""
    measure.MAX_FILES = _MAX_FILES
    results: list[Result] = []
    seconds: dict[str, float] = {}
    tier = ""
    for way in WAYS[driver_name]:
        own = folder / way
        own.mkdir(mode=0o755)
        async with ground(own) as around, _stage(around, environment, way) as (stage, driver):
            tier = driver.tier.id
            results += await _all(stage, around, seconds)
    if with_keys:
        results += await _timed(seconds, "keys", keys.play(folder))
        results += await _timed(seconds, "listener", listener.play(folder / "listener"))
        results += await _timed(seconds, "authority", authority.play(folder / "authority"))
    return _report(driver_name, tier, results) | {"seconds": seconds}


async def attack_unprotected(environment: EnvironmentRef, folder: Path) -> dict[str, Any]:
    """What the attempts get without a sandbox."""
    async with ground(folder) as around:
        driver = await ProcessDriver.open(around.egress, folder / "run")
        stage = Stage(driver, environment, "none", {**around.facts, "run_dir": str(folder)})
        try:
            groups = [group for group in catalog.ALONE if group.name in _UNPROTECTED]
            made = await asyncio.gather(*(stage.attempts(group) for group in groups))
        finally:
            await driver.close()
    return _report("none", "none", [result for results in made for result in results])


def _report(driver: str, tier: str, results: list[Result]) -> dict[str, Any]:
    user = "root" if os.geteuid() == 0 else "user"
    return {"user": user, "driver": driver, "tier": tier, "results": [asdict(one) for one in results]}


@asynccontextmanager
async def _stage(
    around: Targets, environment: EnvironmentRef, way: str
) -> AsyncGenerator[tuple[Stage, Driver]]:
    run_dir = around.folder / "run"
    run_dir.mkdir()
    driver = await _open(around, run_dir, way)

    try:
        if isinstance(driver, LocalDriver) and way == "fork":
            await fork_server(driver, environment)
        yield Stage(driver, environment, way, {**around.facts, "run_dir": str(run_dir)}), driver
    finally:
        await driver.close()


async def _open(around: Targets, run_dir: Path, way: str) -> Driver:
    """The driver that starts sandboxes in this way."""
    if way == LANDLOCK:
        return await LandlockDriver.open(around.egress, run_dir)
    return await LocalDriver.open(around.egress, run_dir, forking=way == "fork", max_warm=0)


async def _all(stage: Stage, around: Targets, seconds: dict[str, float]) -> list[Result]:
    """Every section, and those that the way of starting makes no difference to once, in forks."""
    results: list[Result] = []
    once = stage.way != "exec"
    for group in catalog.ALONE if once else catalog.ALONE[:-1]:
        results += await _timed(seconds, f"{group.name} {stage.way}", stage.attempts(group))
    results += await _timed(seconds, f"neighbours {stage.way}", company.beside(stage))
    results += await _timed(seconds, f"inherited {stage.way}", company.after(stage))
    if once:
        results += company.egress_account(around, stage.way)
        if stage.way != LANDLOCK:
            results += await _timed(seconds, "answers", answers.play(stage))
        results += await _timed(seconds, "leftovers", leftovers.play(stage, around.folder / "run"))
        results += await _timed(seconds, "bombs", bombs.play(stage))
    return results


async def _timed(seconds: dict[str, float], name: str, section: Any) -> list[Result]:
    began = time.monotonic()
    results: list[Result] = await section
    seconds[name] = round(time.monotonic() - began, 1)
    return results


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("--driver", choices=list(WAYS), default="namespaces", help="default: %(default)s")
    parser.add_argument("--keys", action="store_true", help="also the probes of the whole runtime")
    parser.add_argument("--unprotected", action="store_true", help="without a sandbox; never as root")
    arguments = parser.parse_args()
    if arguments.unprotected and os.geteuid() == 0:
        sys.exit("Without a sandbox the attempts are for an ordinary user only.")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    environment = build_environment()
    folder = Path(tempfile.mkdtemp(prefix="codewords-attacks-"))
    folder.chmod(0o755)
    try:
        if arguments.unprotected:
            found = asyncio.run(attack_unprotected(environment, folder))
        else:
            found = asyncio.run(
                attack(environment, folder, driver_name=arguments.driver, with_keys=arguments.keys)
            )
    finally:
        # Kept folders may be deeper than `shutil.rmtree` can go.
        remove_tree(folder)
    arguments.report.write_text(json.dumps(found, indent=1), encoding="utf-8")
    bad = [one for one in found["results"] if not one["held"]]
    for one in bad:
        print(f"not held: {one['id']} [{one['way']}]: {one['saw']}")
    print(
        f"{len(found['results'])} results, {len(bad)} not held, tier {found['tier']}, {found.get('seconds')}"
    )


if __name__ == "__main__":
    main()
