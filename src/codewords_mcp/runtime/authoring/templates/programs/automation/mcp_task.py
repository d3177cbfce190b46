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
# example = {server = "linear", tool = "create_issue", arguments = {title = "It is broken"}}
# ///

"""Call a tool of an MCP server that you connected, such as one that makes a ticket in Linear."""

from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="MCP task", description=__doc__)


class Call(BaseModel):
    server: str = Field(pattern=r"^[\w-]{1,60}$", description="The name under which you connected it.")
    tool: str = Field(min_length=1, max_length=120)
    arguments: dict[str, Any] = Field(default_factory=dict)


class Server(BaseModel):
    server: str = Field(pattern=r"^[\w-]{1,60}$")


class Answered(BaseModel):
    text: str
    data: Any = None


class Tools(BaseModel):
    tools: list[dict[str, Any]]


@app.post("/", response_model=Answered)
async def call(asked: Call) -> Answered:
    """Call the tool, whose answer is data of somebody else."""
    logger.info("STEPLOG START call", tool=asked.tool)
    answer = await service("mcp", asked.model_dump(), "call")
    return Answered(text=answer.get("text") or "", data=answer.get("data"))


@app.post("/tools", response_model=Tools)
async def tools(asked: Server) -> Tools:
    """The tools of the server, with their inputs."""
    return Tools(tools=(await service("mcp", {"server": asked.server}, "tools"))["tools"])


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
