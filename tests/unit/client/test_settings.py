"""What a client takes from its arguments and the environment."""

from __future__ import annotations

import pytest

from codewords_client import AsyncCodewordsClient, CodewordsClient, MissingKeyError
from codewords_client._config import Config

BOTH = pytest.mark.parametrize("kind", [CodewordsClient, AsyncCodewordsClient])
pytestmark = pytest.mark.requirement("client:settings")


@BOTH
@pytest.mark.parametrize("name", ["CODEWORDS_RUNTIME_URI", "RUNTIME_URI", "CODEWORDS_RUNTIME_URL"])
def test_either_client_finds_the_runtime_by_each_name(
    kind: type[CodewordsClient | AsyncCodewordsClient], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEWORDS_API_KEY", "cwk-1")
    monkeypatch.setenv(name, "http://runtime:8000/")
    assert kind().base_url == "http://runtime:8000"


@BOTH
def test_an_argument_wins_over_the_environment(
    kind: type[CodewordsClient | AsyncCodewordsClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEWORDS_RUNTIME_URI", "http://runtime:8000")
    assert kind("https://other/prefix/", "cwk-1").base_url == "https://other/prefix"


@BOTH
def test_without_an_address_a_key_goes_to_this_machine_and_nowhere_else(
    kind: type[CodewordsClient | AsyncCodewordsClient],
) -> None:
    assert kind(api_key="cwk-1").base_url == "http://127.0.0.1:8765"


@BOTH
def test_a_missing_key_is_said_when_the_client_is_made(
    kind: type[CodewordsClient | AsyncCodewordsClient],
) -> None:
    with pytest.raises(MissingKeyError, match="CODEWORDS_API_KEY is not set"):
        kind()


@BOTH
@pytest.mark.parametrize("address", ["runtime:8000", "ftp://runtime", "http://"])
def test_an_address_that_is_none_is_refused(
    kind: type[CodewordsClient | AsyncCodewordsClient], address: str
) -> None:
    with pytest.raises(ValueError, match="is not the address of a runtime"):
        kind(address, "cwk-1")


def test_a_proxy_of_the_environment_never_carries_a_key_for_this_machine() -> None:
    assert Config("http://127.0.0.1:8765", "k", 1).options()["trust_env"] is False
    assert Config("https://runtime.example", "k", 1).options()["trust_env"] is True


def test_certificates_are_checked_over_https() -> None:
    assert Config("https://runtime.example", "k", 1).options()["verify"] is True
