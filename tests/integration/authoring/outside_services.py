"""What stands outside of the templates: a web site, feeds, a shop, a chat channel, HubSpot, GitHub's API."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.loopback_site import Answer, Asked, StandIn

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS

FEED = (
    "<rss><channel><item><title>Second &amp; last</title><link>https://news.example/2</link></item>"
    "<item><title>First</title><link>https://news.example/1</link></item></channel></rss>"
)
ATOM = '<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>Atom</title><link href="https://news.example/a"/></entry></feed>'
SHOP = '<html><head><script type="application/ld+json">{"@type":"Product","offers":{"price":"%s","priceCurrency":"EUR"}}</script></head><body><h1>Lamp</h1></body></html>'
PAGE = (
    "<html lang=en><head><title>Harbour</title><meta name=description content='Of the harbour'></head><body><main><h1>Harbour</h1>"
    "<p>The harbour opens at six in the morning on every day of the week, says the desk. Write to desk@harbour.example.</p>"
    "<p>{extra}</p><p><a href='/gone'>Old timetable</a> and <a href='/more'>the new timetable</a> are listed here.</p></main></body></html>"
)
PERSON = {
    "login": "ada",
    "html_url": "https://github.com/ada",
    "name": "Ada",
    "bio": "Parsers",
    "location": "Lisbon",
    "public_repos": 9,
    "followers": 4,
}
REPO = {
    "full_name": "ada/engine",
    "stargazers_count": 7,
    "open_issues_count": 2,
    "pushed_at": "2020-01-01T00:00:00Z",
    "license": None,
    "archived": True,
    "fork": False,
}
ISSUE = {
    "title": "It breaks",
    "html_url": "https://github.com/ada/engine/issues/1",
    "user": {"login": "bob"},
    "comments": 3,
}
SECRET = "the-webhook-secret-of-the-tests"


@dataclass
class World:
    """What stands outside. `inside` and `outside` are its addresses for a sandbox and for the runtime's services."""

    stand_in: StandIn
    pages: dict[str, Answer] = field(default_factory=dict[str, Answer])
    posted: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])

    @property
    def outside(self) -> str:
        return self.stand_in.url

    @property
    def inside(self) -> str:
        return f"http://{HOST_ALIAS}:{self.stand_in.url.rpartition(':')[2]}"

    def page(self, path: str, text: str | bytes, kind: str = "text/html", status: int = 200) -> None:
        body = text if isinstance(text, bytes) else text.encode()
        self.pages[path] = Answer(status, body, {"Content-Type": kind})

    def answer(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            self.posted.append((asked.path, json.loads(asked.body)))
            return Answer(200, b"{}", {"Content-Type": "application/json"})
        return self.pages.get(
            asked.path.partition("?")[0], Answer(404, b"gone", {"Content-Type": "text/plain"})
        )
