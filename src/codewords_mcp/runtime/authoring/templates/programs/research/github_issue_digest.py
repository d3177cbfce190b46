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
# example = {query = "repo:python/cpython is:issue is:open label:type-bug", email = "you@example.com"}
# ///

"""Mail the GitHub issues or pull requests that a search finds and the last digest did not have."""

from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

KEPT = 2000

app = FastAPI(title="GitHub issue digest", description=__doc__)


class Asked(BaseModel):
    query: str = Field(min_length=3, max_length=256, description="In GitHub's query language.")
    email: str | None = None
    most: int = Field(30, ge=1, le=100)


class Issue(BaseModel):
    title: str
    url: str
    author: str
    comments: int


class Digest(BaseModel):
    new: list[Issue]
    total: int = Field(description="All that the search finds.")
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")


@app.post("/", response_model=Digest)
async def digest(asked: Asked) -> Digest:
    """Search, leave out what was told, mail the rest. Run it by a schedule."""
    logger.info("STEPLOG START search")
    wanted = {"query": asked.query, "limit": asked.most, "sort": "created", "order": "desc"}
    found = await service("github", wanted, "search_issues")
    place = f"github_issue_digest:{asked.query}"[:500]
    seen: list[str] = (await service("redis_coordinator", {"action": "get", "key": place}))["value"] or []
    new = [issue_of(one) for one in found["items"] if one["html_url"] not in seen]
    mailed = False
    if asked.email and new:
        logger.info("STEPLOG START mail", issues=len(new))
        text = "\n\n".join(f"{one.title}\n{one.url}\nby {one.author}, {one.comments} comments" for one in new)
        mailed = (await service("send_email", {"to": asked.email, "subject": f"{len(new)} new issues", "text": text}))["delivered"]
    now = [*(one.url for one in new), *seen][:KEPT]
    await service("redis_coordinator", {"action": "set", "key": place, "value": now})
    return Digest(new=new, total=found["total_count"], mailed=mailed)


def issue_of(item: dict[str, Any]) -> Issue:
    """What a reader wants of it."""
    author = (item.get("user") or {}).get("login", "nobody")
    return Issue(title=item["title"], url=item["html_url"], author=author, comments=item.get("comments", 0))


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
