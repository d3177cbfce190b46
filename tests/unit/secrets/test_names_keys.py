"""Names and values of secrets, API keys."""

from __future__ import annotations

import pytest

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.auth.key_format import display_prefix, hash_key, new_key, new_run_key
from codewords_mcp.runtime.secrets import (
    check_name,
    check_value,
)


@pytest.mark.requirement("secrets:names")
@pytest.mark.parametrize(
    "name", ["A", "STRIPE_API_KEY", "S3_KEY", "X" * 64, "PORTAL", "HOMEPAGE_TOKEN", "MY_PATH"]
)
def test_a_good_name_is_accepted(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.requirement("secrets:names")
@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "1A",
        "_A",
        "A-B",
        "A B",
        "A\n",
        "Ä",
        "X" * 65,
        "../A",
        "A=B",
        "😀",
        "\u0410PI_KEY",
        "KEY\u200b",
        "\0",
        "X" * (1 << 20),
    ],
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
    assert len({new_key() for _ in range(100)}) == 100


@pytest.mark.requirement("keys:hashed")
def test_a_key_is_known_by_its_hash_alone() -> None:
    key = new_key()
    stored = hash_key(key)
    assert len(stored) == 64
    assert key not in stored
    assert stored == hash_key(key)
    assert stored not in {hash_key(new_key()), hash_key("ключ\udcff")}


@pytest.mark.requirement("keys:hashed")
def test_what_lists_show_of_a_key_is_its_kind_and_six_digits() -> None:
    key = new_key(one_time=True)
    assert display_prefix(key) == key[:12]
    assert len(display_prefix(new_key())) == 10
    assert len(display_prefix(new_run_key())) == 14
