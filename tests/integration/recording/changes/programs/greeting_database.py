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
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI"]
# ///

"""Greet somebody. Its recording says that it spoke to a database, too."""

from codewords_client import run_service
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Greeting with a database")


class Person(BaseModel):
    name: str


@app.post("/")
async def greet(person: Person) -> dict[str, str]:
    return {"message": f"Hello {person.name}!"}


if __name__ == "__main__":
    run_service(app)
