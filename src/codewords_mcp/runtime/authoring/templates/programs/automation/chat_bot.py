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
# example = {session = "ada", message = "Hello, my name is Ada."}
# ///

"""A chat bot with a memory for each session, a persona that you write, and a way to begin anew."""

from typing import Any, Literal

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

MODEL = "gpt-4o-mini"
PERSONA = "You are a helpful assistant of a small shop. Answer in at most five sentences. Say so where you do not know."
REMEMBERED = 30
KEPT = 30 * 86400

app = FastAPI(title="Chat bot", description=__doc__)


class Message(BaseModel):
    session: str = Field(pattern=r"^[\w.@-]{1,100}$", description="Who is talking.")
    message: str = Field(min_length=1, max_length=8000)


class Turn(BaseModel):
    role: Literal["user", "assistant"]
    text: str


class Reply(BaseModel):
    reply: str
    turns: int = Field(description="Of this session, as far as they are remembered.")


class Session(BaseModel):
    session: str = Field(pattern=r"^[\w.@-]{1,100}$")


class Forgotten(BaseModel):
    forgotten: bool


@app.post("/", response_model=Reply)
async def chat(asked: Message) -> Reply:
    """Recall, answer, remember."""
    place = f"chat_bot:{asked.session}"
    turns = [Turn(**one) for one in (await service("redis_coordinator", {"action": "get", "key": place}))["value"] or []]
    logger.info("STEPLOG START answer", turns=len(turns))
    said = "\n".join(f"{one.role}: {one.text}" for one in turns)
    prompt = f"The conversation so far:\n{said or '(none)'}\n\nuser: {asked.message}\nWhat does the assistant answer?"
    reply = (await service("openai", {"model": MODEL, "system": PERSONA, "prompt": prompt}))["response"]
    turns = [*turns, Turn(role="user", text=asked.message), Turn(role="assistant", text=reply)][-REMEMBERED:]
    value = [one.model_dump() for one in turns]
    await service("redis_coordinator", {"action": "set", "key": place, "value": value, "ttl": KEPT})
    return Reply(reply=reply, turns=len(turns))


@app.post("/forget", response_model=Forgotten)
async def forget(asked: Session) -> Forgotten:
    """Begin anew."""
    done = await service("redis_coordinator", {"action": "delete", "key": f"chat_bot:{asked.session}"})
    return Forgotten(forgotten=done["success"])


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
