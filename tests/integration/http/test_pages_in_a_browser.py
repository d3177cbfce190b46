"""The pages that people are sent to in a real Chromium: they work on a phone, under their own policy, and ask nobody else for
anything.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.support.chromium import Tab, tab
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import workflow

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.call_questions import of_call
from codewords_mcp.runtime.model.code_difference import code_difference
from codewords_mcp.runtime.model.deletion import Deletion
from codewords_mcp.runtime.model.grants import Grant
from codewords_mcp.runtime.model.questions import Question, of_deletion, of_deploy
from codewords_mcp.runtime.model.workflow import Consent

pytestmark = [
    pytest.mark.requirement("http:secret-page"),
    pytest.mark.slow,
    pytest.mark.needs("chromium"),
]


@pytest.mark.parametrize(("width", "height", "mobile"), [(360, 740, True), (1280, 800, False)])
def test_a_person_types_a_value_and_stores_it(
    door: Door, http: httpx.Client, tmp_path: Path, width: int, height: int, mobile: bool
) -> None:
    url = http.post("/secrets/TYPED_BY_HAND/entry").json()["url"]
    with tab(tmp_path, width=width, height=height, mobile=mobile) as page:
        page.open(door.sign_in_address(url))
        assert page.value("document.documentElement.scrollWidth") <= width, "nothing sticks out sideways"
        assert page.value("document.activeElement.id") == "value", "one can type at once"
        assert page.value("getComputedStyle(document.querySelector('main')).maxWidth") != "none", (
            "the style is applied"
        )
        assert page.value("document.querySelector('button').getBoundingClientRect().height") >= 44, (
            "a finger hits it"
        )
        assert page.value("document.querySelector('[type=checkbox]').getBoundingClientRect().width") < 30
        assert page.value("document.querySelector('label.tick').getBoundingClientRect().height") >= 44
        page.do("Input.insertText", text="typed value")
        assert page.value("document.querySelector('#value').value") == "typed value"
        page.value("document.querySelector('button').click()")
        page.wait_for("Page.loadEventFired")
        assert "TYPED_BY_HAND is stored" in page.value("document.body.innerText")
        page.open(url)
        assert "This link no longer works" in page.value("document.body.innerText")
        assert all(
            address.startswith((door.url, "data:")) for address in page.requested if address != "about:blank"
        )
        assert [problem for problem in page.problems if "404" not in problem] == []
    assert "TYPED_BY_HAND" in http.get("/secrets").text
    http.delete("/secrets/TYPED_BY_HAND")


def type_key(page: Tab, key: str) -> None:
    """Sign in on the page that is shown."""
    page.value("document.querySelector('#key').focus()")
    page.do("Input.insertText", text=key)
    page.value("document.querySelector('form[action=\"/sign-in\"] button').click()")
    page.wait_for("Page.loadEventFired")


LONG = "a-name-without-any-place-to-break-it-at-" * 3
GRANTS = [
    Grant("host", f"{LONG[:60]}.example.com"),
    Grant("host", "api.example.com"),
    Grant("model", "openai"),
]
FIELDS = {"channel": "#general", LONG: LONG, "text": "Good <b>morning</b>, " * 20}
QUESTIONS = [
    of_deploy("local", "Weekly report", "weekly_0a1b2c3d", 4, GRANTS),
    of_deletion("local", LONG, "weekly_0a1b2c3d", 4, Deletion(versions=5, schedules=2, triggers=1)),
    of_call("local", "slack_v2-post-message", FIELDS, "apn_1234567"),
]


@pytest.mark.requirement("manifest:consent-page")
@pytest.mark.parametrize("question", QUESTIONS, ids=["deploy", "deletion", "call"])
def test_a_person_reads_a_question_whole_and_answers_it_with_a_thumb(
    door: Door, tmp_path: Path, question: Question
) -> None:
    async def put(runtime: Runtime) -> str:
        try:
            await runtime._container.consents.settle(question, Consent())  # pyright: ignore[reportPrivateUsage]
        except ConsentNeeded as needed:
            return needed.confirm
        raise AssertionError("nothing was asked")

    url = f"{door.url}/consents/{door.ask(put)}"
    with tab(tmp_path, width=360, height=740, mobile=True) as page:
        page.open(door.sign_in_address(url))
        assert page.value("document.documentElement.scrollWidth") <= 360, "nothing sticks out sideways"
        shown = page.value("document.body.innerText")
        assert question.wording.title in shown
        assert all(item in shown for _, items in question.rows for item in items)
        heights = page.value(
            "[...document.querySelectorAll('button')].map(b => b.getBoundingClientRect().height)"
        )
        assert len(heights) == 2
        assert min(heights) >= 44, "a finger hits them"
        page.value("document.querySelector('button').click()")
        page.wait_for("Page.loadEventFired")
        assert question.wording.agreed in page.value("document.body.innerText")
        assert page.problems == []


@pytest.mark.requirement("manifest:consent-page")
@pytest.mark.parametrize(("width", "height", "mobile"), [(390, 844, True), (1280, 800, False)])
def test_all_of_the_codes_difference_is_in_sight_however_long_its_lines_are(
    door: Door, tmp_path: Path, width: int, height: int, mobile: bool
) -> None:
    question = of_deploy(
        "local", f"Diff {width}", "weekly_0a1b2c3d", 4, GRANTS, code_hash=str(width),
        difference=code_difference("old\nsame\n", f"{'x' * 300}; send()\nsame\n"),
    )  # fmt: skip

    async def put(runtime: Runtime) -> str:
        try:
            await runtime._container.consents.settle(question, Consent())  # pyright: ignore[reportPrivateUsage]
        except ConsentNeeded as needed:
            return needed.confirm
        raise AssertionError("nothing was asked")

    with tab(tmp_path, width=width, height=height, mobile=mobile) as page:
        page.open(door.sign_in_address(f"{door.url}/consents/{door.ask(put)}"))
        code = "document.querySelector('pre.diff')"
        assert page.value(f"{code}.scrollWidth <= {code}.clientWidth"), "nothing is hidden sideways"
        assert page.value("document.documentElement.scrollWidth") <= width
        assert "; send()" in page.value(f"{code}.innerText")
        inset = "parseFloat(getComputedStyle(document.querySelector('pre.diff ins')).paddingLeft)"
        assert page.value(inset) > 0, "the rest of a line stands in"
        assert page.problems == []


def test_the_docs_ask_a_browser_for_the_key_and_show_the_routes(door: Door, tmp_path: Path) -> None:
    with tab(tmp_path, width=360, height=740, mobile=True) as page:
        page.open(f"{door.url}/docs")
        type_key(page, ADMIN_KEY)
        assert "/run/{service_id}/{path}" in page.value("document.body.innerText")
        assert page.value("document.documentElement.scrollWidth") <= 360


@pytest.mark.requirement("manifest:consent-page")
def test_a_person_reads_all_that_is_asked_on_a_phone_and_agrees(
    door: Door, http: httpx.Client, tmp_path: Path
) -> None:
    code = workflow('@app.get("/")\ndef f():\n    return 1\n', env=("A_NAME_" + "X" * 57, "STRIPE_API_KEY"))
    question = http.post("/deploy", json={"code": code, "name": "Phone"}, timeout=300).json()["error"]
    assert "url" in question, question
    with tab(tmp_path, width=360, height=740, mobile=True) as page:
        page.open(door.sign_in_address(question["url"]))
        assert page.value("document.documentElement.scrollWidth") <= 360, "nothing sticks out sideways"
        text = page.value("document.body.innerText")
        assert "plain: the code can read it" in text
        # not set yet, but a well-known name: this is how it will be held
        assert "STRIPE_API_KEY (never seen by the code: put in for api.stripe.com" in text
        page.value("document.querySelector('button').click()")
        page.wait_for("Page.loadEventFired")
        assert "Agreed" in page.value("document.body.innerText")
        assert page.problems == []
