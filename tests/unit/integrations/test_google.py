"""Signed assertions of Google's service accounts."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.integrations.google import assertion

pytestmark = pytest.mark.requirement("integrations:native")
AUDIENCE = "https://oauth2.googleapis.com/token"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: Any = KEY) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def account(**changes: Any) -> str:
    fields = {"client_email": "robot@example.iam", "private_key": pem(), "private_key_id": "k1", **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def test_the_assertion_is_signed_by_the_account_for_an_hour() -> None:
    token = assertion(account(), "a b")
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], audience=AUDIENCE)
    assert claims.pop("exp") - claims.pop("iat") == 3600
    assert claims == {"iss": "robot@example.iam", "scope": "a b", "aud": AUDIENCE}


def test_a_key_file_without_an_id_of_its_key_works() -> None:
    assert jwt.get_unverified_header(assertion(account(private_key_id=None), "a")) == {
        "alg": "RS256",
        "typ": "JWT",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        account(client_email=None),
        account(private_key="no PEM"),
        account(private_key=7),
        account(private_key=pem(ec.generate_private_key(ec.SECP256R1()))),
        account(
            private_key=KEY.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        ),
        account(private_key_id=["k1"]),
    ],
    ids=(
        "empty",
        "no JSON",
        "a list",
        "nothing in it",
        "no e-mail",
        "no PEM",
        "a number as key",
        "an elliptic key",
        "a public key",
        "a list as key id",
    ),
)
def test_what_is_no_key_file_is_answered_by_a_sentence(text: str) -> None:
    with pytest.raises(InvalidInput, match="not the text of a service account's key file"):
        assertion(text, "a")
