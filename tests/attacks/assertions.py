"""Shared by the tests of all drivers: attacks made once, and every probe of a section held."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import asdict

import pytest
from tests.attacks import reports
from tests.attacks.catalog import PROBES, SECTIONS
from tests.attacks.probes import Driver, Result, User

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef

Made = dict[User, list[Result]]


def made_once(environment: EnvironmentRef, folders: pytest.TempPathFactory, driver: Driver) -> Made:
    """The results of every attack on a driver, made once, also where several workers share the tests."""
    shared = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    path = shared / f"attacks-{driver}.json"
    with (shared / f"attacks-{driver}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            made = {
                one.user: [asdict(result) for result in one.results]
                for one in reports.make(environment, driver)
            }
            path.write_text(json.dumps(made), encoding="utf-8")

    found: dict[User, list[dict[str, object]]] = json.loads(path.read_bytes())
    return {user: [Result(**one) for one in results] for user, results in found.items()}  # type: ignore[arg-type]


def expect_held(results: list[Result], section: str, ways: Callable[[str], tuple[str, ...]]) -> None:
    """Fail unless every probe of a section was made in the ways of its group, and held."""
    found = {(one.id, one.way): one for one in results}
    probes = next(probes for title, probes in SECTIONS if title == section)
    keys = [(probe.id, way) for probe in probes for way in ways(probe.id.partition(".")[0])]
    assert [key for key in keys if key not in found] == [], "probes that were not made"

    words = {probe.id: probe for probe in PROBES}
    failures = [
        f"{one.id} ({one.way}) tries: {words[one.id].tries}\n  expected: {words[one.id].expected}\n  seen: {one.saw}"
        for one in map(found.__getitem__, keys)
        if not one.held
    ]
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)
