"""Signatures of webhooks, one function for each way to sign. They sign the bytes as received;
comparison takes constant time.

Each function raises `SignatureInvalid` with a reason for the owner's log. The sender isn't told the
reason.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping

TOLERANCE_S = 300
"""Maximum seconds by which a signed time may differ: an older request may be a replayed copy."""
VerifySignature = Callable[[str, Mapping[str, str], bytes, float], None]
"""`verify(secret, headers, body, now)`."""


class SignatureInvalid(Exception):
    """The signature is missing, wrong or too old."""


def slack(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """`X-Slack-Signature: v0=hex` over `v0:time:body`."""
    timestamp = headers.get("x-slack-request-timestamp", "")
    _check_time(timestamp, now)
    expected = "v0=" + _hex(secret.encode(), b"v0:" + timestamp.encode() + b":" + body)
    _check_any([headers.get("x-slack-signature", "")], expected)


def hub(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:  # noqa: ARG001  # it signs no time
    """`X-Hub-Signature-256: sha256=hex` over the body: GitHub, WhatsApp and others."""
    expected = "sha256=" + _hex(secret.encode(), body)
    _check_any([headers.get("x-hub-signature-256", "")], expected)


def standard(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """`webhook-signature: v1,base64 …` over `id.time.body` (standardwebhooks.com); one valid of
    several is enough.
    """
    timestamp, name = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    _check_time(timestamp, now)
    signed = hmac.new(_standard_key(secret), f"{name}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(signed).decode()
    _check_any(headers.get("webhook-signature", "").split(" "), expected)


def stripe(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """`Stripe-Signature: t=time,v1=hex …` over `time.body`."""
    pairs = [part.strip().partition("=") for part in headers.get("stripe-signature", "").split(",")]
    timestamp = next((value for name, _, value in pairs if name == "t"), "")
    _check_time(timestamp, now)
    expected = _hex(secret.encode(), timestamp.encode() + b"." + body)
    _check_any([value for name, _, value in pairs if name == "v1"], expected)


VERIFY: Mapping[str, VerifySignature] = {
    "slack": slack,
    "whatsapp": hub,
    "hub": hub,
    "standard": standard,
    "stripe": stripe,
}
"""By the kind of the webhook; `plain` ones are not signed."""


def sign(kind: str, secret: str, body: bytes, now: float) -> dict[str, str]:
    """Return the headers by which a sender of this kind signs a body, for a test of its webhook."""
    timestamp = str(int(now))
    match kind:
        case "slack":
            signed = b"v0:" + timestamp.encode() + b":" + body
            return {
                "x-slack-request-timestamp": timestamp,
                "x-slack-signature": "v0=" + _hex(secret.encode(), signed),
            }
        case "hub" | "whatsapp":
            return {"x-hub-signature-256": "sha256=" + _hex(secret.encode(), body)}
        case "standard":
            name = f"msg_{secrets.token_hex(12)}"
            signed = f"{name}.{timestamp}.".encode() + body
            digest = hmac.new(_standard_key(secret), signed, hashlib.sha256).digest()
            signature = "v1," + base64.b64encode(digest).decode()
            return {"webhook-id": name, "webhook-timestamp": timestamp, "webhook-signature": signature}
        case "stripe":
            signed = timestamp.encode() + b"." + body
            return {"stripe-signature": f"t={timestamp},v1={_hex(secret.encode(), signed)}"}
        case _:
            return {}


def _standard_key(secret: str) -> bytes:
    try:
        # Senders of this standard give keys in base64; others take any text.
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return secret.encode()


def _hex(key: bytes, data: bytes) -> str:
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def _check_time(timestamp: str, now: float) -> None:
    # isdigit alone takes digits of other scripts, and a long number costs time.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 15):
        raise SignatureInvalid("The request has no time of sending.")
    if abs(now - int(timestamp)) > TOLERANCE_S:
        raise SignatureInvalid(
            f"The request was signed more than {TOLERANCE_S // 60} minutes before or after it arrived."
        )


def _check_any(signatures: list[str], expected: str) -> None:
    if not any(signatures):
        raise SignatureInvalid("The request is not signed.")
    matches = [
        # All are compared, so that the time tells nothing of which one fits.
        hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode())
        for signature in signatures[:10]
    ]
    if not any(matches):
        raise SignatureInvalid("The signature was not made with this secret.")
