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
# example = {query = "backup", subreddit = "selfhosted", email = "you@example.com"}
# ///

"""Watch Reddit for posts about a subject, in one subreddit or in all, and mail those that are new since the last run."""

from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

KEPT = 1000

app = FastAPI(title="Reddit watch", description=__doc__)


class Watch(BaseModel):
    query: str = Field(min_length=2, max_length=200)
    subreddit: str | None = Field(None, pattern=r"^\w{2,30}$")
    email: str | None = None


class Post(BaseModel):
    id: str
    title: str
    link: str
    score: int | None = None


class News(BaseModel):
    posts: list[Post]
    mailed: bool = Field(False, description="Whether a mail server took it; without one it waits in the outbox.")


@app.post("/", response_model=News)
async def watch(asked: Watch) -> News:
    """Run it by a schedule. The first run tells all of the last week."""
    logger.info("STEPLOG START search")
    inputs: dict[str, Any] = {"query": asked.query, "sort": "new", "time": "week", "limit": 50}
    if asked.subreddit:
        inputs["subreddit"] = asked.subreddit
    found = (await service("reddit", inputs, "search"))["posts"]
    place = f"reddit_watch:{asked.subreddit or ''}:{asked.query}"
    seen: list[str] = (await service("redis_coordinator", {"action": "get", "key": place}))["value"] or []
    new = [post_of(one) for one in found if one["id"] not in seen]
    mailed = False
    if new and asked.email:
        logger.info("STEPLOG START mail", posts=len(new))
        text = "\n\n".join(f"{one.title}\n{one.link}" for one in new)
        mailed = (await service("send_email", {"to": asked.email, "subject": f"{len(new)} new posts: {asked.query}"[:150], "text": text}))["delivered"]
    await service("redis_coordinator", {"action": "set", "key": place, "value": [*(one.id for one in new), *seen][:KEPT]})
    return News(posts=new, mailed=mailed)


def post_of(post: dict[str, Any]) -> Post:
    link = f"https://www.reddit.com{post.get('permalink') or '/comments/' + post['id']}"
    return Post(id=post["id"], title=post.get("title") or "", link=link, score=post.get("score"))


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
