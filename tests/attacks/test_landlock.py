"""Hostile programs under Landlock, where there are no namespaces: nothing escapes but what `landlock.LIMITS` names."""

from __future__ import annotations

import pytest
from tests.attacks import reports
from tests.attacks.assertions import Made, expect_held, made_once
from tests.attacks.catalog import ONE_DRIVER, SECTIONS
from tests.attacks.landlock import LANDLOCK, LIMITS, ROOT_LIMITS
from tests.attacks.probes import User

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
_TITLES = [title for title, probes in SECTIONS if probes[0].id.partition(".")[0] not in ONE_DRIVER]
_KNOWN = {probe.id for _, probes in SECTIONS for probe in probes}


@pytest.fixture(scope="module")
def made(environment: EnvironmentRef, tmp_path_factory: pytest.TempPathFactory) -> Made:
    if reason := Landlock().missing():
        pytest.skip(reason)
    return made_once(environment, tmp_path_factory, "landlock")


@pytest.mark.requirement("attacks:landlock")
@pytest.mark.parametrize("section", _TITLES)
@pytest.mark.parametrize("user", reports.users())
def test_landlock_holds_every_probe(made: Made, user: User, section: str) -> None:
    expect_held(made[user], section, lambda group: (LANDLOCK,))


@pytest.mark.requirement("attacks:catalogue")
def test_each_limit_of_landlock_names_a_probe() -> None:
    assert {*LIMITS, *ROOT_LIMITS} - _KNOWN == set()
