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
# example = {url = "https://example.com/", limit = 50}
# ///

"""Find the links of a page that lead nowhere."""

import asyncio
from typing import Any

import httpx
from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

AT_ONCE = 8

app = FastAPI(title="Broken links", description=__doc__)


class Page(BaseModel):
    url: str
    limit: int = Field(100, ge=1, le=500, description="Links that are followed.")


class Broken(BaseModel):
    url: str
    status: int | None = Field(description="Null where nothing answered.")
    problem: str


class Report(BaseModel):
    checked: int
    skipped: int = Field(description="Beyond the limit.")
    broken: list[Broken]


@app.post("/", response_model=Report)
async def check(page: Page) -> Report:
    """Read the page, then ask for each of its links."""
    logger.info("STEPLOG START read")
    found = (await service("webpage_to_markdown", {"url": page.url, "main_content": False}))["links"]
    links = list(dict.fromkeys(link.partition("#")[0] for link in found if link.startswith(("http://", "https://"))))
    logger.info("STEPLOG START follow", links=len(links))
    turns = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(follow_redirects=True, timeout=15) as http:
        told = await asyncio.gather(*(follow(http, link, turns) for link in links[: page.limit]))
    return Report(
        checked=len(told), skipped=max(0, len(links) - page.limit), broken=[one for one in told if one is not None]
    )


async def follow(http: httpx.AsyncClient, link: str, turns: asyncio.Semaphore) -> Broken | None:
    """None for a link that leads somewhere. Sites that turn programs away (401, 403, 429) count as there."""
    async with turns:
        try:
            async with http.stream("GET", link) as reply:
                status = reply.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Broken(url=link, status=None, problem=type(error).__name__)
    gone = status >= 400 and status not in {401, 403, 429}
    return Broken(url=link, status=status, problem=f"it answers {status}") if gone else None


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
