"""A log from its end: the newest lines first, older ones before them."""

from __future__ import annotations

import json

import httpx
import pytest
from tests.support.http_runtime import Door
from tests.support.runtime import workflow

pytestmark = pytest.mark.requirement("logs:tail")
PROGRAM = workflow(
    """
@app.post("/")
async def main() -> dict:
    for number in range(300):
        print(f"line {number}")
    return {}
""",
    title="Prints",
)


@pytest.fixture(scope="module")
def run_id(door: Door) -> str:
    """The id of an ended run with 300 lines."""
    with door.client() as client:
        made = client.post("/deploy", json={"code": PROGRAM, "name": "Prints", "allow": True})
        made.raise_for_status()
        run = client.post(f"/run/{made.json()['service_id']}/").headers["x-request-id"]
        client.get(f"/logs/{run}").raise_for_status()  # follows to the end
    return str(run)


def lines(http: httpx.Client, run: str, **query: int | str) -> list[dict[str, str]]:
    answer = http.get(f"/logs/{run}", params={"follow": 0, **query})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines() if line]


def test_pages_from_the_end_are_the_whole_log(http: httpx.Client, run_id: str) -> None:
    whole = lines(http, run_id)
    assert len(whole) >= 300
    found = lines(http, run_id, tail=70)
    assert found == whole[-70:]
    while older := lines(http, run_id, tail=70, before=found[0]["createdAt"]):
        found = [*older, *found]
    assert found == whole


def test_a_follower_from_the_end_gets_what_comes_after(http: httpx.Client, run_id: str) -> None:
    service = http.get(f"/request/{run_id}").json()["serviceId"]
    run = http.post(f"/run/{service}/").headers["x-request-id"]
    followed = http.get(f"/logs/{run}", params={"tail": 5})
    found = [json.loads(line) for line in followed.text.splitlines() if line]
    whole = lines(http, run)
    assert len(found) >= 5
    assert found == whole[-len(found) :]


@pytest.mark.parametrize(
    "wrong",
    [{"tail": 0}, {"tail": 10_001}, {"before": "now"}, {"tail": 5, "after": "2026-01-01T00:00:00.000000Z"}],
)
def test_what_has_no_meaning_is_refused(http: httpx.Client, run_id: str, wrong: dict[str, int | str]) -> None:
    assert http.get(f"/logs/{run_id}", params=wrong).status_code == 400
