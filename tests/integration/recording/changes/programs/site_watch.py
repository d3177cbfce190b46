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
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI"]
# ///

"""Compare a site with what it was, and tell a channel. Texts of people are plain, for people to read."""

from datetime import UTC, datetime

import httpx
from codewords_client import AsyncCodewordsClient, run_service
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

app = FastAPI(title="Site watch")


class Watch(BaseModel):
    url: str
    channel: str
    retries: int = 3


@app.post("/", response_class=PlainTextResponse)
async def watch(request: Watch) -> str:
    page = await fetch(request.url, request.retries)
    async with AsyncCodewordsClient() as client:
        key = f"site_watch:{request.url}"
        before = (await client.run("redis_coordinator", {"action": "get", "key": key})).json()["value"]
        verdict = (
            await client.run(
                "anthropic",
                {
                    "model": "claude-3-5-haiku-20241022",
                    "prompt": f"Compare.\nBefore:\n{before}\nNow:\n{page}",
                    "example_output": {"changed": True, "summary": "text"},
                },
            )
        ).json()["response"]
        if verdict["changed"]:
            text = f"Changed: {request.url}\n{verdict['summary']}"
            await client.run(
                "pipedream",
                {
                    "app_slug": "slack",
                    "action_name": "send-message",
                    "props": {"channel": request.channel, "text": text},
                },
            )
            await client.run(
                "redis_coordinator", {"action": "set", "key": key, "value": page, "ttl": 2592000}
            )
    return f"Checked {request.url} on {datetime.now(UTC):%d %B %Y at %H:%M:%S}: {verdict['summary']}"


async def fetch(url: str, retries: int) -> str:
    async with httpx.AsyncClient(timeout=20, follow_redirects=True) as http:
        for _ in range(retries):
            response = await http.get(url)
            if response.status_code < 500:
                break
    return response.text


if __name__ == "__main__":
    run_service(app)
