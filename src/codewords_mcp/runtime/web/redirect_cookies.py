"""Cookies of one call: those that a redirect sets are sent to where it leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2


class RedirectCookies:
    """A cookie jar, which is made when the first redirect sets a cookie."""

    def __init__(self) -> None:
        self._jar: httpx2.Cookies | None = None

    def keep(self, target: httpx2.URL, set_cookies: Sequence[str]) -> None:
        """Keep the cookies that a response of `target` set."""
        if not set_cookies:
            return
        import httpx2

        if self._jar is None:
            self._jar = httpx2.Cookies()
        headers = [("set-cookie", value) for value in set_cookies]
        # The jar judges domain, path and age itself, and reads cookies from a response only.
        response = httpx2.Response(200, headers=headers, request=httpx2.Request("GET", target))
        self._jar.extract_cookies(response)

    def header_for(self, target: httpx2.URL) -> dict[str, str]:
        """Return the `cookie` header of a request to `target`; none without a cookie for it."""
        if self._jar is None:
            return {}
        import httpx2

        request = httpx2.Request("GET", target)
        self._jar.set_cookie_header(request)
        value = request.headers.get("cookie")
        return {"cookie": value} if value else {}
