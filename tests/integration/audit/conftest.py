"""Fixtures of the audit trail's receivers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.integration.audit.helpers import Receiver, served
from tests.support.databases import open_database
from tests.support.postgres import Postgres

from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.web.client import Web


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    with served(found):
        yield found


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    opened = Web(EgressPolicy("internet"))
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = None
    if request.param == "postgresql":
        url = cast("Postgres", request.getfixturevalue("postgres")).migrated_url()
    opened = open_database(tmp_path, url)
    yield opened
    await opened.drained()
    opened.close()
