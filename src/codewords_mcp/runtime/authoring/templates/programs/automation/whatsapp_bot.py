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
# example = {entry = [{changes = [{value = {messages = [{from = "16315551181", type = "text", text = {body = "Are you open?"}}]}}]}]}
# ///

"""Answer messages that people send to your WhatsApp number, with a model that knows what you write about your business."""

from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

MODEL = "gpt-4o-mini"
ABOUT = "You answer for a small shop on WhatsApp. It opens from 9 to 18 on working days. Answer in two sentences; say that a person will call back where you do not know."

app = FastAPI(title="WhatsApp bot", description=__doc__)


class Notification(BaseModel):
    entry: list[dict[str, Any]]


class Reply(BaseModel):
    to: str
    text: str


class Replies(BaseModel):
    replies: list[Reply]


class Connected(BaseModel):
    url: str | None = Field(None, description="Give this to the app as its callback address.")


@app.post("/", response_model=Replies)
async def answer(sent: Notification) -> Replies:
    """WhatsApp's notification as it comes: it may hold several messages, and none."""
    values = [change.get("value", {}) for entry in sent.entry for change in entry.get("changes", [])]
    texts = [
        (message["from"], message["text"]["body"])
        for value in values
        for message in value.get("messages", [])
        if message.get("type") == "text"
    ]
    replies: list[Reply] = []
    for sender, text in texts:
        logger.info("STEPLOG START answer")
        reply = (await service("openai", {"model": MODEL, "system": ABOUT, "prompt": text[:4000]}))["response"]
        await service("whatsapp_trigger", {"to_phone_number": f"+{sender}", "message_text": reply}, "send_message")
        replies.append(Reply(to=sender, text=reply))
    return Replies(replies=replies)


@app.post("/connect", response_model=Connected)
async def connect() -> Connected:
    """Call this once: from then on messages start this workflow."""
    made = await service("whatsapp_trigger", {"event_type": "message", "path": "/"}, "register")
    return Connected(url=made.get("url"))


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
