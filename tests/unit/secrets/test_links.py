"""One-time links: on every process of the database, after a start anew, once, for a while."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.support.databases import open_database

from codewords_mcp.runtime.auth.one_time_links import LIFETIME, MAX_LINKS, MAX_PER_OWNER, Links
from codewords_mcp.runtime.model.audit import AuditFilter
from codewords_mcp.runtime.secrets import Vault
from codewords_mcp.runtime.secrets.master_key import MasterKey
from codewords_mcp.runtime.store import audit, tables
from codewords_mcp.runtime.store import links as rows
from codewords_mcp.runtime.store.consent_entries import ConsentEntry
from codewords_mcp.runtime.store.database import Database

pytestmark = [pytest.mark.anyio]
KEY = MasterKey(b"k" * 32, "file")


@pytest.fixture
def database(tmp_path: Path) -> Generator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


def links(database: Database, key: MasterKey = KEY, lifetime: float = LIFETIME) -> Links:
    """As a process of its own has them."""
    return Links("secret", database, Vault(key), lifetime=lifetime)


@pytest.mark.requirement("secrets:entry-once", "secrets:entry-anywhere")
async def test_a_link_can_be_looked_at_often_and_spent_once_by_whichever_process(database: Database) -> None:
    one, two = links(database), links(database)
    token = await one.create("ann", "TOKEN", {"rule": None})
    assert len(token) >= 32
    found, again = await one.find(token), await two.find(token)
    assert found is not None
    assert again is not None
    assert (found.owner, found.subject, found.data, found.token) == ("ann", "TOKEN", {"rule": None}, token)
    assert await two.spend(again)
    assert not await one.spend(found)
    assert await one.find(token) is None


@pytest.mark.requirement("manifest:consent-anywhere")
async def test_a_yes_that_was_spent_does_not_spend_the_question_that_was_asked_anew(
    database: Database,
) -> None:
    questions = Links("consent", database, Vault(KEY))
    token = await questions.create("ann", "SUBJECT", {})
    unanswered = await questions.find(token)
    await questions.answer(token, "agreed")
    first, late = await questions.find(token), await questions.find(token)
    assert unanswered is not None
    assert first is not None
    assert late is not None
    assert not await questions.spend(unanswered), "it has been answered since it was read"
    assert await questions.spend(first)
    anew = await questions.create("ann", "SUBJECT", {})
    assert not await questions.spend(late)
    assert await questions.find(anew) is not None


@pytest.mark.requirement("secrets:entry-once")
async def test_a_link_ends_with_its_time_and_is_of_its_kind(database: Database) -> None:
    token = await links(database, lifetime=0).create("ann", "TOKEN", {})
    assert await links(database).find(token) is None
    token = await links(database).create("ann", "TOKEN", {})
    questions = Links("consent", database, Vault(KEY))
    assert await questions.find(token) is None
    assert await questions.about("ann", "TOKEN") is None
    assert not await questions.answer(token, "agreed")


@pytest.mark.requirement("secrets:entry-once")
async def test_no_other_text_is_a_token(database: Database) -> None:
    token = await links(database).create("ann", "TOKEN", {})
    for text in ("", token + "x", token[:-1], "\0", "\ud800", "é" * 1000, "x" * (1 << 20)):
        assert await links(database).find(text) is None


@pytest.mark.requirement("secrets:entry-sealed")
async def test_a_copied_database_holds_neither_token_nor_what_it_is_about_and_a_moved_row_does_not_open(
    database: Database, tmp_path: Path
) -> None:
    one = links(database)
    token = await one.create("ann", "TOKEN", {"lines": ["hosts        secret.example"]})
    other = await one.create("bob", "TOKEN", {})
    pages = b"".join(file.read_bytes() for file in tmp_path.glob("codewords.db*"))
    assert token.encode() not in pages
    assert b"secret.example" not in pages
    assert await links(database, MasterKey(b"x" * 32, "file")).find(token) is None
    moved = "UPDATE links SET sealed = (SELECT sealed FROM links WHERE owner = 'ann') WHERE owner = 'bob'"
    await database.write(lambda c: c.exec_driver_sql(moved))
    assert await one.find(other) is None


@pytest.mark.requirement("secrets:entry-bounded")
@pytest.mark.slow
async def test_an_owner_who_asks_without_end_only_ends_own_links(database: Database) -> None:
    one = links(database)
    kept = await one.create("bob", "TOKEN", {})
    first, *_ = [await one.create("ann", f"T{i}", {}) for i in range(MAX_PER_OWNER + 1)]
    assert await one.find(kept) is not None
    assert await one.find(first) is None
    for owner in range(MAX_LINKS):
        await one.create(str(owner), "TOKEN", {})
    assert await one.find(kept) is None
    count = await database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM links").scalar())
    assert count == MAX_LINKS


@pytest.mark.requirement("secrets:entry-bounded")
@pytest.mark.slow
async def test_many_links_of_one_kind_end_none_of_another(database: Database) -> None:
    page = links(database)
    kept = await page.create("ann", "TOKEN", {})
    questions = Links("consent", database, Vault(KEY))
    for number in range(MAX_PER_OWNER + 1):
        await questions.create("ann", f"Q{number}", {})
    assert await page.find(kept) is not None
    for owner in range(MAX_LINKS):
        await questions.create(str(owner), "Q", {})
    assert await page.find(kept) is not None


@pytest.mark.requirement("secrets:entry-again")
async def test_the_same_asked_again_is_the_same_link_and_its_time_begins_anew(database: Database) -> None:
    one, two = links(database), links(database)
    first = await one.ensure("ann", "TOKEN", {"rule": None})
    found = await one.find(first)
    assert await two.ensure("ann", "TOKEN", {"rule": None}) == first
    again = await one.find(first)
    assert found is not None
    assert again is not None
    assert again.row["expires_at"] > found.row["expires_at"]
    others = [
        await one.ensure("ann", "TOKEN", {"rule": {"hosts": ["a.example"]}}),
        await one.ensure("ann", "OTHER", {"rule": None}),
        await one.ensure("bob", "TOKEN", {"rule": None}),
        await Links("consent", database, Vault(KEY)).ensure("ann", "TOKEN", {"rule": None}),
    ]
    assert len({first, *others}) == 5
    assert await one.ensure("ann", "TOKEN", {"rule": None}) == first, "also after others"
    assert await one.spend(again)
    assert await one.ensure("ann", "TOKEN", {"rule": None}) != first


@pytest.mark.requirement("audit:consents")
@pytest.mark.parametrize("answered", [False, True])
async def test_a_question_that_nobody_used_in_time_has_an_entry_with_what_it_asked(
    database: Database, answered: bool
) -> None:
    questions = Links("consent", database, Vault(KEY), lifetime=1e-6)
    facts = {"about": "deploy", "question": "d" * 64, "permissions": "p" * 64}
    asked = ConsentEntry("asked", "ann", "flow_0a1b2c3d", facts)
    if answered:
        token = await Links("consent", database, Vault(KEY)).create("ann", "d" * 64, {}, asked)
        await questions.answer(token, "agreed")
        past = update(tables.links).values(expires_at=1)
        await database.write(lambda connection: connection.execute(past))
    else:
        await questions.create("ann", "d" * 64, {}, asked)
    await database.write(rows.purge)
    found = await database.read(audit.page, AuditFilter(action="consent"), 10, None)
    assert [entry.action for entry in found] == ["consent.expired", "consent.asked"]
    assert (found[0].target, found[0].owner) == ("flow_0a1b2c3d", "ann")
    assert found[0].after == facts | ({"answer": "agreed"} if answered else {})
