# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "LOGLEVEL=INFO"]
# ///
import os

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Hello")


class Person(BaseModel):
    name: str


@app.post("/")
async def hello(person: Person) -> dict[str, str]:
    print(f"greeting {person.name}", flush=True)
    return {"message": f"Hello {person.name}!"}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
