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
# example = {people = [{name = "Ada Example", domain = "example.org"}]}
# ///

"""Find the e-mail addresses of people at companies, and say which of them take mail, by Hunter."""

import asyncio
from typing import Any

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

AT_ONCE = 4

app = FastAPI(title="Find e-mail addresses", description=__doc__)


class Person(BaseModel):
    name: str | None = Field(None, max_length=100, description="None: the addresses of the company.")
    domain: str = Field(pattern=r"^[\w.-]+\.\w+$")


class People(BaseModel):
    people: list[Person] = Field(min_length=1, max_length=50)


class Address(BaseModel):
    domain: str
    name: str | None = None
    email: str
    score: int | None = Field(None, description="How sure Hunter is, up to 100.")
    status: str | None = Field(None, description="valid, accept_all, unknown, invalid …; pending while it is being checked.")


class Addresses(BaseModel):
    found: list[Address]
    missing: list[str] = Field(description="People without an address.")


@app.post("/", response_model=Addresses)
async def find(asked: People) -> Addresses:
    """Each person costs one search and one check of your plan."""
    logger.info("STEPLOG START find", people=len(asked.people))
    turns = asyncio.Semaphore(AT_ONCE)
    found = await asyncio.gather(*(find_one(person, turns) for person in asked.people))
    missing = [person.name or person.domain for person, one in zip(asked.people, found, strict=True) if not one]
    return Addresses(found=[address for one in found for address in one], missing=missing)


async def find_one(person: Person, turns: asyncio.Semaphore) -> list[Address]:
    async with turns:
        if person.name is None:
            listed = (await service("hunter", {"domain": person.domain, "limit": 10}, "domain_search"))["data"]["emails"]
            return [Address(domain=person.domain, email=one["value"]) for one in listed]
        data = (await service("hunter", {"domain": person.domain, "full_name": person.name}, "find_email"))["data"]
        if not data.get("email"):
            return []
        checked = await service("hunter", {"email": data["email"]}, "verify_email")
    status = "pending" if checked.get("pending") else checked["data"].get("status")
    return [Address(domain=person.domain, name=person.name, email=data["email"], score=data.get("score"), status=status)]


async def service(name: str, inputs: dict[str, Any], path: str = "") -> Any:
    """A library service's answer; where it refuses, the run ends with its status and words."""
    async with AsyncCodewordsClient() as client:
        reply = await client.run(service_id=name, path=path, inputs=inputs)
        reply.raise_for_status()
        return reply.json()


if __name__ == "__main__":
    run_service(app)
