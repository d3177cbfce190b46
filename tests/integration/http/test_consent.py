"""A deploy that asks for something, over HTTP: the question, the page, and what a script says."""

from __future__ import annotations

import httpx
import pytest
from tests.people import sign_in
from tests.workshop import workflow

from .doors import ADMIN_KEY, Door

pytestmark = [pytest.mark.slow]

CODE = workflow(
    'import httpx\n@app.get("/")\nasync def f(url: str):\n    return (await httpx.AsyncClient().get(url)).text\n',
    title="Open",
)


def refused(http: httpx.Client, name: str, **more: object) -> dict[str, object]:
    answer = http.post("/deploy", json={"code": CODE, "name": name} | more, timeout=300)
    assert answer.status_code == 403, answer.text
    assert answer.json()["error"]["code"] == "consent_needed"
    return answer.json()["error"]


@pytest.mark.requirement("manifest:consent", "manifest:stored")
def test_a_script_agrees_to_a_certain_question_or_to_all(http: httpx.Client) -> None:
    question = refused(http, "Asked")
    assert question["asks"] == ["hosts        any host of the internet"]
    refused(http, "Another", confirm=question["confirm"])
    done = http.post(
        "/deploy", json={"code": CODE, "name": "Asked", "confirm": question["confirm"]}, timeout=300
    )
    assert done.status_code == 200, done.text
    assert done.json()["manifest"]["hosts"] == ["*"]
    shown = http.get(f"/workflows/{done.json()['service_id']}").json()
    assert shown["capabilities"][0].startswith("hosts        any host of the internet")
    allowed = http.post("/deploy", json={"code": CODE, "name": "Allowed", "allow": True}, timeout=300)
    assert allowed.status_code == 200, allowed.text


@pytest.mark.requirement("manifest:consent-page")
@pytest.mark.parametrize(("said", "then"), [("agree", "Agreed"), ("decline", "Declined")])
def test_a_person_answers_on_the_page_once(http: httpx.Client, door: Door, said: str, then: str) -> None:
    name = f"Page <{said}>"
    url = str(refused(http, name)["url"])
    assert url.startswith(f"{door.url}/consents/")
    with sign_in(door.url, ADMIN_KEY) as browser:
        page = browser.get(url)
        assert "any host of the internet" in page.text
        assert f"Page &lt;{said}&gt;" in page.text
        assert page.headers["cache-control"] == "no-store"
        for origin in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            assert browser.submit(url, {"answer": said}, headers=origin).status_code == 403
        assert browser.submit(url, {"answer": "perhaps"}).status_code == 400
        assert then in browser.submit(url, {"answer": said}).text
        for answer in (browser.get(url), browser.submit(url, {"answer": "agree"}), browser.get(url + "x")):
            assert (answer.status_code, "This link no longer works" in answer.text) == (404, True)
    again = http.post("/deploy", json={"code": CODE, "name": name}, timeout=300)
    assert again.status_code == (200 if said == "agree" else 403), again.text
