"""Host rules as they are typed; another master key; the system's keyring; two writers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from tests.support.databases import open_database

from codewords_mcp.errors import InvalidInput, StorageFailed
from codewords_mcp.runtime.secrets import Vault, load_master_key
from codewords_mcp.runtime.secrets.rotation import Keys
from codewords_mcp.runtime.secrets.rules import WELL_KNOWN, make_rule, read_rule, well_known
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store import access
from codewords_mcp.runtime.store.database import Database

BAD_HOSTS = [
    "", " ", "https://api.stripe.com", "api.stripe.com/v1", "*.stripe.com", "1.2.3.4", "[::1]", "a b.com", "a\nb.com",
    "\u0430pi.stripe.com", "api\u3002stripe.com", "api.stripe.com:0", "api.stripe.com:99999", "api.stripe.com:", "api.stripe.com:x",
    "x" * 64 + ".com", "a." * 200 + "com", "x" * (1 << 20), "user@api.stripe.com", "-a.com", "a..com", "a\0.com", "²", "api.com:²",
]  # fmt: skip


@pytest.mark.requirement("secrets:rules")
@pytest.mark.parametrize("host", BAD_HOSTS, ids=range(len(BAD_HOSTS)))
def test_what_is_no_name_of_a_host_is_refused_and_not_repeated(host: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        make_rule([host])
    assert len(host) < 4 or host not in str(refused.value)


@pytest.mark.requirement("secrets:rules")
def test_a_rule_is_read_as_it_was_stored() -> None:
    rule = make_rule(["API.Example.com", "api.example.com:443", "b.example.com:8443"], ["query", "header"])
    assert rule.names == ["api.example.com", "b.example.com:8443"]
    assert rule.places == ("header", "query")
    assert read_rule(rule.as_json()) == rule
    assert all(read_rule(known.as_json()) == known for known in WELL_KNOWN.values())
    assert well_known("OPENAI_API_KEY_2") == well_known("OPENAI_API_KEY") is not None
    assert well_known("OPENAI_API_KEY_OLD") is None
    with pytest.raises(InvalidInput):
        make_rule(["api.example.com"], ["body"])
    with pytest.raises(InvalidInput):
        make_rule([f"h{number}.com" for number in range(21)])


@pytest.mark.requirement("secrets:rules")
def test_a_rule_may_name_the_one_header_or_parameter() -> None:
    rule = make_rule(["api.example.com"], ["query:api_key", "header:X-Api-Key", "header:x-api-key", "basic"])
    assert rule.places == ("header:x-api-key", "basic", "query:api_key")
    assert read_rule(rule.as_json()) == rule
    assert rule.allows("header", "x-api-key")
    assert rule.allows("basic", "")
    assert not rule.allows("header", "authorization")
    assert not rule.allows("query", "q")
    assert not rule.allows("query", "")
    assert make_rule(["api.example.com"], ["query"]).allows("query", "anything")
    for place in (
        "path:a",
        "basic:a",
        "header:",
        "query:",
        "header:a b",
        "query:a&b",
        "query:a=b",
        "body",
        ":",
        "header:\r\n",
    ):
        with pytest.raises(InvalidInput):
            make_rule(["api.example.com"], [place])
    with pytest.raises(InvalidInput):
        make_rule(["api.example.com"], [f"query:p{number}" for number in range(21)])


def open_keys(home: Path, ids: set[str], **more: str | None) -> Keys:
    return Keys(home, more.get("configured"), more.get("previous"), stored_key_ids=ids, keyring=False)


async def filled(database: Database, keys: Keys) -> SecretService:
    book = SecretService(database, Vault(keys.current, keys.older))
    for number in range(120):
        await book.set("ann" if number % 2 else "bob", f"KEY_{number}", f"value-{number}")
    return book


@pytest.mark.anyio
@pytest.mark.requirement("secrets:rotation")
async def test_a_rotation_that_was_killed_is_gone_on_with_and_keeps_the_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(tmp_path)
    try:
        keys = open_keys(tmp_path, set())
        first = keys.current.id
        book = await filled(database, keys)

        def killed() -> str:
            raise RuntimeError

        monkeypatch.setattr(keys, "finish", killed)
        with pytest.raises(RuntimeError):
            await book.rotate(keys)
        await book.set("ann", "KEY_1", "value-meanwhile")
        # some rows are as a kill in the middle leaves them
        old = Vault(load_master_key(None, tmp_path, stored_key_ids={first}))
        sealed = old.encrypt("bob", "KEY_0", "value-0")
        row = (await database.read(lambda c: access.list_secrets(c, "bob")))[0]
        assert await database.write(lambda c: access.reseal_secret(c, row, sealed.key_id, sealed.data))

        ids = await database.read(access.secret_key_ids)
        assert len(ids) == 2
        again = open_keys(tmp_path, ids)
        assert again.unfinished
        assert again.current.id != first
        book = SecretService(database, Vault(again.current, again.older))
        assert (await book.values("bob", ["KEY_0"])) == {"KEY_0": "value-0"}
        count, said = await book.rotate(again)
        assert (count, "master.key.retired-" in said) == (1, True)
        ids = await database.read(access.secret_key_ids)
        last = open_keys(tmp_path, ids)
        assert not last.unfinished
        assert {last.current.id} == ids
        assert (
            load_master_key(
                (tmp_path / f"master.key.retired-{first}").read_text(encoding="ascii"), tmp_path
            ).id
            == first
        )
        book = SecretService(database, Vault(last.current))
        assert (await book.values("ann", ["KEY_1", "KEY_3"])) == {
            "KEY_1": "value-meanwhile",
            "KEY_3": "value-3",
        }
    finally:
        database.close()


@pytest.mark.anyio
@pytest.mark.requirement("secrets:rotation")
async def test_a_key_of_the_environment_is_changed_by_giving_both(tmp_path: Path) -> None:
    one, two = "11" * 32, "22" * 32
    database = open_database(tmp_path)
    try:
        keys = open_keys(tmp_path, set(), configured=one)
        book = await filled(database, keys)
        with pytest.raises(InvalidInput, match="CODEWORDS_MASTER_KEY"):
            await book.rotate(keys)
        ids = await database.read(access.secret_key_ids)
        with pytest.raises(StorageFailed, match="encrypted with master key"):
            open_keys(tmp_path, ids, configured=two)
        both = open_keys(tmp_path, ids, configured=two, previous=one)
        count, _ = await SecretService(database, Vault(both.current, both.older)).rotate(both)
        assert count == 120
        assert (
            open_keys(tmp_path, await database.read(access.secret_key_ids), configured=two).current.id
            == both.current.id
        )
    finally:
        database.close()


@pytest.mark.anyio
@pytest.mark.requirement("secrets:two-writers")
async def test_two_writers_at_once_leave_one_whole_value(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    try:
        keys = open_keys(tmp_path, set())
        books = [SecretService(database, Vault(keys.current)) for _ in range(2)]
        values = [f"{number}-" * 1000 for number in range(20)]
        await asyncio.gather(
            *(books[number % 2].set("ann", "KEY", value) for number, value in enumerate(values))
        )
        left = await SecretService(database, Vault(keys.current)).values("ann", ["KEY"])
        assert left["KEY"] in values
    finally:
        database.close()


class Memory(KeyringBackend):
    """A keyring that keeps things as long as the test."""

    priority = 5  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride, reportIncompatibleUnannotatedOverride]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise RuntimeError
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class WithoutPriority(Memory):
    priority = 0  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride, reportIncompatibleUnannotatedOverride]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    backend, before = Memory(), keyring.get_keyring()
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")  # on Linux keyrings are behind it
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


@pytest.mark.anyio
@pytest.mark.requirement("secrets:keyring")
async def test_a_new_home_keeps_its_key_in_a_real_keyring_and_is_rotated_there(
    tmp_path: Path, memory: Memory
) -> None:
    key = load_master_key(None, tmp_path, keyring=True)
    assert key.source == "keyring"
    assert not (tmp_path / "master.key").exists()
    assert load_master_key(None, tmp_path).id == key.id
    memory.locked = True
    with pytest.raises(StorageFailed, match="keyring does not give out"):
        load_master_key(None, tmp_path, stored_key_ids={key.id})
    assert not (tmp_path / "master.key").exists()
    memory.locked = False
    database = open_database(tmp_path)
    try:
        keys = open_keys(tmp_path, set())
        book = await filled(database, keys)
        assert (await book.rotate(keys))[0] == 120
        assert {load_master_key(None, tmp_path).id} == await database.read(access.secret_key_ids)
        assert sum("retired" in name for _, name in memory.kept) == 1
    finally:
        database.close()


@pytest.mark.requirement("secrets:keyring")
def test_without_a_real_keyring_and_in_a_home_that_has_a_file_the_key_is_in_the_file(
    tmp_path: Path, memory: Memory
) -> None:
    first = load_master_key(None, tmp_path / "one")
    assert load_master_key(None, tmp_path / "one", keyring=True) == first
    keyring.set_keyring(WithoutPriority())
    assert load_master_key(None, tmp_path / "two", keyring=True).source == "file"
    assert memory.kept == {}
