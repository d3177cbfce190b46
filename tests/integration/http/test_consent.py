"""A deploy that asks for something, over HTTP: the question, the page, and what a script says."""

from __future__ import annotations

import httpx
import pytest
from tests.support.browser_client import sign_in
from tests.support.difference_reader import page_rows, redo
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import workflow

pytestmark = [pytest.mark.slow]

CODE = workflow(
    'import httpx\n@app.get("/")\nasync def f(url: str):\n    return (await httpx.AsyncClient().get(url)).text\n',
    title="Open",
)
PLAIN = workflow('@app.get("/")\nasync def f():\n    return "plain"\n', title="Plain")


def refused(http: httpx.Client, name: str, **more: object) -> dict[str, object]:
    answer = http.post("/deploy", json={"code": CODE, "name": name} | more, timeout=300)
    assert answer.status_code == 403, answer.text
    assert answer.json()["error"]["code"] == "consent_needed"
    return answer.json()["error"]


@pytest.mark.requirement("manifest:consent", "manifest:stored")
def test_a_script_agrees_to_a_certain_question_or_to_all(http: httpx.Client) -> None:
    question = refused(http, "Asked")
    assert question["asks"] == ["hosts        any host of the internet"]
    refused(http, "Asked by another", confirm=question["confirm"])
    done = http.post(
        "/deploy", json={"code": CODE, "name": "Asked", "confirm": question["confirm"]}, timeout=300
    )
    assert done.status_code == 200, done.text
    assert done.json()["manifest"]["hosts"] == ["*"]
    shown = http.get(f"/workflows/{done.json()['service_id']}").json()
    assert shown["capabilities"][0].startswith("hosts        any host of the internet")
    allowed = http.post("/deploy", json={"code": CODE, "name": "Allowed", "allow": True}, timeout=300)
    assert allowed.status_code == 200, allowed.text


TEMPLATE = "web_page_facts"
"""A template of the gallery that asks for any host."""


@pytest.mark.requirement("manifest:consent-gallery")
def test_the_holder_of_a_key_that_agrees_deploys_a_template_of_the_gallery_by_its_id(
    http: httpx.Client,
) -> None:
    asked = http.post("/deploy", json={"template_id": TEMPLATE, "name": "Facts", "ask": True}, timeout=300)
    assert asked.json()["error"]["code"] == "consent_needed"

    done = http.post("/deploy", json={"template_id": TEMPLATE, "name": "Facts"}, timeout=300)
    assert done.status_code == 200, done.text
    assert done.json()["capabilities"][0].startswith("hosts        any host of the internet")


@pytest.mark.requirement("manifest:consent-gallery")
def test_code_templates_of_ones_own_versions_and_keys_of_deploy_are_asked_about(
    door: Door, http: httpx.Client
) -> None:
    live = http.post("/deploy", json={"code": PLAIN, "name": "Plain"}, timeout=300).json()["service_id"]
    own = http.post("/deploy", json={"code": CODE, "name": "Mine", "allow": True}, timeout=300).json()[
        "service_id"
    ]
    assert http.put(f"/workflows/{own}/template", json={"category": "own"}).status_code == 204
    template = next(one for one in http.get("/templates").json()["items"] if one["id"] == TEMPLATE)
    with door.client(door.make_key(scopes=["read", "deploy"])) as in_ci:
        answers = [
            http.post("/deploy", json={"code": template["code"], "name": "Copied"}, timeout=300),
            http.post("/deploy", json={"template_id": own, "name": "Copy of mine"}, timeout=300),
            http.post("/deploy", json={"template_id": TEMPLATE, "service_id": live}, timeout=300),
            in_ci.post(
                "/deploy", json={"template_id": TEMPLATE, "name": "By CI", "allow": True}, timeout=300
            ),
        ]
    assert [answer.json().get("error", {}).get("code") for answer in answers] == ["consent_needed"] * 4


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


CHANGED = CODE.replace(
    "async def f(url: str):", 'async def f(url: str):\n    tag = "<script>alert(1)</script> \u202e\\u202e"', 1
)


@pytest.mark.requirement("manifest:consent-page")
def test_the_page_shows_the_codes_difference_and_a_yes_is_for_that_code_only(
    http: httpx.Client, door: Door
) -> None:
    first = workflow('@app.get("/")\nasync def f():\n    return "before"\n', title="Open")
    live = http.post("/deploy", json={"code": first, "name": "Differs"}, timeout=300).json()["service_id"]
    update = {"code": CHANGED, "service_id": live}
    question = http.post("/deploy", json=update, timeout=300).json()["error"]
    with sign_in(door.url, ADMIN_KEY) as browser:
        page = browser.get(question["url"]).text
        assert "The code&#x27;s difference" in page or "The code's difference" in page
        assert "<del>-    return &quot;before&quot;</del>" in page
        assert "<ins>+import httpx" in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script>" not in page, "code is shown, never run"
        assert "\u202e" not in page, "what turns a line around is shown by its number"
        assert "⟨U+202E⟩" in page
        assert "Agreed" in browser.submit(question["url"], {"answer": "agree"}).text
    other = http.post("/deploy", json=update | {"code": CHANGED + "\n# more\n"}, timeout=300)
    assert other.json()["error"]["code"] == "consent_needed", "the yes was for the code that was shown"
    assert other.json()["error"]["confirm"] != question["confirm"]
    done = http.post("/deploy", json=update, timeout=300)
    assert done.status_code == 200, done.text


@pytest.mark.requirement("manifest:difference")
def test_whoever_reads_the_page_or_the_consoles_question_can_write_the_new_code(
    http: httpx.Client, door: Door
) -> None:
    first = workflow('n = 0\n# a\x0cn = 1\n@app.get("/")\ndef f():\n    return n\n', title="Read")
    second = CODE + "m = 1\n++ (m, 0)[1]\n-- m\n# a\nn = 1\nx\u3164 = '\u2028 \u200b'  # \x85 \nif m:\n\tpass"
    live = http.post("/deploy", json={"code": first, "name": "Hidden"}, timeout=300).json()["service_id"]
    update = {"code": second, "service_id": live}
    question = http.post("/deploy", json=update, timeout=300).json()["error"]
    with sign_in(door.url, ADMIN_KEY) as browser:
        assert redo(first, page_rows(browser.get(question["url"]).text)) == second
    asked = http.get(f"/questions/{question['confirm']}").json()
    assert redo(first, asked["diff"].split("\n")) == second


@pytest.mark.requirement("manifest:consent-page")
def test_a_long_difference_is_folded_and_of_a_new_workflow_all_code_is_shown(
    http: httpx.Client, door: Door
) -> None:
    first = workflow('@app.get("/")\nasync def f():\n    return "before"\n', title="Open")
    live = http.post("/deploy", json={"code": first, "name": "Long"}, timeout=300).json()["service_id"]
    long = CODE + "".join(f"\n# line {number}\n" for number in range(60))
    with sign_in(door.url, ADMIN_KEY) as browser:
        question = http.post("/deploy", json={"code": long, "service_id": live}, timeout=300).json()["error"]
        page = browser.get(question["url"]).text
        assert "<details><summary>" in page
        assert "# line 59" in page
        new = browser.get(str(refused(http, "Of its own")["url"])).text
        assert "<summary>The code (" in new
        assert "<ins>+import httpx" in new


@pytest.mark.requirement("authority:runner-withdraws")
def test_an_agreement_is_made_listed_and_withdrawn_by_routes_and_by_its_owner_on_the_front_page(
    door: Door, http: httpx.Client
) -> None:
    body = {"code": CODE, "name": "Of the home", "public": True, "allow": True}
    made = http.post("/deploy", json=body, timeout=300)
    assert made.status_code == 200, made.text
    public = made.json()["service_id"]
    reader = door.make_key(owner="runner", scopes=["read", "run"])
    with door.client(door.make_key(owner="runner")) as runner:
        shown = runner.get(f"/workflows/{public}", params={"code": 1}).json()
        assert (shown["published_by"], shown["code"], shown["versions"], shown["env"]) == (
            "local",
            None,
            [],
            [],
        )
        assert [route["path"] for route in shown["routes"]] == ["/"]
        assert shown["capabilities"][0].startswith("hosts        any host of the internet")

        def agree() -> None:
            question = runner.post(f"/run/{public}/", json={}).json()["error"]
            assert question["code"] == "consent_needed"
            wrong = runner.put(f"/agreements/{public}", json={"confirm": "x"})
            assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "consent_needed")
            with door.client(reader) as reading:
                assert reading.put(f"/agreements/{public}", json=question).status_code == 403
                assert reading.delete(f"/agreements/{public}").status_code == 403
            given = runner.put(f"/agreements/{public}", json={"confirm": question["confirm"]})
            assert (given.status_code, given.json()["published_by"]) == (200, "local")
            assert "error" not in runner.post(f"/run/{public}/", json={}).text

        agree()
        assert [one["service_id"] for one in runner.get("/agreements").json()["items"]] == [public]
        assert runner.delete(f"/agreements/{public}").status_code == 204
        assert runner.delete(f"/agreements/{public}").status_code == 404
        assert runner.get("/agreements").json()["items"] == []

        agree()
        own = {"X-Codewords-Console": "1", "Sec-Fetch-Site": "same-origin", "Origin": door.url}
        with sign_in(door.url, ADMIN_KEY) as another:
            assert another.delete(f"{door.url}/agreements/{public}", headers=own).status_code == 404
        with sign_in(door.url, door.make_key(owner="runner")) as person:
            assert person.delete(f"{door.url}/agreements/{public}", headers=own).status_code == 204
        assert runner.post(f"/run/{public}/", json={}).json()["error"]["code"] == "consent_needed"
