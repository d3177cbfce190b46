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
# example = {url = "https://example.com/"}
# ///

"""Read the tables of a page that is built by JavaScript: a browser renders it, and each table comes as rows."""

import re
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

CELL = re.compile(r"(?<!\\)\|")

app = FastAPI(title="Rendered page", description=__doc__)


class Page(BaseModel):
    url: str = Field(pattern=r"^https?://")


class Tables(BaseModel):
    title: str
    tables: list[list[dict[str, str]]] = Field(description="Rows by the names of their columns.")
    text: str = Field(description="The page as Markdown, its first 20,000 characters.")


@app.post("/", response_model=Tables)
async def read(page: Page) -> Tables:
    """Needs a browser on the runtime's machine."""
    logger.info("STEPLOG START render")
    found = await service("webpage_to_markdown", {"url": page.url, "render": True, "main_content": False})
    logger.info("STEPLOG START tables")
    return Tables(title=found["title"], tables=tables_of(found["markdown"]), text=found["markdown"][:20_000])


def tables_of(markdown: str) -> list[list[dict[str, str]]]:
    """A Markdown table is a line of names, a line of dashes, and a line a row."""
    tables: list[list[dict[str, str]]] = []
    for block in re.split(r"\n\s*\n", markdown):
        lines = [cells(line) for line in block.splitlines() if line.lstrip().startswith("|")]
        if len(lines) > 1 and all(set(cell) <= set("-: ") for cell in lines[1]):
            tables.append([dict(zip(lines[0], row, strict=False)) for row in lines[2:]])
    return tables


def cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in CELL.split(line.strip().strip("|"))]


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
