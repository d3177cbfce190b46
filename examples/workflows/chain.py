# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["codewords-client==0.4.11", "fastapi==0.115.12"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "LOGLEVEL=INFO", "CODEWORDS_API_KEY", "CODEWORDS_RUNTIME_URI", "SERVICE_ID"]
# ///

import os

from codewords_client import AsyncCodewordsClient, logger, run_service
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Chain")


class Who(BaseModel):
    name: str


@app.post("/shout")
async def shout(who: Who):
    return {"name": who.name.upper()}


@app.post("/")
async def chain(who: Who):
    logger.info("STEPLOG START shout", name=who.name)
    async with AsyncCodewordsClient() as client:
        loud = await client.run(os.environ["SERVICE_ID"], who, path="/shout")
        handle = await client.start_service(os.environ["SERVICE_ID"], data=loud, path="/shout")
        record = await handle.result()
    return {"loud": loud["name"], "background": record["responseJson"]}


if __name__ == "__main__":
    run_service(app)
