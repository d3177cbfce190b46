"""Whether a body is its sender's: each sender's way to sign, over the bytes as they came, compared in constant time.

Each function raises `Forged` with why, for the owner's log; the sender is never told.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping

TOLERANCE = 300
"""Seconds by which a signed time may be off: what is older may be somebody else's copy."""
Verify = Callable[[str, Mapping[str, str], bytes, float], None]
"""`verify(secret, headers, body, now)`."""


class Forged(Exception):  # it is told as Unauthenticated
    """The signature is missing, wrong or too old."""


def slack(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """`X-Slack-Signature: v0=hex` over `v0:time:body`."""
    stamp = headers.get("x-slack-request-timestamp", "")
    _check_time(stamp, now)
    expected = "v0=" + _hex(secret.encode(), b"v0:" + stamp.encode() + b":" + body)
    _check_any([headers.get("x-slack-signature", "")], expected)


def hub(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:  # noqa: ARG001  # it signs no time
    """`X-Hub-Signature-256: sha256=hex` over the body: GitHub, WhatsApp and others."""
    expected = "sha256=" + _hex(secret.encode(), body)
    _check_any([headers.get("x-hub-signature-256", "")], expected)


def standard(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """`webhook-signature: v1,base64 …` over `id.time.body`, as standardwebhooks.com has it; one of several will do."""
    stamp, name = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    _check_time(stamp, now)
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = secret.encode()
    signed = hmac.new(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(signed).decode()
    _check_any(headers.get("webhook-signature", "").split(" "), expected)


def stripe(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """`Stripe-Signature: t=time,v1=hex …` over `time.body`."""
    pairs = [part.strip().partition("=") for part in headers.get("stripe-signature", "").split(",")]
    stamp = next((value for name, _, value in pairs if name == "t"), "")
    _check_time(stamp, now)
    expected = _hex(secret.encode(), stamp.encode() + b"." + body)
    _check_any([value for name, _, value in pairs if name == "v1"], expected)


VERIFY: Mapping[str, Verify] = {
    "slack": slack,
    "whatsapp": hub,
    "hub": hub,
    "standard": standard,
    "stripe": stripe,
}
"""By the kind of the webhook; `plain` ones are not signed."""


def _hex(key: bytes, data: bytes) -> str:
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def _check_time(stamp: str, now: float) -> None:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
        raise Forged("It carries no time of its sending.")
    if abs(now - int(stamp)) > TOLERANCE:
        raise Forged(f"It was signed more than {TOLERANCE // 60} minutes before or after it came.")


def _check_any(given: list[str], expected: str) -> None:
    if not any(given):
        raise Forged("It is not signed.")
    matches = [hmac.compare_digest(one.encode("utf-8", "replace"), expected.encode()) for one in given[:10]]
    if not any(matches):
        raise Forged("Its signature is not made with this secret.")
