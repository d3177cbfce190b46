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
#   "PIPEDREAM_GOOGLE_SHEETS_ACCESS"
# ]
# [tool.codewords]
# example = {sheet = "1AbCdEfGhIjKlMnOpQrStUvWxYz", worksheet = "Sheet1", row = ["2026-05-03", "Ada", 12]}
# ///

"""Add a row to a Google Sheet, in the order of its columns, with the Google account that you connected or a token of your own."""

from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="Sheet row", description=__doc__)


class Row(BaseModel):
    sheet: str = Field(pattern=r"^[\w-]{10,100}$", description="The id of the spreadsheet: what stands between /d/ and /edit in its address.")
    worksheet: str = "Sheet1"
    row: list[str | int | float | bool | None] = Field(min_length=1, max_length=100)


class Added(BaseModel):
    added: bool
    answer: Any = Field(description="What Google says.")


@app.post("/", response_model=Added)
async def add(asked: Row) -> Added:
    """It writes with your own token. Of an account connected by Pipedream the action is google_sheets-add-single-row."""
    logger.info("STEPLOG START add")
    props = {"spreadsheet_id": asked.sheet, "range": asked.worksheet, "values": [asked.row]}
    done = await service("pipedream", {"app": "google_sheets", "action": "append-rows", "props": props})
    return Added(added=True, answer=done.get("ret"))


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
