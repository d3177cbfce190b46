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
#   "CODEWORDS_RUNTIME_URI",
#   "CHAT_WEBHOOK_URL"
# ]
# [tool.codewords]
# example = {feed = "https://example.com/feed.xml"}
# ///

"""Post what is new in an RSS or Atom feed to a channel in Slack, Discord, Mattermost or Teams, by its incoming webhook."""

import asyncio
import os
from typing import Any
from xml.etree import ElementTree

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

KEPT = 1000
MAX_FEED = 5_000_000

app = FastAPI(title="RSS to chat", description=__doc__)


class Feed(BaseModel):
    feed: str
    most: int = Field(5, ge=1, le=20, description="Posts of one run; the rest waits for the next.")


class Entry(BaseModel):
    title: str
    link: str
    feed: str


class Posted(BaseModel):
    posted: list[Entry]
    waiting: int


@app.post("/", response_model=Posted)
async def post(asked: Feed) -> Posted:
    """Post each new entry once, the oldest first. Run it by a schedule."""
    logger.info("STEPLOG START read")
    async with httpx.AsyncClient(follow_redirects=True, timeout=20) as http:
        found = await read(http, asked.feed, asyncio.Semaphore(1))
        if found is None:
            raise HTTPException(status_code=502, detail="The feed cannot be read.")
        place = f"rss_to_chat:{asked.feed}"[:500]
        seen: list[str] = (await service("redis_coordinator", {"action": "get", "key": place}))["value"] or []
        new = [one for one in reversed(found) if one.link not in seen]
        logger.info("STEPLOG START post", new=len(new))
        for one in new[: asked.most]:
            text = f"{one.title}\n{one.link}"
            # Slack, Mattermost and Teams read `text`, Discord `content`
            reply = await http.post(os.environ["CHAT_WEBHOOK_URL"], json={"text": text, "content": text})
            if reply.is_error:
                raise HTTPException(status_code=502, detail=f"The channel answered {reply.status_code}.")
            seen = [one.link, *seen][:KEPT]  # kept after each post, so that none is posted twice
            await service("redis_coordinator", {"action": "set", "key": place, "value": seen})
    return Posted(posted=new[: asked.most], waiting=max(0, len(new) - asked.most))


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
