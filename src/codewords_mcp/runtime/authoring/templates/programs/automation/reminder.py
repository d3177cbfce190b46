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
# example = {email = "ann@example.org", subject = "Your offer", text = "Please have a look.", after = "3d"}
# ///

"""Send a message now and a reminder some days later, unless the person says in between that it is settled; nothing runs meanwhile."""

from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="Reminder", description=__doc__)


class Message(BaseModel):
    email: str
    subject: str = Field(min_length=1, max_length=150)
    text: str = Field(min_length=1, max_length=20_000)
    reminder: str = Field("This is to remind you of my message.", max_length=20_000)
    after: str | float = Field("3d", description="Seconds, or 30m, 4h, 3d.")


class Sent(BaseModel):
    settled: bool = Field(description="Somebody opened the link; no reminder was sent.")
    reminded: bool
    mailed: bool = Field(description="Whether a mail server took them; without one they wait in the outbox.")


@app.post("/", response_model=Sent)
async def send(asked: Message) -> Sent:
    """Run it in the background: it waits without a sandbox, also over a restart."""
    address = await service("wait", {"new_webhook": True})
    logger.info("STEPLOG START mail")
    text = f"{asked.text}\n\nSettled? Then send a POST to {address['url']}"
    first = await service("send_email", {"to": asked.email, "subject": asked.subject, "text": text})
    logger.info("STEPLOG START wait")
    over = await service("wait", {"for_webhook": address["id"], "timeout": asked.after})
    if over["status"] == "received":
        return Sent(settled=True, reminded=False, mailed=first["delivered"])
    logger.info("STEPLOG START remind")
    second = await service("send_email", {"to": asked.email, "subject": f"Reminder: {asked.subject}"[:150], "text": asked.reminder})
    return Sent(settled=False, reminded=True, mailed=first["delivered"] and second["delivered"])


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
