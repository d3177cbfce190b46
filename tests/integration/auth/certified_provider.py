"""A certified OpenID Connect provider run by Node, and a person who goes through its pages."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import httpx
from tests.integration.auth.forging_issuer import CLIENT
from tests.support.browser_client import NAVIGATION, Browser
from tests.support.npm import OWN_NODE, SERVER_NODE, installed

SECRET = "a secret: with % and +"
"""Characters that have to be encoded in a header."""
_PROGRAM = Path(__file__).with_name("oidc_provider.mjs")


@contextmanager
def provider(redirect: str, *more: str) -> Generator[str]:
    """The URL of a provider that leads back to this address.

    `more` are the address of a public client, and the audience of the tokens that it may ask for.
    """
    folder = installed("oidc-provider@9.13.3", SERVER_NODE)
    program = folder / _PROGRAM.name
    program.write_bytes(_PROGRAM.read_bytes())
    command = [folder / OWN_NODE, program, CLIENT, SECRET, redirect, *more]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        port = next(line.split()[1] for line in process.stdout if line.startswith("port "))
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def set_groups(issuer: str, login: str, *groups: str) -> None:
    """Set the groups that the provider tells of a person."""
    assert httpx.put(f"{issuer}/groups/{login}", json=list(groups), trust_env=False).status_code == 200


def rotate_keys(issuer: str) -> None:
    """Have the provider sign with a new key from now on, and publish no other."""
    assert httpx.put(f"{issuer}/keys", trust_env=False).status_code == 200


def go_through(
    browser: Browser, issuer: str, start: str, login: str, is_there: Callable[[str], bool]
) -> httpx.Response:
    """Go through the provider's pages as a person does, until an address to which it leads is there, or a page is another's."""
    shown = browser.get(start, headers=NAVIGATION)
    for _ in range(12):
        if shown.is_redirect:
            target = urljoin(str(shown.url), shown.headers["location"])
            if is_there(target):
                return shown
            shown = browser.get(target, headers=NAVIGATION)
        elif not str(shown.url).startswith(issuer):
            return shown
        else:
            action = re.search(r'<form[^>]*action="([^"]+)"', shown.text)
            assert action, shown.text
            form = dict(re.findall(r'name="(\w+)" value="(\w*)"', shown.text))
            if "login" in shown.text and form.get("prompt") != "consent":
                form |= {"prompt": "login", "login": login, "password": "x"}
            shown = browser.post(urljoin(str(shown.url), unescape(action[1])), data=form)
    raise AssertionError(shown.text)
