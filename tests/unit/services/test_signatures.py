"""Signatures of senders: the documented ones agree, and whatever was touched does not."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from codewords_mcp.runtime.triggers.webhook_events import (
    matches_filters,
    read_other,
    read_slack,
    read_whatsapp,
)
from codewords_mcp.runtime.triggers.webhook_signatures import TOLERANCE_S, VERIFY, SignatureInvalid

AT = 1531420618
DOCUMENTED = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a1"
    b"4d10d2c447fce8b6703c"
)
SLACK = {
    "x-slack-request-timestamp": str(AT),
    "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"  # Slack's documentation has it
BODY = b'{"type":"paid"}'


def sha(key: bytes, data: bytes) -> hmac.HMAC:
    return hmac.new(key, data, hashlib.sha256)


def standard(secret: bytes, name: str = "msg_1") -> dict[str, str]:
    signed = base64.b64encode(sha(secret, f"{name}.{AT}.".encode() + BODY).digest()).decode()
    other = base64.b64encode(b"x" * 32).decode()
    return {"webhook-id": name, "webhook-timestamp": str(AT), "webhook-signature": f"v1,{other} v1,{signed}"}


STRIPE = f"t={AT},v0=x,v1={'0' * 64},v1={sha(b'whsec', f'{AT}.'.encode() + BODY).hexdigest()}"
CASES = [
    ("slack", SLACK_SECRET, SLACK, DOCUMENTED),
    ("hub", "key", {"x-hub-signature-256": f"sha256={sha(b'key', BODY).hexdigest()}"}, BODY),
    ("standard", "whsec_" + base64.b64encode(b"key of it").decode(), standard(b"key of it"), BODY),
    ("stripe", "whsec", {"stripe-signature": STRIPE}, BODY),
]
TIMED = [case for case in CASES if case[0] != "hub"]


@pytest.mark.requirement("webhooks:genuine")
@pytest.mark.parametrize(("kind", "secret", "headers", "body"), CASES, ids=[case[0] for case in CASES])
def test_what_is_signed_as_documented_is_taken_and_nothing_else(
    kind: str, secret: str, headers: dict[str, str], body: bytes
) -> None:
    verify = VERIFY[kind]
    verify(secret, headers, body, AT + 60)
    for wrong_secret, wrong_headers, wrong_body in (
        (secret[:-4], headers, body),
        (secret, headers, body + b" "),
        (secret, {}, body),
        (secret, dict.fromkeys(headers, "é"), body),
        (secret, {name: value[:-5] for name, value in headers.items()}, body),
    ):
        with pytest.raises(SignatureInvalid):
            verify(wrong_secret, wrong_headers, wrong_body, AT)


@pytest.mark.requirement("webhooks:genuine")
@pytest.mark.parametrize(("kind", "secret", "headers", "body"), TIMED, ids=[case[0] for case in TIMED])
@pytest.mark.parametrize("side", [1, -1])
def test_what_was_signed_long_ago_or_is_yet_to_come_is_somebody_elses_copy(
    kind: str, secret: str, headers: dict[str, str], body: bytes, side: int
) -> None:
    VERIFY[kind](secret, headers, body, AT + side * TOLERANCE_S)
    with pytest.raises(SignatureInvalid, match="minutes"):
        VERIFY[kind](secret, headers, body, AT + side * (TOLERANCE_S + 1))


@pytest.mark.requirement("webhooks:events")
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"event": 5, "entry": [1, {"changes": "x"}]}', b"[" * 5000, b"\xff\xfe"])  # fmt: skip
def test_no_body_breaks_the_readers(body: bytes) -> None:
    for event in (read_slack({}, body), read_whatsapp({}, body), read_other({}, body, signed=True)):
        assert event.name
        assert len(event.key) == 64


@pytest.mark.requirement("webhooks:events")
def test_a_slash_command_and_an_interaction_are_events_too() -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    command = read_slack(form, DOCUMENTED)
    assert (command.name, command.about["channel"]) == ("slash_command", "G8PSS9T3V")
    payload = b"payload=%7B%22type%22%3A%22block_actions%22%2C%22trigger_id%22%3A%221.2%22%7D"
    assert read_slack(form, payload).name == "block_actions"


@pytest.mark.requirement("webhooks:events")
@pytest.mark.parametrize(
    ("kind", "filters", "event", "about", "wanted"),
    [
        ("slack", {}, "message", {"channel": "C1"}, True),
        ("slack", {"events": ["app_mention"]}, "message", {}, False),
        ("slack", {"events": ["*"], "channel": "C2"}, "message", {"channel": "C1"}, False),
        ("slack", {}, "message", {"own": True}, False),
        ("slack", {"include_own": True}, "message", {"own": True}, True),
        ("whatsapp", {"events": ["status"]}, "message", {"events": ["message", "status"]}, True),
        ("whatsapp", {"number": "1"}, "message", {"numbers": ["2"]}, False),
        ("plain", {}, "anything", {}, True),
    ],
)
def test_a_webhook_gets_what_it_asked_for(
    kind: str, filters: dict[str, object], event: str, about: dict[str, object], wanted: bool
) -> None:
    assert matches_filters(kind, filters, event, about) is wanted
