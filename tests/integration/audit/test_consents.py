"""The audit trail says what a person was asked, what they answered, and by which way; a question that is answered waits no longer."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import httpx
import pytest
from tests.integration.http.helpers import open_door
from tests.support.browser_client import sign_in
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import workflow
from tests.support.waiting import until

pytestmark = pytest.mark.slow

CODE = workflow(
    'import httpx\n@app.get("/")\nasync def f(url: str):\n    return (await httpx.AsyncClient().get(url)).text\n',
    title="Open",
)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Generator[Door]:
    with open_door(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture
def http(door: Door) -> Generator[httpx.Client]:
    with door.client() as client:
        yield client


def deploy(http: httpx.Client, name: str, **more: Any) -> httpx.Response:
    return http.post("/deploy", json={"code": CODE, "name": name, **more}, timeout=300)


def asked(http: httpx.Client, name: str, **more: Any) -> dict[str, Any]:
    """The question of a deploy."""
    answer = deploy(http, name, **more)
    assert answer.status_code == 403, answer.text
    return answer.json()["error"]


def consents(http: httpx.Client, question: str = "") -> list[dict[str, Any]]:
    """Entries of consents, the oldest first; of one question."""
    found = http.get("/audit", params={"action": "consent"}).json()["items"]
    return [one for one in reversed(found) if not question or one["after"]["question"] == question]


def last_asked(http: httpx.Client) -> str:
    return [one for one in consents(http) if one["action"] == "consent.asked"][-1]["after"]["question"]


def waiting(http: httpx.Client) -> list[str]:
    return [one["path"].rpartition("/")[2] for one in http.get("/waiting").json()["items"]]


@pytest.mark.requirement("audit:consents", "inbox:closed")
@pytest.mark.parametrize("way", ["page", "console", "token", "allow"])
def test_a_yes_has_an_entry_with_its_way_and_the_question_waits_no_longer(
    http: httpx.Client, door: Door, way: str
) -> None:
    error = asked(http, f"By {way}")
    question, token = last_asked(http), error["confirm"]
    assert token in waiting(http)

    more: dict[str, Any] = {}
    if way == "page":
        with sign_in(door.url, ADMIN_KEY) as browser:
            assert "Agreed" in browser.submit(error["url"], {"answer": "agree"}).text
    elif way == "console":
        with sign_in(door.url, ADMIN_KEY) as browser:
            answer = browser.post(
                f"{door.url}/questions/{token}",
                json={"agreed": True},
                headers={
                    "Origin": door.url, "Sec-Fetch-Site": "same-origin", "X-Codewords-Console": "1",
                },
            )  # fmt: skip
        assert answer.status_code == 200, answer.text
    elif way == "token":
        more = {"confirm": token}
    else:
        more = {"allow": True}

    made = deploy(http, f"By {way}", **more)
    assert made.status_code == 200, made.text
    assert token not in waiting(http)
    first, answered = consents(http, question)
    assert (first["action"], answered["action"]) == ("consent.asked", "consent.agreed")
    assert answered["after"] == first["after"] | {"way": way}
    assert (answered["actor"], answered["after"]["about"]) == ("local", "deploy")
    # Exactly the code that was agreed to is live.
    service_id = made.json()["service_id"]
    [version] = [
        one
        for one in http.get("/audit", params={"action": "version"}).json()["items"]
        if one["after"]["workflow_id"] == service_id
    ]
    assert version["after"]["code_hash"] == answered["after"]["code"]


@pytest.mark.requirement("audit:consents")
def test_a_no_has_an_entry_and_a_yes_without_a_question_has_one_too(http: httpx.Client, door: Door) -> None:
    error = asked(http, "Declined")
    question = last_asked(http)
    with sign_in(door.url, ADMIN_KEY) as browser:
        browser.submit(error["url"], {"answer": "decline"})
        browser.submit(error["url"], {"answer": "agree"})
    assert [one["action"] for one in consents(http, question)] == ["consent.asked", "consent.declined"]

    before = len(consents(http))
    assert deploy(http, "Allowed", allow=True).status_code == 200
    [entry] = consents(http)[before:]
    assert (entry["action"], entry["after"]["way"]) == ("consent.agreed", "allow")


@pytest.mark.requirement("audit:consents")
def test_an_agreement_that_is_taken_back_has_an_entry(http: httpx.Client, door: Door) -> None:
    service_id = deploy(http, "Public", public=True, allow=True).json()["service_id"]
    with door.client(door.make_key(owner="ben")) as of_ben:
        run = of_ben.get(f"/run/{service_id}/?url=x").json()["error"]
        assert run["code"] == "consent_needed"
        of_ben.put(f"/agreements/{service_id}", json={"confirm": run["confirm"]}).raise_for_status()
        of_ben.delete(f"/agreements/{service_id}").raise_for_status()
    entries = [one for one in consents(http) if one["target"] == service_id and one["owner"] == "ben"]
    assert [one["action"] for one in entries] == ["consent.asked", "consent.agreed", "consent.withdrawn"]
    assert {one["after"]["about"] for one in entries} == {"run"}


@pytest.mark.requirement("inbox:closed")
def test_a_secret_that_is_stored_by_another_way_is_asked_for_no_longer(http: httpx.Client) -> None:
    pages = [
        http.post("/secrets/ASKED_FOR/entry", json={"hosts": hosts}).json()["url"].rpartition("/")[2]
        for hosts in ([], ["api.example.com"])
    ]
    other = http.post("/secrets/ANOTHER/entry").json()["url"].rpartition("/")[2]
    assert {*pages, other} <= set(waiting(http))
    http.put("/secrets/ASKED_FOR", json={"value": "typed in a terminal"}).raise_for_status()
    assert until(lambda: set(waiting(http)).isdisjoint(pages), "the pages")
    assert other in waiting(http)
