"""Access tokens of a certified provider, fetched by a client that knows nothing but the address of /mcp."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.auth.certified_provider import go_through, provider, rotate_keys, set_groups
from tests.integration.auth.forging_issuer import CLIENT
from tests.support.browser_client import Browser
from tests.support.http_runtime import Door
from tests.support.npm import installed
from tests.support.runtime import make_home
from tests.support.waiting import until

from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.requirement("http:oauth-client")]
PROGRAM = Path(__file__).with_name("oauth_client.mjs")
REDIRECT = "http://127.0.0.1:9/callback"
ELSEWHERE = "https://elsewhere.example/mcp"


class IndependentClient:
    """The client after its person has signed in."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def take(self, step: str) -> Any:
        """Take a step of the program; its result."""
        return json.loads(self.say(step, "done "))

    def say(self, line: str, prefix: str) -> str:
        """Write a line, and read up to one that begins so."""
        process = self._process
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return self.read(prefix)

    def read(self, prefix: str) -> str:
        """Read up to a line that begins so."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(prefix):
                return line.removeprefix(prefix).strip()
        assert self._process.stderr is not None
        raise AssertionError(self._process.stderr.read())


@contextmanager
def client_of(door: Door, issuer: str, login: str, scope: str) -> Generator[IndependentClient]:
    """A client in which this person has signed in, with a token of these scopes."""
    folder = installed("oauth4webapi@3.8.8")
    program = folder / PROGRAM.name
    program.write_bytes(PROGRAM.read_bytes())
    command = ["node", program, f"{door.url}/mcp", scope, REDIRECT, ELSEWHERE]
    with (
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        ) as process,
        Browser() as browser,
    ):  # fmt: skip
        made = IndependentClient(process)
        there = go_through(browser, issuer, made.read("go "), login, lambda url: url.startswith(REDIRECT))
        assert process.stdin is not None
        process.stdin.write(there.headers["location"] + "\n")
        yield made
        process.stdin.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Door, str]]:
    """A runtime that takes the tokens of the provider at which its members sign in."""
    with httpx.Client(), provider("http://127.0.0.1:9/unused", REDIRECT, "any") as issuer:
        settings = Settings.model_validate(
            {
                "home": make_home(tmp_path_factory.mktemp("home")), "port": 0, "api_key": "cwk-home",
                "oauth_issuer": issuer, "oidc_issuer": issuer, "oidc_client_id": CLIENT,
                "oidc_roles": {"builders": "author"},
            }
        )  # fmt: skip
        with Door(settings) as door:
            yield door, issuer


def test_a_client_finds_the_authorization_server_and_calls_with_what_was_granted(
    served: tuple[Door, str],
) -> None:
    door, issuer = served
    set_groups(issuer, "ada", "builders")
    with client_of(door, issuer, "ada", "openid offline_access read run") as client:
        found = client.take("found")
        assert (found["refused"], found["issuer"]) == (401, issuer)
        assert "resource_metadata=" in found["challenge"]
        assert found["resource"]["resource"] == f"{door.url}/mcp"
        assert client.take("mcp") == 200
        assert client.take("list") == 200
        # Neither was asked for, and nobody can be given the second.
        assert client.take("write") == 403
        assert client.take("administer") == 403


def test_a_token_goes_on_by_its_refresh_token_also_after_the_keys_have_changed(
    served: tuple[Door, str],
) -> None:
    door, issuer = served
    with client_of(door, issuer, "ada", "openid offline_access read run write") as client:
        assert client.take("write") == 200
        client.take("refresh")
        assert client.take("list") == 200
        rotate_keys(issuer)
        client.take("refresh")
        # Keys are fetched again at most every ten seconds.
        until(lambda: client.take("list") == 200, "the new key")
        # A token of the same person, issuer and key, but for another service.
        client.take("elsewhere")
        assert client.take("list") == 401
        assert client.take("mcp") == 401
        assert client.take("end") == "invalid_grant"
