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
# example = {email = "ann@example.org"}
# ///

"""A members' page: people sign in with a code that they get by mail, without a password, and see what is theirs."""

from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

TABLES = ["CREATE TABLE orders (email TEXT NOT NULL, title TEXT NOT NULL, at TEXT NOT NULL)"]

app = FastAPI(title="Member login", description=__doc__)


class Begin(BaseModel):
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")


class Begun(BaseModel):
    login_id: str = Field(description="Kept by the page until the code is typed.")
    mailed: bool = Field(description="Whether a mail server took it; without one it waits in the outbox.")


class Code(BaseModel):
    login_id: str
    code: str = Field(pattern=r"^\d{6}$")


class Session(BaseModel):
    session_token: str


class Mine(BaseModel):
    email: str
    orders: list[dict[str, Any]]


@app.post("/", response_model=Begun)
async def begin(asked: Begin) -> Begun:
    """The answer is the same for every address. To let in few, give `allowed` with their addresses."""
    logger.info("STEPLOG START code")
    begun = await service("user_login", {"email": asked.email, "title": app.title}, "start")
    return Begun(login_id=begun["login_id"], mailed=begun["delivered"])


@app.post("/verify", response_model=Session)
async def verify(asked: Code) -> Session:
    session = await service("user_login", asked.model_dump(), "verify")
    if not session["success"]:
        raise HTTPException(status_code=401, detail="The code is wrong or too old.")
    return Session(session_token=session["session_token"])


@app.post("/mine", response_model=Mine)
async def show(asked: Session) -> Mine:
    """Notes of the person who is signed in."""
    session = await service("user_login", asked.model_dump(), "me")
    if not session["success"]:
        raise HTTPException(status_code=401, detail="The session is over.")
    email = session["user"]["email"]
    select = "SELECT title, at FROM orders WHERE email = ? ORDER BY at DESC LIMIT 100"
    found = await service("database", {"migrate": TABLES, "sql": select, "parameters": [email]})
    return Mine(email=email, orders=found["rows"])


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
