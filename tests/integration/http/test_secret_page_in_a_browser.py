"""The secret page in a real Chromium: it works on a phone, under its own policy, and asks nobody else for anything."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.workshop import workflow

from .chromium import executable, tab
from .doors import Door

pytestmark = [
    pytest.mark.requirement("http:secret-page"),
    pytest.mark.slow,
    pytest.mark.skipif(
        executable() is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
    ),
]


@pytest.mark.parametrize(("width", "height", "mobile"), [(360, 740, True), (1280, 800, False)])
def test_a_person_types_a_value_and_stores_it(
    door: Door, http: httpx.Client, tmp_path: Path, width: int, height: int, mobile: bool
) -> None:
    url = http.post("/secrets/TYPED_BY_HAND/entry").json()["url"]
    with tab(tmp_path, width=width, height=height, mobile=mobile) as page:
        page.open(url)
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


def test_the_docs_ask_a_browser_for_the_key_and_show_the_routes(door: Door, tmp_path: Path) -> None:
    from .doors import ADMIN_KEY

    with tab(tmp_path, width=360, height=740, mobile=True) as page:
        page.open(door.url.replace("http://", f"http://me:{ADMIN_KEY}@") + "/docs")
        assert "/run/{service_id}/{path}" in page.value("document.body.innerText")
        assert page.value("document.documentElement.scrollWidth") <= 360


@pytest.mark.requirement("manifest:consent-page")
def test_a_person_reads_all_that_is_asked_on_a_phone_and_agrees(
    door: Door, http: httpx.Client, tmp_path: Path
) -> None:
    code = workflow('@app.get("/")\ndef f():\n    return 1\n', env=("A_NAME_" + "X" * 57, "STRIPE_API_KEY"))
    question = http.post("/deploy", json={"code": code, "name": "Phone"}, timeout=300).json()["error"]
    with tab(tmp_path, width=360, height=740, mobile=True) as page:
        page.open(question["url"])
        assert page.value("document.documentElement.scrollWidth") <= 360, "nothing sticks out sideways"
        text = page.value("document.body.innerText")
        assert "plain: the code can read it" in text
        # not set yet, but a well-known name: this is how it will be held
        assert "STRIPE_API_KEY (never seen by the code: put in for api.stripe.com" in text
        page.value("document.querySelector('button').click()")
        page.wait_for("Page.loadEventFired")
        assert "Agreed" in page.value("document.body.innerText")
        assert page.problems == []
