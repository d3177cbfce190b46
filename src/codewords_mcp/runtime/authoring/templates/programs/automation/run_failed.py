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
# example = {run_id = "0123456789abcdef", workflow_id = "report_99115e9a", status = "failed", error = {message = "KeyError: total"}}
# ///

"""Tell a chat channel when a workflow of yours fails, and why. Start it by the trigger run_ended, or name it as on_failure."""

import os
from typing import Any

import httpx
from codewords_client import logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

app = FastAPI(title="Run failed", description=__doc__)


class EndedRun(BaseModel):
    """The record of a run as the trigger gives it, and more fields that are not used."""

    run_id: str
    workflow_id: str | None = None
    status: str
    error: dict[str, Any] | None = None
    completed_at: str | None = None


class Report(BaseModel):
    told: bool = Field(description="False for a run that succeeded.")
    text: str


@app.post("/", response_model=Report)
async def tell(run: EndedRun) -> Report:
    """The reason in a line, and where to look further."""
    if run.status == "succeeded":
        return Report(told=False, text="")
    reason = (run.error or {}).get("message") or "No reason is known."
    text = f"{run.workflow_id or 'A workflow'}: {run.status}. {reason}\nRun {run.run_id}" + (f", {run.completed_at}" if run.completed_at else "")
    logger.info("STEPLOG START post")
    try:
        async with httpx.AsyncClient(timeout=15) as http:
            # Slack, Mattermost and Teams read `text`, Discord `content`
            reply = await http.post(os.environ["CHAT_WEBHOOK_URL"], json={"text": text, "content": text})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise HTTPException(status_code=502, detail=f"The channel can't be reached: {type(error).__name__}.") from error
    if reply.is_error:
        raise HTTPException(status_code=502, detail=f"The channel answered {reply.status_code}.")
    return Report(told=True, text=text)


if __name__ == "__main__":
    run_service(app)
