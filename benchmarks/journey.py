"""What does a workflow's whole way over MCP cost a model? Calls and o200k tokens, step by step, and in all.

A scripted assistant (`_journey.py`) finds a template, has a brief, validates, edits, lets a person set a secret and connect
an app, deploys, runs, follows the log, mends a run that failed, schedules and rolls back, over HTTP in 2026-07-28. The model
pays for the tool list once, for what it writes, and for what it is shown: the text of a result, or its data in some hosts.

    python benchmarks/journey.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import httpx2
from _bench import options
from _door import served
from _journey import Assistant, Call, Person, steps
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from tool_tokens import count, our_tools, paid

from codewords_testing.pipedream import loopback_connect

BEFORE = {"shown": 4733, "data": 3161}
"""What this journey's results were in text and in data when it was first measured (2026-11)."""
TARGET = 2 / 3
COLUMNS = ("calls", "wrote", "shown", "data")


async def travel(url: str, key: str) -> list[Call]:
    """The calls of one journey."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=httpx2.Timeout(60)) as http,
        Client(
            streamable_http_client(f"{url}/mcp", http_client=http),
            mode="2026-07-28",
            elicitation_callback=Person(url, key),
        ) as client,
    ):
        assistant = Assistant(client)
        await assistant.go()
    return assistant.calls


def journey() -> list[Call]:
    """One journey on a runtime of its own, with the app's broker on loopback."""
    with (
        tempfile.TemporaryDirectory() as folder,
        loopback_connect() as connect,
        served(Path(folder), CODEWORDS_PIPEDREAM_BASE_URL=connect.url) as ours,
    ):
        for name, value in connect.credentials.items():
            ours.call("PUT", f"/secrets/{name}", {"value": value})
        return asyncio.run(travel(ours.url, ours.key))


def main() -> int:
    given = options(__doc__ or "", runs=1, quick_runs=1)
    how = ""

    def counted(texts: list[str]) -> list[int]:
        nonlocal how
        numbers, how = count(texts)
        return numbers

    calls = journey()
    rows = steps(calls, counted)
    listed = sum(counted([paid(tool) for tool in our_tools()]))
    sums = {name: sum(row[name] for row in rows.values()) for name in COLUMNS}
    ratios = {name: round(sums[name] / before, 3) for name, before in BEFORE.items()}
    holds = ratios["shown"] <= TARGET
    if given.as_json:
        told: dict[str, object] = {
            "question": "tokens that a model is shown in a workflow's whole way",
            "ours": sums["shown"],
            "peer": BEFORE["shown"],
            "peer_name": "the same way when first measured",
            "ratio": ratios["shown"],
            "unit": f"tokens ({how})",
            "runs": 1,
            "target": f"<= {TARGET:.3f}",
            "holds": holds,
            "steps": rows,
            "tools": listed,
        }
        print(json.dumps(told))
        return 0 if holds else 1
    print(f"{'step':<18}" + "".join(f"{name:>8}" for name in COLUMNS) + f"   ({how})")
    for step, row in [*rows.items(), ("all", sums)]:
        print(f"{step:<18}" + "".join(f"{row[name]:>8}" for name in COLUMNS))
    print(f"the tool list, once: {listed}")
    print(
        f"shown: {ratios['shown']} x of before, data: {ratios['data']} x; target <= {TARGET:.2f} x: {'yes' if holds else 'NO'}"
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
