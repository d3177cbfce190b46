"""Questions over the API: read whole by their owner, answered by a person at the console and by nobody else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.support.browser_client import Browser, sign_in
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import workflow

pytestmark = [pytest.mark.slow]

OPEN = workflow(
    'import httpx\n@app.get("/")\nasync def f(url: str):\n    return (await httpx.AsyncClient().get(url)).text\n',
    title="Open",
)


def asked(http: httpx.Client, name: str, **more: Any) -> str:
    """Deploy what needs a yes; the token of the question."""
    answer = http.post("/deploy", json={"code": OPEN, "name": name} | more, timeout=300)
    assert answer.status_code == 403, answer.text
    return str(answer.json()["error"]["confirm"])


def own(door: Door) -> dict[str, str]:
    """Headers of the console's own requests."""
    return {"X-Codewords-Console": "1", "Sec-Fetch-Site": "same-origin", "Origin": door.url}


def answered(door: Door, browser: Browser, token: str, *, agreed: bool) -> httpx.Response:
    return browser.post(f"{door.url}/questions/{token}", json={"agreed": agreed}, headers=own(door))


@pytest.mark.requirement("inbox:read")
def test_a_question_is_read_whole_and_a_deploys_has_its_four_differences(
    door: Door, http: httpx.Client
) -> None:
    before = workflow('@app.get("/")\nasync def f():\n    return "before"\n', title="Open")
    live = http.post("/deploy", json={"code": before, "name": "Read whole"}, timeout=300).json()["service_id"]
    token = asked(http, "Read whole", service_id=live)
    found = http.get(f"/questions/{token}").json()
    assert found["rows"] == [{"kind": "hosts", "items": ["any host of the internet"]}]
    assert "Read whole" in found["title"]
    assert found["service_id"] == live
    assert found["created_at"] < found["expires_at"]
    assert "Read whole" in found["yes"]
    changes = found["changes"]
    assert '-    return "before"' in changes["code"]
    assert changes["lines_added"] > 0
    assert changes["permissions"] == ["+ hosts any host of the internet"]
    assert changes["behaviour"]
    assert changes["cost"] == ""

    [listed] = [one for one in http.get("/waiting").json()["items"] if one["path"].endswith(token)]
    assert (listed["created_at"], listed["expires_at"]) == (found["created_at"], found["expires_at"])
    with door.client(door.make_key(owner="another")) as other:
        assert other.get(f"/questions/{token}").status_code == 403
    assert http.get("/questions/never-asked").status_code == 404


@pytest.mark.requirement("inbox:person")
def test_only_the_persons_session_on_the_consoles_own_page_answers(door: Door, http: httpx.Client) -> None:
    token = asked(http, "By a person")
    path = f"/questions/{token}"
    by_key = http.post(path, json={"agreed": True})
    assert (by_key.status_code, "a key is no answer" in by_key.text) == (403, True)
    with sign_in(door.url, ADMIN_KEY) as person:
        right = own(door)
        wrong: list[tuple[int, dict[str, str]]] = [
            (401, {name: value for name, value in right.items() if name != "X-Codewords-Console"}),
            (403, right | {"Sec-Fetch-Site": "cross-site"}),
            (403, right | {"Origin": "https://evil.example"}),
            (403, {name: value for name, value in right.items() if name != "Origin"}),
            # A key beside a session is a program's request.
            (403, right | {"Authorization": f"Bearer {ADMIN_KEY}"}),
        ]
        for status, headers in wrong:
            assert person.post(door.url + path, json={"agreed": True}, headers=headers).status_code == status
        assert http.get(path).status_code == 200, "nothing of that was an answer"
    with sign_in(door.url, door.make_key(owner="another")) as other:
        assert answered(door, other, token, agreed=True).status_code == 403
    assert http.get(path).status_code == 200


@pytest.mark.requirement("inbox:person")
@pytest.mark.parametrize("agreed", [True, False])
def test_an_answer_counts_once_and_the_deploy_goes_by_it(
    door: Door, http: httpx.Client, agreed: bool
) -> None:
    name = f"Answered {agreed}"
    token = asked(http, name)
    with sign_in(door.url, ADMIN_KEY) as person:
        told = answered(door, person, token, agreed=agreed)
        assert told.status_code == 200, told.text
        assert told.json()["agreed"] is agreed
        assert ("can be deployed" in told.json()["message"]) is agreed
        late = answered(door, person, token, agreed=not agreed)
        assert (late.status_code, "it was answered" in late.text) == (404, True)
        # The question's own page is of the same question.
        assert person.get(f"{door.url}/consents/{token}").status_code == 404
    assert http.get(f"/questions/{token}").status_code == 404
    again = http.post("/deploy", json={"code": OPEN, "name": name}, timeout=300)
    assert again.status_code == (200 if agreed else 403), again.text


@pytest.mark.requirement("inbox:person")
def test_of_answers_at_once_the_first_counts_and_the_others_are_told(door: Door, http: httpx.Client) -> None:
    token = asked(http, "At once")
    with sign_in(door.url, ADMIN_KEY) as person, ThreadPoolExecutor(4) as pool:
        waiting = [
            pool.submit(answered, door, person, token, agreed=agreed) for agreed in (True, False, True, False)
        ]
        answers = [one.result() for one in waiting]
    [first] = [one for one in answers if one.status_code == 200]
    assert {one.status_code for one in answers if one is not first} <= {404, 409}
    again = http.post("/deploy", json={"code": OPEN, "name": "At once"}, timeout=300)
    assert (again.status_code == 200) is first.json()["agreed"]
