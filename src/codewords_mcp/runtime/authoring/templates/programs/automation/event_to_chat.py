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
# example = {fields = {Name = "Ada", Amount = 12}, created_at = "2026-05-03T10:00:00Z"}
# ///

"""Tell a chat channel of each event: a new row in a sheet, Airtable or Notion, a changed deal in HubSpot, a new item of a feed. Start it by any trigger."""

import json
import os
from typing import Any

import httpx
from codewords_client import logger, run_service
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

HEADLINES = ("title", "name", "subject", "url", "link", "id", "row")
NESTED = ("fields", "values", "properties")
MOST = 12

app = FastAPI(title="Event to chat", description=__doc__)


class Message(BaseModel):
    text: str = Field(description="What was posted.")


@app.post("/", response_model=Message)
async def tell(event: dict[str, Any], request: Request) -> Message:
    """Any event: its headline, its fields, and the trigger's kind."""
    text = describe(event, request.headers.get("x-trigger-kind", "event"))
    logger.info("STEPLOG START post")
    try:
        async with httpx.AsyncClient(timeout=15) as http:
            # Slack, Mattermost and Teams read `text`, Discord `content`
            reply = await http.post(os.environ["CHAT_WEBHOOK_URL"], json={"text": text, "content": text})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise HTTPException(status_code=502, detail=f"The channel can't be reached: {type(error).__name__}.") from error
    if reply.is_error:
        raise HTTPException(status_code=502, detail=f"The channel answered {reply.status_code}.")
    return Message(text=text)


def describe(event: dict[str, Any], kind: str) -> str:
    """A headline and a line a field."""
    flat = {name: value for name, value in event.items() if name not in NESTED}
    for name in NESTED:
        if isinstance(event.get(name), dict):
            flat |= event[name]
    headline = next((f"{flat[name]}" for name in HEADLINES if flat.get(name)), "")
    lines = [f"{name}: {short(value)}" for name, value in flat.items() if value not in (None, "", [], {})]
    return "\n".join([f"New {kind}: {headline[:200]}".rstrip(": "), *lines[:MOST]])


def short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + "…"


if __name__ == "__main__":
    run_service(app)
