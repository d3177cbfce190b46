"""Addresses of the services that send mail."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from codewords_mcp.runtime.services._mail import Address

pytestmark = pytest.mark.requirement("services:mail")
ADDRESS: TypeAdapter[str] = TypeAdapter(Address)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ann+tag@example.org", "ann+tag@example.org"),
        ("<ann@example.org>", "ann@example.org"),
        ("Ann B. Doe <ann@example.org>", '"Ann B. Doe" <ann@example.org>'),
        ('"Doe, Ann" <ann@example.org>', '"Doe, Ann" <ann@example.org>'),
        ("Ü <ann@faß.example>", "Ü <ann@xn--fa-hia.example>"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ('"ann doe"@example.org', '"ann doe"@example.org'),
        ('Ann <"a,b@c"@example.org>', 'Ann <"a,b@c"@example.org>'),
        ('"ann"@example.org', "ann@example.org"),
        ("root@localhost", "root@localhost"),
        ("ann@mail.local", "ann@mail.local"),
        ("ann@mail.test", "ann@mail.test"),
        ("a" * 64 + "@example.org", "a" * 64 + "@example.org"),
    ],
)
def test_an_address_is_given_as_a_mail_server_takes_it(text: str, address: str) -> None:
    assert ADDRESS.validate_python(text) == address
    assert ADDRESS.validate_python(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "ann..doe@example.org",
        ".ann@example.org",
        "ann@example..org",
        "ann@example.org.",
        "ann@-example.org",
        "ann@a_b.example.org",
        "ann@xn--a.example",
        "ann@[127.0.0.1]",
        "änn@example.org",
        "a" * 65 + "@example.org",
        "ann@" + "x" * 64 + ".org",
        "ann@" + "x." * 130 + "org",
        '"a\nb"@example.org',
        "ann@example.org, bob@example.org",
        "Ann, ü <ann@example.org>",
    ],
)
def test_what_is_no_address_is_answered_by_a_sentence_with_an_example(text: str) -> None:
    with pytest.raises(ValidationError, match=r"like name@example\.org|one line, without control characters"):
        ADDRESS.validate_python(text)
