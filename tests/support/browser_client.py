"""A person at a browser, for tests of pages: signed in as a person would be, and saying where its forms come from."""

from __future__ import annotations

from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from tests.support.certificates import TRUSTS_NONE

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
OPENED = NAVIGATION | {"Sec-Fetch-Site": "none"}
"""What a browser sends that was started with an address."""


class Browser(httpx.Client):
    """An HTTP client that sends what a browser sends, and has no key."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("verify", TRUSTS_NONE)
        super().__init__(timeout=60, trust_env=False, **options)

    def __enter__(self) -> Self:
        return self  # it may have been used before: signing in does

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def look(self, url: str, **headers: str) -> httpx.Response:
        """Open an address."""
        return self.get(url, headers=OPENED | headers, follow_redirects=True)

    def sign_in(self, url: str, key: str, page: str = "/") -> None:
        """As the holder of a key, at the runtime of this address."""
        made = self.post(f"{url}/sign-ins", json={"page": page}, headers={"Authorization": f"Bearer {key}"})
        assert made.status_code == 200, made.text
        answer = self.look(made.json()["url"])
        assert answer.status_code == 200, answer.text

    def submit(self, url: str, data: Any = None, **more: Any) -> httpx.Response:
        """Send a form from the page at this very address."""
        parts = urlsplit(url)
        origin = {"Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin"}
        headers = NAVIGATION | origin | more.pop("headers", {})
        form = {"content": data} if isinstance(data, bytes) else {"data": data}
        return self.post(url, headers=headers, **form, **more)


def sign_in(url: str, key: str, page: str = "/", **options: Any) -> Browser:
    """A browser in which the holder of a key is signed in, as `codewords open` does it."""
    browser = Browser(**options)
    browser.sign_in(url, key, page)
    return browser
