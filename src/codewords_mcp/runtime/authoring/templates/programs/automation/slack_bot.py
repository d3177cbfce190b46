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
# example = {event = {type = "app_mention", text = "<@U1> when do you open?", channel = "C0123456", ts = "1.2"}}
# ///

"""A bot in Slack: answers who mentions it, in the thread, with a model and a persona that you write."""

import re
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

MODEL = "gpt-4o-mini"
PERSONA = "You are an assistant in the Slack of a small company. Answer in at most five sentences. Say so where you do not know."

app = FastAPI(title="Slack bot", description=__doc__)


class Event(BaseModel):
    type: str
    text: str = ""
    channel: str = ""
    ts: str | None = None
    thread_ts: str | None = None


class Envelope(BaseModel):
    event: Event


class Said(BaseModel):
    reply: str | None = Field(description="None for what is no question.")


class Connected(BaseModel):
    url: str | None = Field(None, description="Give this to Slack as the address of events, unless the app has SLACK_APP_TOKEN.")


@app.post("/", response_model=Said)
async def answer(sent: Envelope) -> Said:
    """Slack's event as it comes."""
    event = sent.event
    question = re.sub(r"<@\w+>", "", event.text).strip()
    if event.type != "app_mention" or not question:
        return Said(reply=None)
    logger.info("STEPLOG START answer")
    reply = (await service("openai", {"model": MODEL, "system": PERSONA, "prompt": question}))["response"]
    message: dict[str, Any] = {"channel": event.channel, "text": reply}
    if thread := event.thread_ts or event.ts:
        message["thread_ts"] = thread
    await service("slack_trigger", message, "send_message")
    return Said(reply=reply)


@app.post("/connect", response_model=Connected)
async def connect() -> Connected:
    """Call this once: from then on mentions of the bot start this workflow."""
    made = await service("slack_trigger", {"event_type": "app_mention", "path": "/"}, "register")
    return Connected(url=made.get("url"))


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
