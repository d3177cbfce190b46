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

"""Words drawn by lot: no two runs say the same."""

import random

from codewords_client import run_service
from fastapi import FastAPI
from pydantic import BaseModel

WORDS = "amber birch cedar delta ember fjord grove heath inlet jetty knoll larch marsh north ocean prairie quay river".split()
app = FastAPI(title="Lottery")


class Person(BaseModel):
    name: str


@app.post("/")
async def draw(person: Person) -> dict[str, str]:
    random.shuffle(WORDS)
    return {"name": person.name, "poem": " ".join(WORDS)}


if __name__ == "__main__":
    run_service(app)
