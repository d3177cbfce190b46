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
# example = {title = "Pens for the office", amount = 12, automatic_below = 50}
# ///

"""Ask for an approval: a person decides in the inbox or by a message, with a comment; the run waits for days without a sandbox. Run it in the background."""

from typing import Any, Literal

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="Approvals", description=__doc__)

COMMENT = {"type": "object", "properties": {"comment": {"type": "string", "maxLength": 2000, "default": ""}}}


class Request(BaseModel):
    title: str = Field(min_length=1, max_length=190)
    amount: float | None = None
    details: str = Field("", max_length=10_000)
    automatic_below: float | None = Field(None, description="Amounts below this are approved at once.")
    notify: dict[Literal["email", "slack", "whatsapp"], list[str]] = Field(
        default_factory=dict, description='People who are sent the question and may answer it, as {"email": ["ann@example.org"]}.'
    )
    deadline: str = Field("7d", description="How long a person has: 30m, 4h, 3d. It is declined after that.")


class Decision(BaseModel):
    title: str
    status: Literal["approved", "declined"]
    comment: str = ""
    decided_by: str | None = Field(None, description="The person; none where the limit or the deadline decided.")
    decided_at: str | None = None


@app.post("/", response_model=Decision)
async def ask_for(asked: Request) -> Decision:
    """Answers when it is decided."""
    if asked.automatic_below is not None and asked.amount is not None and asked.amount < asked.automatic_below:
        return Decision(title=asked.title, status="approved", comment="below the limit")
    logger.info("STEPLOG START ask")
    lines = [*([f"Amount: {asked.amount:.2f}"] if asked.amount is not None else []), asked.details]
    question = {
        "title": asked.title,
        "details": "\n\n".join(filter(None, lines)),
        "options": ["approve", "decline"],
        "fields": COMMENT,
        "timeout": asked.deadline,
        "default": "decline",
        "notify": asked.notify,
    }
    reply = await ask(question)
    # From here on the run goes on, perhaps days later: pay, publish or send here.
    return Decision(
        title=asked.title,
        status="approved" if reply["answer"] == "approve" else "declined",
        comment=(reply["fields"] or {}).get("comment", "") if reply["answered_by"] else "nobody answered in time",
        decided_by=reply["answered_by"],
        decided_at=reply["answered_at"],
    )


async def ask(question: dict[str, Any]) -> dict[str, Any]:
    """The answer of a person, or of the deadline."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id="approvals", path="", inputs=question)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
