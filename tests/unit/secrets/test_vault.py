"""Secrets at rest, and the master key."""

from __future__ import annotations

import base64
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.errors import InvalidInput, StorageFailed
from codewords_mcp.runtime.secrets import MasterKey, Vault, load_master_key

KEY = MasterKey(bytes(range(32)), "environment")
OTHER = MasterKey(bytes(32), "file")
MATERIAL = bytes(range(200, 232))


@pytest.mark.requirement("secrets:at-rest")
@given(st.text(max_size=200), st.text(max_size=20), st.text(max_size=20))
def test_a_value_comes_back_for_its_owner_and_name(value: str, owner: str, name: str) -> None:
    sealed = Vault(KEY).encrypt(owner, name, value)
    assert Vault(KEY).decrypt(owner, name, sealed) == value
    assert len(value) < 4 or value.encode() not in sealed.data


@pytest.mark.requirement("secrets:at-rest")
def test_the_same_value_never_looks_the_same_twice() -> None:
    vault = Vault(KEY)
    assert vault.encrypt("o", "N", "value").data != vault.encrypt("o", "N", "value").data


@pytest.mark.requirement("secrets:bound-to-owner")
@pytest.mark.parametrize(("owner", "name"), [("bob", "TOKEN"), ("ann", "OTHER"), ("annT", "OKEN")])
def test_a_row_moved_to_another_owner_or_name_does_not_open(owner: str, name: str) -> None:
    vault = Vault(KEY)
    sealed = vault.encrypt("ann", "TOKEN", "value")
    with pytest.raises(StorageFailed, match="damaged or belongs to another row"):
        vault.decrypt(owner, name, sealed)


@pytest.mark.requirement("secrets:at-rest")
@pytest.mark.parametrize("kept", [0, 1, 5, 13, -1])
def test_a_cut_row_is_said_plainly(kept: int) -> None:
    vault = Vault(KEY)
    sealed = vault.encrypt("ann", "TOKEN", "value")
    with pytest.raises(StorageFailed, match="Set the secret TOKEN"):
        vault.decrypt("ann", "TOKEN", replace(sealed, data=sealed.data[:kept]))


@pytest.mark.requirement("secrets:at-rest")
@given(st.integers(1, 33))
def test_a_changed_byte_is_noticed(position: int) -> None:
    vault = Vault(KEY)
    sealed = vault.encrypt("ann", "TOKEN", "value")
    data = bytearray(sealed.data)
    data[position] ^= 1
    with pytest.raises(StorageFailed, match="damaged"):
        vault.decrypt("ann", "TOKEN", replace(sealed, data=bytes(data)))


@pytest.mark.requirement("secrets:wrong-key")
def test_a_row_of_another_key_names_the_key_it_needs() -> None:
    sealed = Vault(KEY).encrypt("ann", "TOKEN", "value")
    with pytest.raises(StorageFailed, match=f"encrypted with master key {KEY.id}, but .* is key {OTHER.id}"):
        Vault(OTHER).decrypt("ann", "TOKEN", sealed)


@pytest.mark.requirement("secrets:master-key")
def test_a_key_never_shows_itself() -> None:
    assert KEY.material.hex() not in repr(KEY)
    assert str(KEY.material) not in repr(KEY)
    assert KEY.derive("files") != KEY.derive("secrets")
    assert KEY.id != OTHER.id


@pytest.mark.requirement("secrets:master-key")
@pytest.mark.parametrize(
    "text",
    [
        MATERIAL.hex(),
        MATERIAL.hex().upper(),
        f" {MATERIAL.hex()}\n",
        base64.b64encode(MATERIAL).decode(),
        base64.urlsafe_b64encode(MATERIAL).decode().rstrip("="),
    ],
)
def test_the_environment_gives_the_key_in_base64_or_hex_and_no_file_is_made(
    text: str, tmp_path: Path
) -> None:
    assert load_master_key(text, tmp_path).material == MATERIAL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("secrets:master-key")
@pytest.mark.parametrize(
    "text", ["short", "zz" * 32, "ab" * 31, "ключ", base64.b64encode(bytes(31)).decode()]
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="32 bytes in base64 or hexadecimal") as raised:
        load_master_key(text, tmp_path)
    assert text not in str(raised.value)


@pytest.mark.requirement("secrets:master-key")
def test_without_one_a_key_is_made_for_its_user_only_and_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = load_master_key(None, home)
    assert stat.S_IMODE((home / "master.key").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["master.key"]
    assert load_master_key(None, home) == first
    assert first.notes == ()
    assert load_master_key(None, tmp_path / "another").id != first.id


@pytest.mark.requirement("secrets:master-key")
def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    keys: list[str] = []

    def load() -> None:
        start.wait()
        keys.append(load_master_key(None, tmp_path).id)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


@pytest.mark.requirement("secrets:master-key-permissions")
def test_a_key_that_others_could_read_is_closed_and_told(tmp_path: Path) -> None:
    first = load_master_key(None, tmp_path)
    (tmp_path / "master.key").chmod(0o644)
    again = load_master_key(None, tmp_path)
    assert again.material == first.material
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600
    assert "mode 0644" in again.notes[0]


@pytest.mark.requirement("secrets:master-key-lost")
def test_a_missing_key_with_stored_secrets_is_said_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(
        StorageFailed, match=f"is missing, but secrets encrypted with key {KEY.id} are stored"
    ):
        load_master_key(None, tmp_path, stored_key_ids={KEY.id})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("secrets:wrong-key")
def test_a_key_that_is_not_that_of_the_stored_secrets_is_refused_at_start(tmp_path: Path) -> None:
    load_master_key(None, tmp_path)
    content = (tmp_path / "master.key").read_bytes()
    with pytest.raises(StorageFailed, match=f"master key {KEY.id}, but the home's master.key"):
        load_master_key(None, tmp_path, stored_key_ids={KEY.id})
    with pytest.raises(StorageFailed, match=f"master key {KEY.id}, but CODEWORDS_MASTER_KEY"):
        load_master_key("00" * 32, tmp_path, stored_key_ids={KEY.id})
    assert load_master_key(KEY.material.hex(), tmp_path, stored_key_ids={KEY.id}).material == KEY.material
    assert (tmp_path / "master.key").read_bytes() == content


@pytest.mark.requirement("secrets:master-key-lost")
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"not a key\n"])
def test_a_file_that_is_no_key_is_not_overwritten(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)
    with pytest.raises(StorageFailed, match="does not hold 32 bytes"):
        load_master_key(None, tmp_path)
    assert path.read_bytes() == content


@pytest.mark.requirement("secrets:master-key-lost")
def test_a_home_that_cannot_hold_a_key_is_an_error_that_says_where(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(StorageFailed, match=str(blocked / "master.key")):
        load_master_key(None, blocked)
    (tmp_path / "folder").mkdir()
    os.mkdir(tmp_path / "folder" / "master.key")
    with pytest.raises(StorageFailed, match="cannot be used"):
        load_master_key(None, tmp_path / "folder")
