"""Lists of held writes that several replicas add to at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases import open_database
from tests.support.postgres import Postgres
from tests.unit.recording.helpers import request

from codewords_mcp.runtime.recording import held_writes
from codewords_mcp.runtime.recording.held_writes import HeldWrite
from codewords_mcp.runtime.runs.write_lists import WriteLists
from codewords_mcp.runtime.secrets.master_key import load_master_key
from codewords_mcp.runtime.secrets.sealing import Sealer
from codewords_mcp.runtime.secrets.vault import Vault

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("runs:dry-run", "store:postgres")]
REPLICAS = 6
EACH = 84


@pytest.fixture
def replicas(postgres: Postgres, tmp_path: Path) -> Iterator[list[WriteLists]]:
    """The lists as replicas of one database see them."""
    url = postgres.migrated_url()
    databases = [open_database(tmp_path / str(number), url) for number in range(REPLICAS)]
    sealer = Sealer(Vault(load_master_key("a1" * 32, tmp_path)))
    yield [WriteLists(database, sealer) for database in databases]
    for database in databases:
        database.close()


async def test_each_write_gets_a_number_of_its_own_until_the_list_is_full(replicas: list[WriteLists]) -> None:
    async def hold(lists: WriteLists, name: str) -> list[int | None]:
        stored = lists.of("ada", "run_1")
        writes = [
            HeldWrite(
                0, "run_1", request("POST", f"https://a.example/{name}/{n}"), f"{name}/{n}", "POST", "changes"
            )
            for n in range(EACH)
        ]
        return [await stored.hold(write) for write in writes]

    numbers = await asyncio.gather(*(hold(lists, str(n)) for n, lists in enumerate(replicas)))
    found = [number for each in numbers for number in each]
    assert sorted(number for number in found if number is not None) == [*range(1, held_writes.MAX_WRITES + 1)]
    assert found.count(None) == REPLICAS * EACH - held_writes.MAX_WRITES
    held = await replicas[0].read("ada", "run_1")
    assert len({write.request.url for write in held}) == held_writes.MAX_WRITES
