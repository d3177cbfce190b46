"""What comes from outside: verified, answered at once, delivered once, logged, delivered again. Slack and WhatsApp."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tests.integration.services.webhooks.helpers import WITNESS, delivered, logged, make, register
from tests.support.http_runtime import Door
from tests.support.waiting import until

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.store import webhooks as rows
from codewords_mcp.runtime.store.rows import DeliveryChange
from codewords_mcp.runtime.store.tables import webhooks as table
from codewords_testing.services import LoopbackServices, slack, whatsapp

# the address of a workflow's own


@pytest.mark.requirement("webhooks:own")
def test_a_workflow_has_an_address_that_needs_no_key(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    hook = make(http, witness)
    assert http.get("/webhooks").json()["items"] == [hook]
    answer = outside.post(hook["url"], content=b"x=1", headers={"X-GitHub-Event": "push", "Cookie": "a=b"})
    assert (answer.status_code, answer.json()["ok"]) == (200, True)
    [record] = delivered(http, answer.json()["delivery"])
    seen = record["responseJson"]
    assert (seen["path"], seen["body"], seen["headers"]["x-webhook-event"]) == ("hook", "x=1", "push")
    assert seen["headers"]["x-webhook-delivery"] == answer.json()["delivery"]
    assert "cookie" not in seen["headers"]
    assert outside.post("/webhook/nothing").status_code == 404
    http.delete(f"/webhooks/{hook['id']}").raise_for_status()
    assert outside.post(hook["url"]).status_code == 404


@pytest.mark.requirement("webhooks:once")
def test_what_comes_twice_at_once_is_delivered_once(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    url = make(http, witness)["url"]
    key = {"Idempotency-Key": "k"}
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(outside.post, url, json={"n": 1}, headers=key) for _ in range(8)]
        answers = {answer.result().json()["delivery"] for answer in sent}
    [delivery] = answers
    assert len(delivered(http, delivery)) == 1
    assert http.get(f"/webhooks/deliveries/{delivery}").json()["repeats"] == 7
    other = outside.post(url, json={"n": 1}, headers={"Idempotency-Key": "other"}).json()["delivery"]
    assert other != delivery


@pytest.mark.requirement("webhooks:genuine")
def test_a_signed_webhook_takes_nothing_but_what_is_signed(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    url = make(http, witness, kind="hub", secret="HOOK_SECRET")["url"]
    body = b'{"action": "opened"}'
    good = whatsapp.signed(body, "secret-of-a-sender")
    first = outside.post(url, content=body, headers=good).json()["delivery"]
    delivered(http, first)
    forged = outside.post(url, content=body, headers=whatsapp.signed(body, "guess"))
    assert (forged.status_code, forged.json()["error"]["code"]) == (401, "unauthenticated")
    assert outside.post(url, content=body + b" ", headers=good).status_code == 401
    replayed = outside.post(url, content=body, headers=good | {"X-GitHub-Delivery": "a new name"})
    assert replayed.json()["delivery"] == first
    refused = http.get("/webhooks/deliveries", params={"status": "refused"}).json()["items"]
    assert "not made with this secret" in refused[0]["reason"]
    kept = http.post(f"/webhooks/deliveries/{refused[0]['id']}/redeliver")
    assert (kept.status_code, kept.json()["error"]["code"]) == (409, "conflict")


@pytest.mark.requirement("webhooks:bounded")
def test_what_is_too_large_is_not_taken(http: httpx.Client, outside: httpx.Client, witness: str) -> None:
    url = make(http, witness)["url"]
    assert outside.post(url, content=b"x" * 65537).status_code == 413
    assert outside.post(url, content=iter([b"x" * 40000] * 2)).status_code == 413
    assert outside.post(url, content=b"x" * 65536).status_code == 200


@pytest.mark.requirement("webhooks:bounded")
def test_refusals_that_anybody_can_make_do_not_fill_the_log(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    url = make(http, witness, kind="hub", secret="HOOK_SECRET", name="flooded")["url"]

    def refused() -> int:
        return len(http.get("/webhooks/deliveries", params={"status": "refused"}).json()["items"])

    before = refused()
    for _ in range(30):
        assert outside.post(url, content=b"{}").status_code == 401
    assert before < refused() < before + 21


@pytest.mark.requirement("webhooks:log")
def test_a_delivery_is_shown_and_delivered_again(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    url = make(http, witness)["url"]
    delivery = outside.post(url, json={"n": 2}).json()["delivery"]
    delivered(http, delivery)
    again = http.post(f"/webhooks/deliveries/{delivery}/redeliver")
    assert again.status_code == 200, again.text
    records = delivered(http, delivery, runs=2)
    assert [record["responseJson"]["body"] for record in records] == ['{"n":2}'] * 2
    shown = http.get(f"/webhooks/deliveries/{delivery}").json()
    assert (shown["body"], shown["size"]) == ('{"n":2}', 7)
    newest = http.get("/webhooks/deliveries", params={"limit": 1}).json()["items"]
    assert (newest[0]["id"], newest[0]["body"]) == (delivery, None)
    older = http.get("/webhooks/deliveries", params={"before": delivery}).json()["items"]
    assert delivery not in {one["id"] for one in older}
    assert http.get("/webhooks/deliveries/whd_nothing").status_code == 404


@pytest.mark.requirement("webhooks:log")
def test_another_user_sees_and_makes_nothing_of_it(door: Door, http: httpx.Client, witness: str) -> None:
    hook = make(http, witness)
    with door.client(door.make_key(owner="other")) as other:
        assert other.get("/webhooks").json()["items"] == []
        assert other.get("/webhooks/deliveries").json()["items"] == []
        assert other.delete(f"/webhooks/{hook['id']}").status_code == 404
        assert other.post("/webhooks", json={"service_id": witness}).status_code == 404
    for wrong in ({"kind": "hub"}, {"kind": "carrier pigeon"}, {"secret": "HOOK_SECRET"}):
        assert http.post("/webhooks", json={"service_id": witness} | wrong).status_code == 400


@pytest.mark.requirement("webhooks:durable")
def test_what_was_answered_is_delivered_after_a_crash_and_once(
    door: Door, http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    """As a runtime leaves it that died between its answer and the start of the run, or just after that."""
    url = make(http, witness)["url"]
    delivery = outside.post(url, json={"n": 3}).json()["delivery"]
    [first] = delivered(http, delivery)

    async def forget(runtime: Runtime) -> None:
        left: DeliveryChange = {"status": "received", "due_at": 0, "runs": []}
        container = runtime._container  # pyright: ignore[reportPrivateUsage]  # nothing outside can stop it between the two
        await container.database.write(lambda c: rows.change(c, delivery, left))
        container.webhook_dispatcher.wake()

    door.ask(forget)
    [record] = delivered(http, delivery)
    assert record["id"] == first["id"]


@pytest.mark.requirement("webhooks:durable")
def test_a_workflow_that_is_gone_makes_a_delivery_fail_with_the_reason(
    door: Door, http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    hook = make(http, witness)

    async def move(runtime: Runtime) -> None:
        gone = update(table).values(service_id="gone_00000000")
        container = runtime._container  # pyright: ignore[reportPrivateUsage]  # nothing outside comes between the two
        await container.database.write(lambda c: c.execute(gone))

    door.ask(move)
    found = logged(http, outside.post(hook["url"], json={}).json()["delivery"])
    assert (found["status"], found["runs"]) == ("failed", [])
    assert "There is no workflow" in found["reason"]


@pytest.mark.requirement("webhooks:deleted-workflow")
def test_a_deleted_workflows_webhooks_are_gone_and_what_came_by_them_stays(
    http: httpx.Client, outside: httpx.Client
) -> None:
    made = http.post("/deploy", json={"code": WITNESS, "name": "leaves", "allow": True}, timeout=300).json()
    hook = make(http, made["service_id"])
    delivery = outside.post(hook["url"], json={}).json()["delivery"]
    delivered(http, delivery)
    gone = http.request("DELETE", f"/workflows/{made['service_id']}", json={"allow": True})
    assert gone.status_code == 204, gone.text
    assert http.get("/webhooks").json()["items"] == []
    assert outside.post(hook["url"], json={}).status_code == 404
    assert http.get(f"/webhooks/deliveries/{delivery}").json()["id"] == delivery


@pytest.mark.requirement("webhooks:deleted-workflow")
@pytest.mark.requirement("webhooks:slack")
def test_slack_verifies_the_address_and_its_events_start_the_workflow(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    made = register(http, "slack_trigger", witness, event_type="app_mention")
    url, at = made["url"], int(time.time())
    asked = json.dumps({"type": "url_verification", "token": "t", "challenge": "3eZbrw1aB"}).encode()
    answer = outside.post(url, content=asked, headers=slack.signed(asked, at))
    assert answer.json() == {"challenge": "3eZbrw1aB"}
    body = slack.event_callback("Ev100")
    first = outside.post(url, content=body, headers=slack.signed(body, at))
    again = outside.post(url, content=body, headers=slack.signed(body, at) | {"X-Slack-Retry-Num": "1"})
    assert first.json() == again.json()
    [record] = delivered(http, first.json()["delivery"])
    assert record["responseJson"]["path"] == "event"
    assert json.loads(record["responseJson"]["body"])["event"]["text"] == "hello"


@pytest.mark.requirement("webhooks:slack", "webhooks:genuine")
def test_what_is_not_slacks_is_refused_without_saying_why(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    url = register(http, "slack_trigger", witness)["url"]
    body, at = slack.event_callback("Ev200"), int(time.time())
    wrong: tuple[dict[str, str], ...] = (
        slack.signed(body, at, "guess"),
        slack.signed(body, at - 3600),
        {},
        slack.signed(slack.event_callback("Ev201"), at),
    )
    answers = [outside.post(url, content=body, headers=headers) for headers in wrong]
    assert [answer.status_code for answer in answers] == [401] * 4
    assert len({answer.json()["error"]["message"] for answer in answers}) == 1
    assert outside.get(url).status_code == 405


@pytest.mark.requirement("webhooks:slack", "webhooks:events")
def test_events_out_of_order_are_each_delivered_and_others_are_ignored(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    url = register(http, "slack_trigger", witness, event_type=["message"], channel="C1")["url"]
    at = int(time.time())

    def send(body: bytes) -> dict[str, Any]:
        answer = outside.post(url, content=body, headers=slack.signed(body, at))
        return logged(http, answer.json()["delivery"])

    later = send(slack.event_callback("Ev302", type="message", event_ts="2000.2"))
    earlier = send(slack.event_callback("Ev301", type="message", event_ts="1000.1"))
    assert [later["status"], earlier["status"]] == ["started", "started"]
    for body in (
        slack.event_callback("Ev303", type="reaction_added"),
        slack.event_callback("Ev304", type="message", channel="C2"),
        slack.event_callback("Ev305", type="message", **slack.OWN_BOT),
    ):
        found = send(body)
        assert (found["status"], found["runs"]) == ("ignored", [])


@pytest.mark.requirement("webhooks:get")
def test_a_browser_at_the_address_of_a_webhook_is_told_what_it_takes(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    made = http.post("/webhooks", json={"service_id": witness, "kind": "plain"}).json()
    refused = outside.get(httpx.URL(made["url"]).path)
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert "takes POST" in refused.json()["error"]["message"]
    http.delete(f"/webhooks/{made['id']}").raise_for_status()


@pytest.mark.requirement("webhooks:slack")
def test_socket_mode_needs_no_address_and_acknowledges_what_is_stored(
    http: httpx.Client, upstream: LoopbackServices, witness: str
) -> None:
    http.put("/secrets/SLACK_APP_TOKEN", json={"value": slack.APP_TOKEN}).raise_for_status()
    made = register(http, "slack_trigger", witness, event_type="app_mention")
    # The token is set, whether or not the sockets have been looked at since.
    assert made["socket"] in {"connecting", "connected"}
    assert upstream.wait_for(lambda: bool(upstream.slack.sockets))
    envelope = slack.frame("events_api", "e-1", json.loads(slack.event_callback("Ev400")))
    upstream.send_event(envelope)
    assert upstream.wait_for(lambda: "e-1" in upstream.slack.acknowledged)
    newest = http.get("/webhooks/deliveries", params={"limit": 1}).json()["items"][0]
    [record] = delivered(http, newest["id"])
    assert json.loads(record["responseJson"]["body"])["event_id"] == "Ev400"
    opened = upstream.slack.opened
    upstream.send_event({"type": "disconnect", "reason": "refresh_requested"})
    assert upstream.wait_for(lambda: upstream.slack.opened > opened and bool(upstream.slack.sockets))
    upstream.send_event(envelope | {"envelope_id": "e-2"})
    assert upstream.wait_for(lambda: "e-2" in upstream.slack.acknowledged)
    assert http.get(f"/webhooks/deliveries/{newest['id']}").json()["repeats"] == 1
    assert register(http, "slack_trigger", witness, event_type="app_mention")["socket"] == "connected"

    opened = upstream.slack.opened
    upstream.drop_socket()
    assert upstream.wait_for(lambda: upstream.slack.opened > opened and bool(upstream.slack.sockets))
    upstream.send_event(envelope | {"envelope_id": "e-3"})
    assert upstream.wait_for(lambda: "e-3" in upstream.slack.acknowledged)
    http.delete("/secrets/SLACK_APP_TOKEN").raise_for_status()
    http.delete(f"/webhooks/{made['id']}").raise_for_status()
    assert upstream.wait_for(lambda: not upstream.slack.sockets)


@pytest.mark.requirement("webhooks:slack")
def test_a_message_is_sent_to_slack_and_refusals_are_told(
    http: httpx.Client, upstream: LoopbackServices
) -> None:
    def send(message: dict[str, str]) -> httpx.Response:
        return http.post("/run/slack_trigger/send_message", json=message)

    message = {"channel": "C1", "text": "Ready.", "thread_ts": "1503435956.000247"}
    assert send(message).json() == {"success": True, "channel": "C1", "ts": "1503435956.000247"}
    assert upstream.requests[-1].json() == message
    assert send({"channel": "C0GONE", "text": "x"}).status_code == 404
    upstream.answer_next(429, {"ok": False}, Retry_After="17")
    limited = send(message)
    assert (limited.status_code, limited.json()["error"]["retry_after"]) == (429, 17)
    upstream.answer_next(200, {"ok": False, "error": "token_revoked"})
    assert "SLACK_BOT_TOKEN" in send(message).json()["error"]["hint"]


@pytest.mark.requirement("webhooks:register")
def test_registrations_are_made_once_listed_simulated_and_taken_back(
    http: httpx.Client, witness: str
) -> None:
    made = register(http, "slack_trigger", witness, event_type="app_mention")
    assert register(http, "slack_trigger", witness, event_type="app_mention")["id"] == made["id"]
    listed = http.post("/run/slack_trigger/registrations", json={}).json()["registrations"]
    assert [one["id"] for one in listed] == [made["id"]]
    mention = {"type": "app_mention", "text": "hi"}
    simulated = http.post("/run/slack_trigger/simulate", json={"event": mention})
    [record] = delivered(http, simulated.json()["delivery"])
    assert json.loads(record["responseJson"]["body"])["event"]["text"] == "hi"
    assert http.post("/run/slack_trigger/unregister", json={"id": made["id"]}).status_code == 200
    assert http.post("/run/slack_trigger/unregister", json={"id": made["id"]}).status_code == 404
    assert http.post("/run/slack_trigger/register", json={}).status_code == 400


# WhatsApp


@pytest.mark.requirement("webhooks:whatsapp")
def test_whatsapp_verifies_the_address_with_the_token(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    url = register(http, "whatsapp_trigger", witness, event_type="message")["url"]
    asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": "a-word-of-ours"}
    answer = outside.get(url, params=asked)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    assert outside.get(url, params=asked | {"hub.verify_token": "guess"}).status_code == 401
    assert outside.get(url, params=asked | {"hub.mode": "other"}).status_code == 401


@pytest.mark.requirement("webhooks:whatsapp")
def test_a_message_starts_the_workflow_with_the_whole_notification(
    http: httpx.Client, outside: httpx.Client, witness: str
) -> None:
    asked = {"event_type": "messages", "phone_number": "+1 (631) 555-1181", "api_key": "unused"}
    url = register(http, "whatsapp_trigger", witness, **asked)["url"]

    def send(notification: Any) -> dict[str, Any]:
        body = json.dumps(notification).encode()
        answer = outside.post(url, content=body, headers=whatsapp.signed(body))
        return logged(http, answer.json()["delivery"])

    first = send(whatsapp.incoming("hello"))
    [record] = delivered(http, first["id"])
    assert json.loads(record["responseJson"]["body"]) == whatsapp.incoming("hello")
    assert send(whatsapp.incoming("hello"))["repeats"] == 1
    other = whatsapp.incoming("x", sender="4915550000", message_id="wamid.2")
    assert send(other)["status"] == "ignored"
    body = json.dumps(whatsapp.incoming("forged")).encode()
    assert outside.post(url, content=body, headers=whatsapp.signed(body, "guess")).status_code == 401


@pytest.mark.requirement("webhooks:whatsapp")
def test_messages_are_sent_to_whatsapp_in_its_three_forms(
    http: httpx.Client, upstream: LoopbackServices
) -> None:
    def send(**asked: Any) -> httpx.Response:
        message = {"to_phone_number": "+351 912 345 678"} | asked
        return http.post("/run/whatsapp_trigger/send_message", json=message)

    assert send(message_text="Ready.").json() == {"success": True, "message_id": "wamid.sent"}
    assert upstream.requests[-1].json() == {
        "messaging_product": "whatsapp", "to": "351912345678", "type": "text", "text": {"body": "Ready."},
    }  # fmt: skip
    assert send(message_type="template", template_name="hello_world").status_code == 200
    assert upstream.requests[-1].json()["template"] == {"name": "hello_world", "language": {"code": "en_US"}}
    picture = "https://x.example/p.png"
    assert send(message_type="image", image_link=picture, image_caption="P").status_code == 200
    assert upstream.requests[-1].json()["image"] == {"link": picture, "caption": "P"}
    assert send(message_type="image").status_code == 400
    assert send(to_phone_number="not a number", message_text="x").status_code == 400
    refused = send(to_phone_number="15550000000", message_text="x")
    assert (refused.status_code, "Add the number" in refused.json()["error"]["hint"]) == (502, True)
    upstream.answer_next(400, {"error": {"code": 130429, "message": "limit"}})
    assert send(message_text="x").status_code == 429


@pytest.mark.requirement("webhooks:awake")
def test_a_runtime_that_something_may_come_to_stays_awake(
    door: Door, http: httpx.Client, witness: str
) -> None:
    async def awake(runtime: Runtime) -> bool:
        return runtime.awaits_schedule

    hook = make(http, witness)
    assert door.ask(awake) is True
    http.delete(f"/webhooks/{hook['id']}").raise_for_status()
    until(lambda: door.ask(awake) is False)
