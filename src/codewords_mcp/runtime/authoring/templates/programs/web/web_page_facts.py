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
# example = {url = "https://example.com/"}
# ///

"""Fetch a web page and tell its title, its description and where it links to."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx
from codewords_client import logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field, HttpUrl

MAX_BYTES = 5_000_000

app = FastAPI(title="Web page facts", description=__doc__)


class PageRequest(BaseModel):
    url: HttpUrl = Field(description="The page to look at.")
    max_links: int = Field(20, ge=0, le=500, description="How many links to list.")


class PageFacts(BaseModel):
    url: str = Field(description="Where the page was in the end, after redirects.")
    status: int
    title: str | None
    description: str | None
    links: list[str]


@app.post("/", response_model=PageFacts)
async def look_at(request: PageRequest) -> PageFacts:
    """Fetch the page and read its head and its links."""
    address, status, html = await fetch(str(request.url))
    page = Page()
    page.feed(html)
    logger.info("Fetched", url=address, status=status, links=len(page.links))
    links = list(dict.fromkeys(urljoin(address, link) for link in page.links))
    return PageFacts(
        url=address,
        status=status,
        title=" ".join(page.title.split()) or None,
        description=page.description,
        links=links[: request.max_links],
    )


async def fetch(url: str) -> tuple[str, int, str]:
    """(final address, status, text), at most MAX_BYTES. Answers 502 where the page cannot be had."""
    try:
        async with httpx.AsyncClient(follow_redirects=True, timeout=20) as client, client.stream("GET", url) as response:
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    break
            return str(response.url), response.status_code, body[:MAX_BYTES].decode(response.encoding or "utf-8", errors="replace")
    except httpx.TimeoutException as error:
        raise HTTPException(status_code=504, detail="The page did not answer within 20 seconds.") from error
    except httpx.HTTPError as error:
        raise HTTPException(status_code=502, detail=f"The page cannot be fetched: {error}") from error


class Page(HTMLParser):
    """Collects a page's title, description and links."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.description: str | None = None
        self.links: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._in_title = tag == "title" and not self.title
        if tag == "meta" and (values.get("name") or "").lower() == "description":
            self.description = values.get("content")
        if tag == "a" and values.get("href"):
            self.links.append(values["href"] or "")

    def handle_endtag(self, tag: str) -> None:
        self._in_title = self._in_title and tag != "title"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data


if __name__ == "__main__":
    run_service(app)
