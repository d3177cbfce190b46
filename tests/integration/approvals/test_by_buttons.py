"""Questions that are sent to Slack and WhatsApp: buttons whose presses are verified, and messages that say who answered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.integration.approvals.helpers import asked_over, asking, deploy_over, start_asking
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home
from tests.support.waiting import until

from codewords_mcp.runtime.triggers.webhook_receiver import shared_endpoint
from codewords_mcp.settings import Settings
from codewords_testing.services import LoopbackServices, loopback_services, slack, whatsapp

pytestmark = pytest.mark.slow
SECRETS = {
    "SLACK_SIGNING_SECRET": slack.SIGNING_SECRET,
    "SLACK_BOT_TOKEN": slack.BOT_TOKEN,
    "WHATSAPP_APP_SECRET": whatsapp.APP_SECRET,
    "WHATSAPP_VERIFY_TOKEN": "a-word-of-ours",
    "WHATSAPP_ACCESS_TOKEN": whatsapp.ACCESS_TOKEN,
    "WHATSAPP_PHONE_NUMBER_ID": whatsapp.PHONE_NUMBER_ID,
}
NUMBER = "16315551181"
SLACK, WHATSAPP = (f"/webhook/{shared_endpoint('local', kind)}" for kind in ("slack", "whatsapp"))
FIELDS = {"type": "object", "properties": {"reason": {"type": "string"}}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[LoopbackServices]:
    with loopback_services() as opened:
        yield opened


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, upstream: LoopbackServices) -> Iterator[Door]:
    home = make_home(tmp_path_factory.mktemp("buttons") / "home")
    given: dict[str, Any] = {"home": home, "port": 0, "api_key": ADMIN_KEY, "waiting_grace": 0.1}
    with Door(Settings.model_validate(given | upstream.settings())) as opened:
        with opened.client() as http:
            for name, value in SECRETS.items():
                http.put(f"/secrets/{name}", json={"value": value}).raise_for_status()
        yield opened


@pytest.fixture(scope="module")
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture(scope="module")
def service(door: Door) -> str:
    return deploy_over(door, asking(notifies=True))


@pytest.fixture
def outside(door: Door) -> Iterator[httpx.Client]:
    """A sender: it has no key."""
    with door.client(key=None) as client:
        yield client


def sent(upstream: LoopbackServices, path: str, text: str) -> list[dict[str, Any]]:
    """The bodies of requests to a path of the stand-in in which these words are."""
    found = [one.json() for one in upstream.requests if one.path.endswith(path)]
    return [one for one in found if text in json.dumps(one, ensure_ascii=False)]


def posted(upstream: LoopbackServices, path: str, text: str) -> dict[str, Any]:
    assert upstream.wait_for(lambda: bool(sent(upstream, path, text))), f"no {path} with {text}"
    return sent(upstream, path, text)[-1]


def buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    return next(block["elements"] for block in message["blocks"] if block["type"] == "actions")


def press(
    outside: httpx.Client,
    button: dict[str, Any],
    *,
    at: int | None = None,
    secret: str = slack.SIGNING_SECRET,
    **who: str,
) -> httpx.Response:
    payload = slack.press(button["value"], button["action_id"], **who)
    body, headers = slack.interaction(payload, at or int(time.time()), secret)
    return outside.post(SLACK, content=body, headers=headers)


@pytest.mark.requirement("approvals:notify", "approvals:buttons", "approvals:late")
def test_a_button_of_slack_answers_once_and_its_message_says_who(
    upstream: LoopbackServices, http: httpx.Client, outside: httpx.Client, service: str
) -> None:
    details = "Invoice 8 <!channel> *bold*"
    run_id = start_asking(
        http, service, title="Pay 8?", details=details, options=["pay", "reject"], notify={"slack": ["C1"]}
    )
    message = posted(upstream, "chat.postMessage", "Pay 8?")
    assert message["channel"] == "C1"
    assert {"type": "plain_text", "text": details, "emoji": False} in [
        one.get("text") for one in message["blocks"]
    ]
    pay, reject = buttons(message)

    for wrong in (press(outside, pay, secret="another"), press(outside, pay, at=int(time.time()) - 400)):
        assert (wrong.status_code, "signature" in wrong.text) == (401, True)
    body, headers = slack.interaction(slack.press(pay["value"], pay["action_id"]), int(time.time()))
    assert outside.post(SLACK, content=body + b"&x=1", headers=headers).status_code == 401
    assert (
        outside.post("/webhook/slack-000000000000000000000000", content=body, headers=headers).status_code
        == 404
    )
    forged = dict(pay, value=pay["value"][:-1] + ("A" if pay["value"][-1] != "A" else "B"))
    assert press(outside, forged).status_code == 404
    assert asked_over(http, run_id)["status"] == "open"

    assert press(outside, pay, name="ann").status_code == 200
    update = posted(upstream, "chat.update", "Pay 8?")
    assert (update["channel"], update["ts"]) == ("C1", "1503435956.000247")
    assert "Answered: pay, by ann (U1)." in json.dumps(update["blocks"])
    assert not [block for block in update["blocks"] if block["type"] == "actions"]

    # Somebody else, and the same request once more.
    assert press(outside, reject, user="U2", name="ben").status_code == 200
    told = posted(upstream, "chat.postEphemeral", "ann (U1) has answered this question already")
    assert (told["channel"], told["user"]) == ("C1", "U2")
    http.get(f"/result/{run_id}?timeout=60")
    kept = asked_over(http, run_id)
    assert (kept["answer"], kept["answered_by"], kept["answered_from"]) == (
        "pay",
        "ann (U1)",
        "by Slack in C1 (user U1)",
    )
    assert http.get("/webhooks/deliveries").json()["items"] == []


@pytest.mark.requirement("approvals:buttons")
def test_slack_asks_for_fields_on_the_page_and_says_when_nobody_answered(
    upstream: LoopbackServices, http: httpx.Client, outside: httpx.Client, service: str
) -> None:
    run_id = start_asking(http, service, title="Why 9?", fields=FIELDS, notify={"slack": "C1"})
    approve, _ = buttons(posted(upstream, "chat.postMessage", "Why 9?"))
    assert "/answer/" in approve["url"]
    assert (
        "reason"
        in outside.get(approve["url"].partition("/answer")[1] + approve["url"].partition("/answer")[2]).text
    )
    payload = slack.press("", approve["action_id"])
    body, headers = slack.interaction(payload, int(time.time()))
    assert outside.post(SLACK, content=body, headers=headers).status_code == 200
    assert asked_over(http, run_id)["status"] == "open"
    http.post(f"/runs/{run_id}/cancel")
    assert "The run has ended" in json.dumps(posted(upstream, "chat.update", "Why 9?"))

    start_asking(http, service, title="Late 9?", timeout=1, notify={"slack": "C1"})
    assert "Nobody answered in time." in json.dumps(posted(upstream, "chat.update", "Late 9?"))


@pytest.mark.requirement("approvals:buttons")
def test_a_button_of_slack_comes_by_the_socket_too(
    upstream: LoopbackServices, door: Door, http: httpx.Client, service: str
) -> None:
    http.put("/secrets/SLACK_APP_TOKEN", json={"value": slack.APP_TOKEN}).raise_for_status()
    run_id = start_asking(http, service, title="Pay 10?", notify={"slack": "C1"})
    approve, _ = buttons(posted(upstream, "chat.postMessage", "Pay 10?"))
    assert upstream.wait_for(lambda: bool(upstream.slack.sockets))
    upstream.send_event(slack.frame("interactive", "e1", slack.press(approve["value"], approve["action_id"])))
    assert upstream.wait_for(lambda: "e1" in upstream.slack.acknowledged)
    until(lambda: asked_over(http, run_id)["answer"] == "approve", "the answer")
    http.delete("/secrets/SLACK_APP_TOKEN").raise_for_status()


def reply(
    outside: httpx.Client, token: str, *, sender: str = NUMBER, secret: str = whatsapp.APP_SECRET
) -> httpx.Response:
    body = json.dumps(whatsapp.button_reply(token, "pay", sender=sender)).encode()
    return outside.post(WHATSAPP, content=body, headers=whatsapp.signed(body, secret))


@pytest.mark.requirement("approvals:notify", "approvals:buttons")
def test_a_button_of_whatsapp_answers_for_the_number_that_was_asked(
    upstream: LoopbackServices, http: httpx.Client, outside: httpx.Client, service: str
) -> None:
    urls = http.get("/alerts/settings").json()["answer_urls"]
    assert {kind: url[url.index("/webhook/") :] for kind, url in urls.items()} == {
        "slack": SLACK,
        "whatsapp": WHATSAPP,
    }
    challenge = {"hub.mode": "subscribe", "hub.verify_token": "a-word-of-ours", "hub.challenge": "1158201444"}
    assert outside.get(WHATSAPP, params=challenge).text == "1158201444"
    assert outside.get(WHATSAPP, params=challenge | {"hub.verify_token": "wrong"}).status_code == 404

    run_id = start_asking(
        http, service, title="Pay 11?", options=["pay", "reject"], notify={"whatsapp": "+1 (631) 555-1181"}
    )
    message = posted(upstream, "messages", "Pay 11?")
    pay, reject = [one["reply"]["id"] for one in message["interactive"]["action"]["buttons"]]
    assert message["to"] == NUMBER
    assert reply(outside, pay, secret="another").status_code == 401
    assert reply(outside, pay, sender="15550001111").status_code == 200
    assert asked_over(http, run_id)["status"] == "open"
    assert reply(outside, pay).status_code == 200
    assert posted(upstream, "messages", "Answered: pay.")["to"] == NUMBER
    # A notification that is sent again says nothing more; another answer is told who was first.
    assert reply(outside, pay).status_code == 200
    kept = asked_over(http, run_id)
    assert (kept["answer"], kept["answered_by"]) == ("pay", NUMBER)
    assert reply(outside, reject).status_code == 200

    start_asking(http, service, title="Pay 12?", options=["a", "b", "c", "d"], notify={"whatsapp": NUMBER})
    action = posted(upstream, "messages", "Pay 12?")["interactive"]["action"]
    url = action["parameters"]["url"]
    page = outside.get(url[url.index("/answer/") :])
    assert page.text.count('name="answer"') == 4
