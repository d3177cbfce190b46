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
# example = {url = "https://example.com/", most = 20}
# ///

"""Read all pages of a web site, up to a number, into one Markdown file: its links are listed first, then each page is read."""

import asyncio
from typing import Any

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

AT_ONCE = 4

app = FastAPI(title="Site reader", description=__doc__)


class Site(BaseModel):
    url: str = Field(pattern=r"^https?://")
    most: int = Field(20, ge=1, le=100, description="Pages.")


class Reading(BaseModel):
    pages: int
    failed: list[str]
    file: str = Field(description="A link to the Markdown of all pages; it needs no key.")


@app.post("/", response_model=Reading)
async def read(site: Site) -> Reading:
    """By Firecrawl where its key is set, else by the runtime itself."""
    logger.info("STEPLOG START map")
    listed = await service("firecrawl", {"url": site.url, "limit": site.most}, "v1/map")
    links = [link if isinstance(link, str) else link["url"] for link in listed.get("links", [])]
    urls = list(dict.fromkeys([site.url, *links]))[: site.most]
    logger.info("STEPLOG START pages", count=len(urls))
    turns = asyncio.Semaphore(AT_ONCE)
    texts = await asyncio.gather(*(read_page(url, turns) for url in urls))
    content = "\n\n---\n\n".join(f"{url}\n\n{text}" for url, text in zip(urls, texts, strict=True) if text)
    file = await service("files", {"filename": "site.md", "content": content or "(nothing)", "content_type": "text/markdown"}, "upload")
    failed = [url for url, text in zip(urls, texts, strict=True) if text is None]
    return Reading(pages=len(urls) - len(failed), failed=failed, file=file["download_uri"])


async def read_page(url: str, turns: asyncio.Semaphore) -> str | None:
    """None for a page that can't be read."""
    try:
        async with turns:
            page = await service("firecrawl", {"url": url, "formats": ["markdown"], "onlyMainContent": True}, "v1/scrape")
    except httpx.HTTPStatusError as error:
        logger.warning("A page cannot be read", url=url, status=error.response.status_code)
        return None
    return str(page["data"].get("markdown") or "") if page.get("success") else None


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
