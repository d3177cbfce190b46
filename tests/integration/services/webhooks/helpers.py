"""What senders post to webhooks, and what became of it."""

from __future__ import annotations

from typing import Any

import httpx
from tests.support.runtime import workflow
from tests.support.waiting import until

WITNESS = workflow(
    '@app.post("/{path:path}")\nasync def seen(request: Request, path: str):\n'
    "    body = (await request.body()).decode()\n"
    "    return {'path': path, 'body': body, 'headers': dict(request.headers)}\n",
    title="Witness",
)


def delivered(http: httpx.Client, delivery: str, runs: int = 1) -> list[dict[str, Any]]:
    """The records of a delivery's runs, all ended."""

    def look() -> Any:
        found = http.get(f"/webhooks/deliveries/{delivery}").json()
        return found["runs"] if found["status"] == "started" and len(found["runs"]) >= runs else None

    return [http.get(f"/result/{run['run_id']}", params={"timeout": 60}).json() for run in until(look)]


def logged(http: httpx.Client, delivery: str) -> dict[str, Any]:
    """A delivery, once it is no longer waiting."""

    def decided() -> dict[str, Any]:
        found = http.get(f"/webhooks/deliveries/{delivery}").json()
        return {} if found["status"] == "received" else found

    return until(decided)


def make(http: httpx.Client, witness: str, **more: Any) -> dict[str, Any]:
    made = http.post("/webhooks", json={"service_id": witness, "path": "/hook"} | more)
    assert made.status_code == 200, made.text
    return made.json()


def register(http: httpx.Client, service: str, witness: str, **more: Any) -> dict[str, Any]:
    answer = http.post(f"/run/{service}/register", json={"service_path": f"{witness}/event"} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()
