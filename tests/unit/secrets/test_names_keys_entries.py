"""Names and values of secrets, API keys, one-time entries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.secrets import (
    Entry,
    SecretEntries,
    check_name,
    check_value,
    display_prefix,
    hash_key,
    is_one_time,
    is_run_key,
    new_key,
    new_run_key,
    verify_key,
)
from codewords_mcp.runtime.secrets.entry import MAX_ENTRIES, MAX_PER_OWNER


@pytest.mark.requirement("secrets:names")
@pytest.mark.parametrize(
    "name", ["A", "STRIPE_API_KEY", "S3_KEY", "X" * 64, "PORTAL", "HOMEPAGE_TOKEN", "MY_PATH"]
)
def test_a_good_name_is_accepted(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.requirement("secrets:names")
@pytest.mark.parametrize(
    "name", ["", "a", "1A", "_A", "A-B", "A B", "A\n", "Ä", "X" * 65, "../A", "A=B", "😀"]
)
def test_a_bad_name_is_refused_with_the_rule_and_not_repeated(name: str) -> None:
    with pytest.raises(InvalidInput, match="A-Z, 0-9 and _") as raised:
        check_name(name)
    assert len(name) < 3 or name not in str(raised.value)


@pytest.mark.requirement("secrets:names")
@pytest.mark.parametrize(
    "name",
    [
        "PORT",
        "PATH",
        "HOME",
        "LD_PRELOAD",
        "DYLD_INSERT_LIBRARIES",
        "PYTHONPATH",
        "PYTHONHASHSEED",
        "CODEWORDS_API_KEY",
        "SERVICE_ID",
        "LOGLEVEL",
        "RUNTIME_URI",
        "HTTPS_PROXY",
        "NO_PROXY",
        "BASH_ENV",
        "UV_INDEX",
    ],
)
def test_a_reserved_name_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{name} cannot be a secret's name: (it|the runtime)"):
        check_name(name)


@pytest.mark.requirement("secrets:values")
def test_a_value_is_kept_but_for_the_newlines_around_it() -> None:
    assert check_value("\r\n abc \n") == " abc "
    assert check_value("a\nb\n") == "a\nb"
    assert check_value("x" * 65536) == "x" * 65536


@pytest.mark.requirement("secrets:values")
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("top\0secret", "NUL"),
        ("top\ud800secret", "not valid text"),
        ("secret" + "ü" * 32766, "has 65538 bytes; at most 65536"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason_and_not_repeated(value: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as raised:
        check_value(value)
    assert "topsecret" not in str(raised.value).replace("\0", "")
    assert "üü" not in str(raised.value)


@pytest.mark.requirement("keys:form")
def test_keys_are_told_apart_by_their_form_and_never_repeat() -> None:
    plain, one_time, run = new_key(), new_key(one_time=True), new_run_key()
    assert plain.startswith("cwk-")
    assert len(plain) == 4 + 64
    assert one_time.startswith("cwotk-")
    assert run.startswith("cwk-run-")
    assert [is_one_time(key) for key in (plain, one_time, run)] == [False, True, False]
    assert [is_run_key(key) for key in (plain, one_time, run)] == [False, False, True]
    assert len({new_key() for _ in range(100)}) == 100


@pytest.mark.requirement("keys:hashed")
def test_a_key_is_known_by_its_hash_alone() -> None:
    key = new_key()
    stored = hash_key(key)
    assert len(stored) == 64
    assert key not in stored
    assert verify_key(key, stored)
    assert not verify_key(new_key(), stored)
    assert not verify_key("ключ\udcff", stored)


@pytest.mark.requirement("keys:hashed")
def test_what_lists_show_of_a_key_is_its_kind_and_six_digits() -> None:
    key = new_key(one_time=True)
    assert display_prefix(key) == key[:12]
    assert len(display_prefix(new_key())) == 10
    assert len(display_prefix(new_run_key())) == 14


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.requirement("secrets:entry-once")
def test_a_nonce_can_be_looked_at_often_and_redeemed_once() -> None:
    entries = SecretEntries()
    nonce = entries.create("ann", "TOKEN")
    assert len(nonce) >= 32
    assert entries.peek(nonce) == entries.peek(nonce) == Entry("ann", "TOKEN")
    assert entries.redeem(nonce) == Entry("ann", "TOKEN")
    for spent in (entries.peek, entries.redeem):
        with pytest.raises(NotFound, match="was used, has expired"):
            spent(nonce)


@pytest.mark.requirement("secrets:entry-once")
def test_a_nonce_ends_with_its_time() -> None:
    clock = Clock()
    entries = SecretEntries(clock=clock)
    nonce = entries.create("ann", "TOKEN", ttl=600)
    clock.now += 599
    assert entries.peek(nonce).name == "TOKEN"
    clock.now += 1
    with pytest.raises(NotFound):
        entries.redeem(nonce)
    assert len(entries) == 0


@pytest.mark.requirement("secrets:entry-once")
@given(st.text())
def test_no_other_text_is_a_nonce(text: str) -> None:
    entries = SecretEntries()
    entries.create("ann", "TOKEN")
    with pytest.raises(NotFound):
        entries.peek(text)


@pytest.mark.requirement("secrets:entry-bounded")
def test_an_owner_who_asks_without_end_only_ends_own_entries() -> None:
    entries = SecretEntries()
    kept = entries.create("bob", "TOKEN")
    first, *_ = [entries.create("ann", f"T{i}") for i in range(MAX_PER_OWNER + 1)]
    assert entries.peek(kept).owner == "bob"
    with pytest.raises(NotFound):
        entries.peek(first)
    assert len(entries) == MAX_PER_OWNER + 1
    for owner in range(MAX_ENTRIES + 10):
        entries.create(str(owner), "TOKEN")
    assert len(entries) == MAX_ENTRIES
