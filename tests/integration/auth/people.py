"""People who are members of a home, at browsers of their own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from tests.integration.auth.forging_issuer import ForgingIssuer
from tests.support.browser_client import NAVIGATION, Browser
from tests.support.http_runtime import Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings

HOME_KEY = "cwk-home"
"""The home's own key, in the settings of the door of a `Site`."""


class Site:
    """A runtime, as browsers reach it at `localhost`."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.url = f"http://localhost:{door.port}"
        self.home = door.client(HOME_KEY)


@contextmanager
def serving_site(folder: Path, database_url: str | None = None) -> Generator[Site]:
    """A site with a home of its own in a folder, on SQLite or on a database of PostgreSQL."""
    home = make_home(folder / "home")
    settings = {"home": home, "port": 0, "api_key": HOME_KEY, "database_url": database_url}
    with Door(Settings.model_validate(settings)) as door:
        site = Site(door)
        yield site
        site.home.close()


class Person:
    """A member who followed the link of an invitation."""

    def __init__(self, site: Site, name: str, role: str = "author") -> None:
        self.site, self.name = site, name
        invited = site.home.post("/members", json={"name": name, "role": role})
        assert invited.status_code == 201, invited.text
        self.id = invited.json()["member"]["id"]
        self.browser = Browser(base_url=site.url)
        joined = self.browser.submit(invited.json()["url"].replace("127.0.0.1", "localhost"))
        assert joined.status_code == 303, joined.text

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """As the console asks."""
        own = {"Origin": self.site.url, "Sec-Fetch-Site": "same-origin", "X-Codewords-Console": "1"}
        return self.browser.request(method, path, json=body, headers=own | headers)

    def leave(self) -> None:
        """Be removed."""
        self.site.home.delete(f"/members/{self.id}")
        self.browser.close()


def begin(url: str, issuer: ForgingIssuer, browser: Browser) -> str:
    """Begin a sign-in: its state. The issuer learns its nonce."""
    led = browser.get(f"{url}/oidc/sign-in", headers=NAVIGATION)
    assert led.status_code == 303
    query = {name: values[0] for name, values in parse_qs(urlsplit(led.headers["location"]).query).items()}
    assert query["code_challenge_method"] == "S256"
    assert query["redirect_uri"] == f"{url}/oidc/callback"
    issuer.nonce = query["nonce"]
    return query["state"]


def come_back(url: str, browser: Browser, **query: str) -> httpx.Response:
    """Follow the issuer back to the runtime, as a browser does."""
    return browser.get(
        f"{url}/oidc/callback", params=query, headers=NAVIGATION | {"Sec-Fetch-Site": "cross-site"}
    )
