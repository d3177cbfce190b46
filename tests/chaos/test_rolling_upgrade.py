"""Three replicas behind a balancer are replaced one by one under load, by ones that have migrated the database."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine
from tests.chaos.helpers import starting
from tests.chaos.rolling import IN_BETWEEN, SETTINGS, UpgradeFaults, answered, faults_of, join, replace_all
from tests.chaos.upgrade_load import UpgradeLoad
from tests.support.background_runs import WORK
from tests.support.balancer import balancing
from tests.support.newer_release import add_to_tables
from tests.support.postgres import Postgres

from codewords_mcp.runtime.store.database_address import database_url

pytestmark = [pytest.mark.slow, pytest.mark.deep("an upgrade under load")]


@pytest.mark.requirement("replicas:upgrade", "replicas:rolling", "store:compatible", "runs:once")
def test_replicas_that_are_replaced_under_load_lose_and_double_no_run_and_refuse_nothing_twice(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.url()

    def migrate_first(number: int) -> None:
        if number == 0:
            # As the first replica of a new release does, while those of the old one go on.
            _migrate(url)

    with starting(url, tmp_path) as replicas, balancing() as balancer:
        serving = replicas(3, **SETTINGS)
        service = serving[0].deploy(WORK, "work")
        for replica in serving:
            join(balancer, replica)

        load = UpgradeLoad(balancer.port, serving[0].key, service)
        with load.running(callers=4, submitters=2):
            answered(load, IN_BETWEEN)
            serving = replace_all(replicas, serving, balancer, load, migrate_first)

        assert faults_of(load, serving[-1]) == UpgradeFaults([], [], [])


def _migrate(url: str) -> None:
    engine = create_engine(database_url(url))
    with engine.begin() as connection:
        add_to_tables(connection)
    engine.dispose()
