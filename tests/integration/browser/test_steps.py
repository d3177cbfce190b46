"""`chrome_extension` in a headless browser: what each step gives, and what is said of one that fails."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from tests.integration.browser.helpers import Steps
from tests.integration.browser.site import Site

pytestmark = pytest.mark.requirement("services:browser")


def to(site: Site, path: str) -> dict[str, Any]:
    return {"type": "navigate", "url": site.url + path}


def test_the_seeds_three_steps_give_the_html_that_script_has_built(steps: Steps, site: Site) -> None:
    told = steps(to(site, "/profile"), {"type": "wait", "time": 0.5}, {"type": "extract_html"})
    assert told["success"] is True
    assert "Analytical Engine, London" in told["data"]["html"]
    assert told["data"]["html"].startswith("<!DOCTYPE html>")
    assert [one["type"] for one in told["results"]] == ["navigate", "wait", "extract_html"]
    assert (told["results"][0]["status"], told["title"]) == (200, "Ada Lovelace")
    assert "html" not in told["results"][2]


def test_a_form_is_filled_in_and_sent_and_its_answer_read(steps: Steps, site: Site) -> None:
    told = steps(
        to(site, "/form"),
        {"type": "type", "selector": "input[name=name]", "text": "Ada"},
        {"type": "select", "selector": "select", "value": "Black"},
        {"type": "click", "selector": "form button"},
        {"type": "extract", "selector": "h1", "name": "clicked"},
        {"type": "screenshot"},
        {"type": "back"},
        {"type": "type", "selector": "input", "value": "Bob", "submit": True},
        {"type": "extract", "selector": "h1", "name": "submitted"},
        {"type": "back"},
        {"type": "type", "selector": "input", "text": "by", "clear": False},
        {"type": "press", "selector": "input", "key": "Enter"},
        {"type": "extract", "selector": "h1", "name": "pressed"},
        to(site, "/odd"),
        {"type": "scroll", "direction": "bottom"},
        {"type": "scroll", "selector": "#end"},
        {"type": "extract", "selector": "a", "attribute": "href"},
    )
    assert told["success"] is True, told
    data = told["data"]
    assert data["clicked"] == "b tea for Ada"
    assert data["submitted"].endswith(" tea for Bob")
    assert data["pressed"].endswith("by")
    assert data["items"] == ["/profile", "/file.bin"]
    assert base64.b64decode(data["screenshot"]).startswith(b"\x89PNG")
    assert told["results"][3]["url"] == f"{site.url}/ordered?name=Ada&kind=b"


def test_what_a_page_does_besides_is_told_and_ends_nothing(steps: Steps, site: Site) -> None:
    told = steps(
        to(site, "/odd"),
        {"type": "click", "selector": "#alert"},
        {"type": "click", "selector": "#file"},
        {"type": "click", "selector": "#popup"},
        {"type": "extract", "selector": "h1"},
    )
    assert told["success"] is True, told
    assert told["results"][1]["notes"] == ["The page showed a message, which was closed."]
    assert told["results"][2]["notes"] == ["A download began; nothing was kept."]
    assert told["results"][3]["notes"] == ["A new page opened and is the current one now."]
    assert told["data"]["text"] == "Ada Lovelace"


FAILING: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "extract", "selector": ".none"}, "no_element", "Nothing on the page"),
    ({"type": "click", "ref": "e999"}, "no_element", "Nothing on the page"),
    ({"type": "click", "selector": "#covered"}, "not_ready", "hidden, covered or disabled"),
    ({"type": "click", "selector": "###"}, "bad_step", "does not understand"),
    ({"type": "press", "key": "Nonsense"}, "bad_step", "does not understand"),
    ({"type": "type", "selector": "h1", "text": "x"}, "not_ready", "not a thing that this can be done to"),
    ({"type": "select", "selector": "select", "value": "Red"}, "not_ready", "no option"),
    ({"type": "navigate", "url": "file:///etc/passwd"}, "bad_step", "Only whole http://"),
    ({"type": "navigate", "url": "chrome://settings"}, "bad_step", "Only whole http://"),
    ({"type": "navigate", "url": "http://127.0.0.1:8765/healthz"}, "refused", "127.0.0.1 is "),
    ({"type": "navigate", "url": "https://169.254.169.254/latest"}, "refused", "169.254.169.254 is "),
    ({"type": "navigate", "url": "http://nothing.invalid/"}, "unreachable", "the name was not found"),
    ({"type": "navigate", "url": "/file.bin"}, "download", "nothing was kept"),
]


def test_steps_that_fail_say_why_and_those_that_may_end_nothing(steps: Steps, site: Site) -> None:
    asked = [{"timeout": 1 if "selector" in one else 15} | one | {"optional": True} for one, _, _ in FAILING]
    asked[-1]["url"] = f"{site.url}/file.bin"
    before = {"type": "extract_html", "optional": True}
    told = steps(before, to(site, "/form"), *asked, to(site, "/form"), {"type": "extract", "selector": "h1"})
    assert (told["success"], told["data"]["text"]) == (True, "Order tea")
    assert told["results"][0]["error"] == "No page is open yet: begin with `navigate`."
    for result, (step, reason, sentence) in zip(told["results"][2:-2], FAILING, strict=True):
        assert (result["success"], result["reason"], sentence in result["error"]) == (False, reason, True), (
            step,
            result,
        )


def test_the_way_out_judges_redirects_and_what_a_page_loads(steps: Steps, site: Site) -> None:
    site.elsewhere = "http://127.0.0.1:8001/"
    told = steps(to(site, "/away") | {"optional": True}, to(site, "/pixels"), {"type": "extract"})
    assert told["success"] is True
    away, pixels, _ = told["results"]
    assert (away["reason"], "127.0.0.1:8001 may not be reached" in away["error"]) == ("refused", True)
    [note] = pixels["notes"]
    assert note.startswith("A connection to 127.0.0.1:8001 was refused: 127.0.0.1 is ")


def test_a_page_that_hangs_or_takes_too_much_is_closed_and_the_next_one_works(
    steps: Steps, site: Site
) -> None:
    told = steps(
        to(site, "/odd"),
        {"type": "click", "selector": "#hang", "optional": True, "timeout": 1},
        to(site, "/form"),
        to(site, "/big"),
        {"type": "extract_html", "optional": True},
        {"type": "extract", "selector": "title", "attribute": "lang"},
    )
    assert told["success"] is True, told
    assert (told["results"][1]["reason"], told["results"][4]["reason"]) == ("timed_out", "too_large")


def test_a_page_that_eats_memory_fails_its_step_and_the_rest_is_not_done(steps: Steps, site: Site) -> None:
    told = steps(to(site, "/eater"), to(site, "/form"))
    [failed] = told["results"]
    assert (told["success"], failed["success"]) == (False, False)
    assert failed["reason"] in {"crashed", "gone", "timed_out"}
    assert told["error"] == f"Step 1 (navigate): {failed['error']}"


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ({"type": "fly"}, "`actions.0`: its `type` must be one of 'navigate', 'wait'"),
        ({"selector": "a"}, "`actions.0` needs a `type`."),
        ({"type": "navigate"}, "`actions.0.url` is missing."),
        ({"type": "click"}, "this step needs a `selector`"),
        ({"type": "wait"}, "`wait` takes `time` in seconds, or a `selector`"),
    ],
)
def test_a_step_that_is_none_gets_a_sentence(
    http: httpx.Client, action: dict[str, Any], sentence: str
) -> None:
    answer = http.post("/run/chrome_extension/actions", json={"actions": [action]})
    assert answer.status_code == 400
    assert sentence in answer.json()["error"]["message"]


@pytest.mark.requirement("services:render")
def test_a_page_that_only_a_browser_can_build_becomes_markdown(http: httpx.Client, site: Site) -> None:
    url = f"{site.url}/profile"
    plain = http.post("/run/webpage_to_markdown", json={"url": url}).json()
    built = http.post("/run/webpage_to_markdown", json={"url": url, "render": True}, timeout=60).json()
    assert "Analytical Engine" not in plain["markdown"]
    assert "Analytical Engine, London" in built["markdown"]
    assert (built["status_code"], built["title"]) == (200, "Ada Lovelace")
    gone = http.post("/run/webpage_to_markdown", json={"url": f"{site.url}/x", "render": True}, timeout=60)
    assert (gone.status_code, gone.json()["error"]["upstream_status"]) == (502, 404)
