"""Dry runs and the runs that apply them, by their routes."""

from __future__ import annotations

import httpx
import pytest
from tests.support.background_runs import with_options
from tests.support.http_runtime import Door
from tests.support.runtime import workflow

pytestmark = [pytest.mark.slow]
_MAILS = """
import httpx, os

@app.post("/")
async def act(body: dict):
    key = {"Authorization": os.environ["CODEWORDS_API_KEY"]}
    async with httpx.AsyncClient(base_url=os.environ["CODEWORDS_RUNTIME_URI"], headers=key) as client:
        for number in range(body["mails"]):
            mail = {"to": body["to"], "subject": f"Number {number}", "text": "Hello"}
            (await client.post("/run/send_email/", json=mail)).raise_for_status()
    return {"sent": body["mails"]}
"""


@pytest.fixture(scope="module")
def mails(door: Door) -> str:
    """The id of a workflow that sends mails."""
    code = with_options(workflow(_MAILS, title="Mails"), 'services = ["send_email"]')
    with door.client() as http:
        made = http.post("/deploy", json={"code": code, "name": "mails", "allow": True}, timeout=300)
    assert made.status_code == 200, made.text
    return str(made.json()["service_id"])


def outbox(http: httpx.Client, to: str) -> int:
    return http.get("/run/send_email/outbox").text.count(to)


def dry_run(http: httpx.Client, service: str, to: str) -> str:
    """The id of a dry run, whose recording is stored."""
    head = {"Codewords-Dry-Run": "yes"}
    response = http.post(f"/run/{service}/", json={"mails": 2, "to": to}, headers=head, timeout=120)
    assert response.status_code == 200, response.text
    return response.headers["x-request-id"]


@pytest.mark.requirement("runs:apply", "runs:dry-run")
def test_a_list_is_read_agreed_to_and_sent_once_by_the_routes(http: httpx.Client, mails: str) -> None:
    to = "routes@example.com"
    run_id = dry_run(http, mails, to)
    listed = http.get(f"/runs/{run_id}/writes").json()
    assert [(one["state"], one["method"], one["address"]) for one in listed["writes"]] == [
        ("held", "POST", "send_email"),
        ("held", "POST", "send_email"),
    ]
    assert listed["problem"] == ""
    assert outbox(http, to) == 0

    asked = http.post(f"/runs/{run_id}/apply", json={})
    error = asked.json()["error"]
    assert (asked.status_code, error["code"]) == (403, "consent_needed")
    assert [to in line for line in error["asks"]] == [True, True]
    assert outbox(http, to) == 0
    wrong = http.post(f"/runs/{run_id}/apply", json={"confirm": "0" * 32})
    assert wrong.status_code == 403
    assert outbox(http, to) == 0

    started = http.post(f"/runs/{run_id}/apply", json={"confirm": error["confirm"]})
    assert started.status_code == 200, started.text
    applied = http.get(f"/result/{started.json()['request_id']}", params={"timeout": 100}, timeout=120)
    assert applied.json()["responseJson"] == {"sent": 2}
    assert outbox(http, to) == 2

    # Either run shows the same list, with what became of it.
    for one in (run_id, started.json()["request_id"]):
        listed = http.get(f"/runs/{one}/writes").json()
        assert [(write["state"], write["status"]) for write in listed["writes"]] == [("sent", 200)] * 2
    again = http.post(f"/runs/{run_id}/apply", json={"allow": True})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert "was sent" in again.json()["detail"]
    assert outbox(http, to) == 2


@pytest.mark.requirement("runs:apply")
def test_nobody_applies_or_reads_the_dry_run_of_another_owner(
    door: Door, http: httpx.Client, mails: str
) -> None:
    to = "owner@example.com"
    run_id = dry_run(http, mails, to)
    with door.client(key=door.make_key(owner="somebody-else")) as other:
        for answer in (
            other.get(f"/runs/{run_id}/writes"),
            other.post(f"/runs/{run_id}/apply", json={"allow": True}),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert outbox(http, to) == 0


@pytest.mark.requirement("runs:apply")
def test_the_home_s_own_key_does_not_send_what_another_owner_s_dry_run_held(
    door: Door, http: httpx.Client
) -> None:
    to = "users@example.com"
    code = with_options(workflow(_MAILS, title="Users mails"), 'services = ["send_email"]')
    with door.client(key=door.make_key(owner="a-user")) as user:
        made = user.post("/deploy", json={"code": code, "name": "theirs", "allow": True}, timeout=300)
        assert made.status_code == 200, made.text
        run_id = dry_run(user, made.json()["service_id"], to)
        refused = http.post(f"/runs/{run_id}/apply", json={"allow": True})
        assert refused.status_code == 404, refused.text
        assert [one["state"] for one in user.get(f"/runs/{run_id}/writes").json()["writes"]] == ["held"] * 2
        assert outbox(user, to) == 0
