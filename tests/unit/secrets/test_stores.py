"""Stores of secrets outside of a home, asked as their servers answer."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.support.loopback_site import Answer
from tests.support.s3 import S3, serving_s3
from tests.support.secret_stores import ITEM_ID, VAULT_ID, SecretStores, serving_stores

from codewords_mcp.runtime.secrets.references import parse_reference
from codewords_mcp.runtime.secrets.stores import StoreFailed, read


@pytest.fixture
def stores() -> Generator[SecretStores]:
    with serving_stores() as standing:
        yield standing


@pytest.fixture(scope="module")
def moto() -> Generator[S3]:
    with serving_s3() as server:
        yield server


def failure(text: str, environ: dict[str, str]) -> StoreFailed:
    with pytest.raises(StoreFailed) as failed:
        read(parse_reference(text), environ)
    return failed.value


@pytest.mark.requirement("elsewhere:stores")
def test_variables_and_files_are_read_also_a_field_of_their_json(tmp_path: Path) -> None:
    several = tmp_path / "several.json"
    several.write_text('{"token": "from a file", "count": 3}', encoding="utf-8")
    environ = {"APP_KEY": "from a variable", "APP_JSON": '{"token": "of it"}'}
    assert read(parse_reference("env://APP_KEY"), environ) == "from a variable"
    assert read(parse_reference("env://APP_JSON#token"), environ) == "of it"
    assert read(parse_reference(f"file://{several}#token"), environ) == "from a file"
    assert "no such file" in str(failure(f"file://{tmp_path}/none", environ))
    assert "without that variable" in str(failure("env://NONE", environ))
    assert "no field 'other'" in str(failure(f"file://{several}#other", environ))
    assert "is no text" in str(failure(f"file://{several}#count", environ))
    assert "no JSON object" in str(failure("env://APP_KEY#token", environ))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "no text" in str(failure(f"file://{tmp_path}/binary", environ))
    assert "cannot be read" in str(failure(f"file://{tmp_path}", environ))


@pytest.mark.requirement("elsewhere:stores")
def test_vault_is_read_by_its_token_or_the_file_of_its_agent(stores: SecretStores, tmp_path: Path) -> None:
    stores.values["kv/team/app"] = {"token": "from vault"}
    environ = stores.environment
    assert read(parse_reference("vault://kv/team/app#token"), environ) == "from vault"
    sink = tmp_path / "token"
    sink.write_text(environ.pop("VAULT_TOKEN") + "\n", encoding="utf-8")
    assert "refuses this runtime" in str(failure("vault://kv/team/app#token", environ))
    environ["VAULT_TOKEN_FILE"] = str(sink)
    assert read(parse_reference("vault://kv/team/app#token"), environ) == "from vault"
    assert "no such secret" in str(failure("vault://kv/none#token", environ))
    assert "no field 'other'" in str(failure("vault://kv/team/app#other", environ))
    assert "VAULT_ADDR is not set" in str(failure("vault://kv/team/app#token", {}))


@pytest.mark.requirement("elsewhere:stores")
def test_1password_is_read_by_names_and_by_ids(stores: SecretStores) -> None:
    stores.values["Prod/db"] = {"password": "from 1password"}
    environ = stores.environment
    for path in ("Prod/db/password", "Prod/db/server/password", f"{VAULT_ID}/{ITEM_ID}/f0"):
        assert read(parse_reference(f"op://{path}"), environ) == "from 1password"
    assert read(parse_reference("op://Prod/db/username"), environ) == "ada"
    assert "no field 'password'" in str(failure("op://Prod/db/client/password", environ))
    assert "there is no one 'Test'" in str(failure("op://Test/db/password", environ))
    assert "are not set" in str(failure("op://Prod/db/password", {}))


# google-auth opens the file so.
@pytest.mark.filterwarnings("ignore:'encoding' argument not specified:EncodingWarning")
@pytest.mark.requirement("elsewhere:stores")
def test_google_is_read_by_the_machines_credentials(
    stores: SecretStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.values["project/name"] = "from google"
    account = tmp_path / "account.json"
    account.write_text(json.dumps(stores.google_account()), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    environ = stores.environment
    assert read(parse_reference("gcp-sm://project/name"), environ) == "from google"
    assert "no such secret" in str(failure("gcp-sm://project/none", environ))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    assert "no credentials" in str(failure("gcp-sm://project/name", environ))


@pytest.mark.requirement("elsewhere:stores")
def test_aws_is_read_by_the_credentials_of_its_own_tools(moto: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        moto.environment | {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ENDPOINT_URL": moto.endpoint}
    ).items():
        monkeypatch.setenv(name, value)
    boto3: Any = importlib.import_module("boto3")
    client = boto3.session.Session().client("secretsmanager")
    client.create_secret(Name="prod/db", SecretString=json.dumps({"password": "from aws"}))
    client.create_secret(Name="binary", SecretBinary=b"\xff")
    assert read(parse_reference("aws-sm://prod/db#password"), os.environ) == "from aws"
    assert "no such secret" in str(failure("aws-sm://none", {}))
    assert "is no text" in str(failure("aws-sm://binary", {}))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert failure("aws-sm://prod/db", {}).away


@pytest.mark.requirement("elsewhere:stores")
@pytest.mark.parametrize("text", ["vault://kv/app#token", "op://Prod/db/password"])
@pytest.mark.parametrize(
    ("answer", "away"),
    [
        (Answer(503, b'{"errors": ["Vault is sealed"]}'), True),
        (Answer(500, b"not json"), True),
        (Answer(200, b"<html>a page of a proxy</html>"), False),
        (Answer(200, b'{"data": {"data": ["a", "list"]}}'), False),
        (Answer(200, b"[]"), False),
    ],
)
def test_a_store_that_fails_or_answers_with_something_else_is_told_in_our_words(
    stores: SecretStores, text: str, answer: Answer, away: bool
) -> None:
    stores.instead = answer
    told = failure(text, stores.environment)
    assert told.away is away
    assert answer.body.decode() not in str(told)
