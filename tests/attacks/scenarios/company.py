"""Hostile programs in company: beside another sandbox, and after one that changed all that it could."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.attacks.hostile.inherited import group as inherited
from tests.attacks.hostile.neighbours import group as neighbours
from tests.attacks.landlock import LANDLOCK
from tests.attacks.probes import Probe, Result, attempted
from tests.attacks.runner import Stage
from tests.attacks.targets import Targets

_UNHARMED: Final = Probe(
    "neighbours.unharmed", "Look, at the end, at what the other left where: its files, and who asked it",
    "An attack that only harms is one.", "all is as it was, nobody came",
)  # fmt: skip
_ENVIRONMENT: Final = Probe(
    "inherited.environment", "Compare the environment on the host, names, sizes, times and modes, before and after",
    "It is mounted into every sandbox with these packages, bytecode included.", "the same",
)  # fmt: skip
_UNTOUCHED: Final = Probe(
    "egress.untouched", "Count, on the host, who reached its servers in all of these attempts",
    "An answer that was not seen may still have been asked for.", "nobody",
)  # fmt: skip
_LOOKUPS: Final = Probe(
    "egress.one-lookup", "Count, on the host, how often a name was looked up for each connection",
    "Two lookups for one connection are a gap between check and use.", "once for each, and never for a lookup alone",
)  # fmt: skip
NEIGHBOURS: Final = [*attempted(neighbours), _UNHARMED]
INHERITED: Final = [*attempted(inherited), _ENVIRONMENT]
AFTER_EGRESS: Final = [_UNTOUCHED, _LOOKUPS]


async def beside(stage: Stage) -> list[Result]:
    """The attempts beside a victim, and what it says at its end."""
    secret = f"victim-{secrets.token_hex(16)}"
    spec = stage.spec("victim")
    spec = replace(spec, env={**spec.env, "ENV_SECRET": secret})
    async with stage.playing(spec) as victim:
        await victim.says('"ready"')
        drawn = next(record["random"] for record in victim.records() if "ready" in record)
        results = await stage.attempts(neighbours, random=drawn)
        await victim.sandbox.stop(10)
    told = [record for record in victim.records() if "intact" in record]
    unharmed = bool(told) and told[0]["intact"] and told[0]["quiet"]
    return [*results, Result(_UNHARMED.id, stage.way, unharmed, str(told or victim.stderr[-300:]))]


async def after(stage: Stage) -> list[Result]:
    """The attempts while a poisoner still lives, and again once it was killed; the worse result of each counts."""
    before = _digest(stage.environment.path)
    spec = stage.spec("poison")
    spec = replace(spec, env={**spec.env, "ENV_SECRET": f"poison-{secrets.token_hex(16)}"})
    async with stage.playing(spec) as poisoner:
        await poisoner.says('"written"')
        await poisoner.says('"stayed"')
        during = await stage.attempts(inherited, way=stage.way)
    later = await stage.attempts(inherited, way=stage.way)
    unchanged = _digest(stage.environment.path) == before
    worse = [one if not one.held else two for one, two in zip(during, later, strict=True)]
    return [*worse, Result(_ENVIRONMENT.id, stage.way, unchanged, "the same" if unchanged else "changed")]


def egress_account(ground: Targets, way: str) -> list[Result]:
    """What the host saw of the attempts to get out."""
    touched = ground.touched()
    asked = ground.resolver.asked
    carried = [name for name in asked if "exfiltration" in name or name.startswith("data.")]
    counts = {name: asked[name] for name in ("rebinding.example", "rebinding-too.example")}
    direct = 0 if way == LANDLOCK else 3  # without namespaces a program looks up no name by itself
    once = counts == {"rebinding.example": 4, "rebinding-too.example": direct} and not carried
    return [
        Result(_UNTOUCHED.id, way, not touched, f"reached: {touched or 'none'}"),
        Result(_LOOKUPS.id, way, once, f"{counts} {carried}"),
    ]


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for top, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            info = os.lstat(os.path.join(top, name))
            digest.update(
                f"{top}/{name} {info.st_size} {info.st_mtime_ns} {info.st_mode} {info.st_ino}\n".encode()
            )
    return digest.hexdigest()
