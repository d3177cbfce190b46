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
# example = {url = "https://example.com/", task = "Find the opening hours."}
# ///

"""Let a model do a task on a web site in a browser, as a person would: search a portal, look up stock, fill in a form."""

from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="Web task", description=__doc__)


class Task(BaseModel):
    url: str = Field(pattern=r"^https?://")
    task: str = Field(min_length=3, max_length=2000)
    most_steps: int = Field(12, ge=1, le=30)


class Outcome(BaseModel):
    done: bool
    answer: str
    steps: int
    cost: float | None = Field(None, description="USD of the model's calls.")


@app.post("/", response_model=Outcome)
async def carry_out(asked: Task) -> Outcome:
    """Give it no task whose failure would hurt: a page can try to mislead the model."""
    logger.info("STEPLOG START task")
    inputs = {"url": asked.url, "instructions": asked.task, "max_steps": asked.most_steps}
    done = await service("web_automation_agent", inputs)
    return Outcome(done=done["success"], answer=str(done["result"]), steps=len(done["steps"]), cost=done.get("cost"))


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
