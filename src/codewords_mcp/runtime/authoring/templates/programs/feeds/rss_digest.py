# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "codewords-client==0.4.11",
#   "fastapi==0.115.12",
#   "httpx==0.28.1",
#   "pydantic==2.11.3",
#   "uvicorn[standard]==0.34.2"
# ]
# [tool.env-checker]
# env_vars = [
#   "PORT=8000",
#   "LOGLEVEL=INFO",
#   "CODEWORDS_API_KEY",
#   "CODEWORDS_RUNTIME_URI"
# ]
# [tool.codewords]
# example = {feeds = ["https://example.com/feed.xml"], email = "you@example.com"}
# ///

"""Mail what is new in several RSS or Atom feeds since the last digest."""

import asyncio
import html
from typing import Any
from xml.etree import ElementTree

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

AT_ONCE = 6
KEPT = 2000
MAX_FEED = 5_000_000

app = FastAPI(title="RSS digest", description=__doc__)


class Feeds(BaseModel):
    feeds: list[str] = Field(min_length=1, max_length=100)
    words: list[str] = Field([], description="Only entries with one of these words in their title.")
    email: str | None = None
    most: int = Field(50, ge=1, le=500, description="Entries of one digest.")


class Entry(BaseModel):
    title: str
    link: str
    feed: str


class Digest(BaseModel):
    entries: list[Entry]
    failed: list[str] = Field(description="Feeds that could not be read.")
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")


@app.post("/", response_model=Digest)
async def digest(asked: Feeds) -> Digest:
    """Read all feeds, leave out what was in a digest before, and mail the rest. Run it by a schedule."""
    logger.info("STEPLOG START read")
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(follow_redirects=True, timeout=20) as http:
        found = await asyncio.gather(*(read(http, url, turns) for url in asked.feeds))
    seen: list[str] = (await service("redis_coordinator", {"action": "get", "key": "rss_digest"}))["value"] or []
    known = set(seen)
    entries = {
        one.link: one
        for feed in found
        for one in feed or []
        if one.link not in known and (not asked.words or any(word.lower() in one.title.lower() for word in asked.words))
    }
    new = list(entries.values())[: asked.most]
    mailed = False
    if asked.email and new:
        logger.info("STEPLOG START mail", entries=len(new))
        text = "\n\n".join(f"{one.title}\n{one.link}" for one in new)
        page = "".join(f"<p><a href='{html.escape(one.link)}'>{html.escape(one.title)}</a></p>" for one in new)
        mailed = (await service("send_email", {"to": asked.email, "subject": f"{len(new)} new entries", "text": text, "html": page}))["delivered"]
    now = [*(one.link for one in new), *seen][:KEPT]
    await service("redis_coordinator", {"action": "set", "key": "rss_digest", "value": now})
    failed = [url for url, feed in zip(asked.feeds, found, strict=True) if feed is None]
    return Digest(entries=new, failed=failed, mailed=mailed)


async def read(http: httpx.AsyncClient, url: str, turns: asyncio.Semaphore) -> list[Entry] | None:
    """A feed's entries, the newest first; None where it cannot be read."""
    async with turns:
        try:
            reply = await http.get(url)
            reply.raise_for_status()
            if len(reply.content) > MAX_FEED or b"<!ENTITY" in reply.content:
                raise ValueError("too large, or with entities")
            root = ElementTree.fromstring(reply.content)
        except (httpx.HTTPError, httpx.InvalidURL, ElementTree.ParseError, ValueError) as error:
            logger.warning("A feed cannot be read", url=url, why=type(error).__name__)
            return None
    items = [one for one in root.iter() if one.tag.rpartition("}")[2] in {"item", "entry"}]
    return [entry for one in items if (entry := entry_of(one, url)).link]


def entry_of(item: ElementTree.Element, feed: str) -> Entry:
    """RSS has the link as text, Atom as an attribute."""
    parts = {part.tag.rpartition("}")[2]: part for part in reversed(item)}
    link, title = parts.get("link"), parts.get("title")
    address = "" if link is None else (link.text or link.get("href") or "").strip()
    return Entry(title=" ".join((title.text or "").split()) if title is not None else address, link=address, feed=feed)


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
