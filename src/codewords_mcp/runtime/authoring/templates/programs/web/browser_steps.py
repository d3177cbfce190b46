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
# example = {url = "https://example.com/", selector = "h1"}
# ///

"""Read a page by fixed steps in a browser, in your own signed-in Chrome if it is paired: open, click, type, and take values out."""

from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

app = FastAPI(title="Browser steps", description=__doc__)


class Steps(BaseModel):
    url: str = Field(pattern=r"^https?://")
    selector: str = Field("h1", max_length=300, description="CSS of the elements whose text is read.")
    click: str | None = Field(None, max_length=300, description="CSS of an element to click before, such as a banner's button.")
    search: str | None = Field(None, max_length=300, description="Typed into the field of `search_field`, and sent.")
    search_field: str = "input[type=search]"


class Found(BaseModel):
    texts: list[str]
    url: str | None = None


@app.post("/", response_model=Found)
async def read(asked: Steps) -> Found:
    """The first step that fails ends the run with its reason."""
    actions: list[dict[str, Any]] = [{"type": "navigate", "url": asked.url}]
    if asked.click:
        actions.append({"type": "click", "selector": asked.click, "optional": True})
    if asked.search:
        actions.append({"type": "type", "selector": asked.search_field, "text": asked.search, "submit": True})
    actions.append({"type": "wait", "selector": asked.selector})
    actions.append({"type": "extract", "selector": asked.selector, "name": "texts"})
    logger.info("STEPLOG START steps", count=len(actions))
    done = await service("chrome_extension", {"actions": actions}, "actions")
    if not done["success"]:
        failed = next((step for step in done["results"] if step.get("error")), {})
        raise HTTPException(status_code=502, detail=f"The step {failed.get('type', '')} failed: {failed.get('error', 'no reason')}")
    texts = done["data"].get("texts") or []
    return Found(texts=[texts] if isinstance(texts, str) else texts, url=done.get("url"))


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
