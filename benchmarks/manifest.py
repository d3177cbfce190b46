"""How long does it take to read what a workflow may do, and what does a model pay to be told?

The derivation of a 200-line workflow that reaches out in many ways, beside the one thing that it adds to: parsing that
script and looking at it (`parse_script`). Then the seed's longest kind of program many times over, for growth. The tokens of
the ten lines are those of the fullest manifest that the lines allow, and of a usual one.

    python benchmarks/manifest.py [--quick] [--json]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from _bench import Question, interleave, options, report

sys.path.insert(0, str(Path(__file__).parent))
from tool_tokens import count

from codewords_mcp.runtime.model.manifest import Manifest, StoredSecret
from codewords_mcp.runtime.workflows.analysis import derive
from codewords_mcp.runtime.workflows.script import parse_script

HEADER = """# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi", "httpx", "asyncpg", "openai", "codewords-client"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "API_URL=https://api.example.com", "DATABASE_URL", "STRIPE_API_KEY", "OPENAI_API_KEY"]
# ///
import asyncio, os
import asyncpg, httpx, stripe
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel, HttpUrl
from codewords_client import AsyncCodewordsClient
app = FastAPI(title="Busy")
API = os.environ.get("API_URL", "https://fallback.example.com")
SITES = {"a": "https://a.example.com", "b": "https://b.example.com"}
model = AsyncOpenAI()
"""
PART = """
class Input{n}(BaseModel):
    query: str
    page: HttpUrl = "https://page{n}.example.com"
class Api{n}:
    def __init__(self, base: str = API, token: str | None = None):
        self.base = base.rstrip("/")
        self.http = httpx.AsyncClient(headers={{"Authorization": f"Bearer {{token}}"}})
    async def load(self, path: str):
        return (await self.http.get(f"{{self.base}}/{{path}}")).json()
async def store{n}(rows):
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await connection.executemany("INSERT INTO t VALUES ($1)", rows)
@app.post("/step{n}")
async def step{n}(data: Input{n}):
    api = Api{n}("https://part{n}.example.com/v1", token=os.environ.get("TOKEN"))
    found = await asyncio.gather(*(api.load(f"items/{{i}}") for i in range(3)))
    for name, site in SITES.items():
        async with httpx.AsyncClient(base_url=site) as client:
            found.append((await client.get("/" + data.query)).text)
    async with AsyncCodewordsClient() as c:
        await c.run("pipedream", inputs={{"app": "slack", "action": "send-message", "props": {{"text": str(found)}}}})
    stripe.Charge.create(amount=1, description=await store{n}(found))
    return {{"n": {n}, "found": found}}
"""


def script(lines: int) -> str:
    code, number = HEADER, 0
    while code.count("\n") < lines:
        code += PART.format(n=number)
        number += 1
    return code


FULL = Manifest(
    hosts=tuple(f"api{n}.some-vendor.example.com" for n in range(40)),
    addresses=("DATABASE_URL",),
    models=("anthropic", "gemini", "openai"),
    services=("*",),
    workflows=tuple(f"a_longer_name_{n}_0a1b2c3d" for n in range(20)),
    service_lines=(40, 90),
    schedules=("0 9 * * *",),
    actions=tuple(f"app{n}: create-something (writes)" for n in range(20)),
    connections=("hubspot", "slack"),
    secrets=tuple(StoredSecret(name=f"SECRET_NUMBER_{n}") for n in range(20)),
)


def main() -> int:
    chosen = options(__doc__ or "", runs=40, quick_runs=15)
    questions: list[Question] = []
    for lines, limit in ((200, 50.0), (1000, None)):
        code = script(lines)
        parsed = parse_script(code)

        def ours(parsed=parsed) -> float:
            began = time.perf_counter()
            found = derive(parsed)
            took = (time.perf_counter() - began) * 1000
            assert "part0.example.com" in found.manifest.hosts, found
            return took

        def peer(code: str = code) -> float:
            began = time.perf_counter()
            parse_script(code)
            return (time.perf_counter() - began) * 1000

        question = Question(
            f"deriving the manifest of {code.count(chr(10))} lines",
            "parse_script on the same code",
            "ms",
            None,
            at_most=limit,
        )
        interleave(question, ours, peer, chosen.runs)
        questions.append(question)
    usual = derive(parse_script(script(60))).manifest
    (full, told), how = count(["\n".join(FULL.lines()), "\n".join(usual.lines())])
    tokens = Question(
        f"the fullest manifest's ten lines, {how}", "a usual manifest's lines", "tokens", None, at_most=800
    )
    tokens.ours, tokens.peer = [float(full)], [float(told)]
    questions.append(tokens)
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
