"""Signatures of the senders' own libraries, against our verification and our stand-ins."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from tests.compat.registries import packages_of
from tests.support.npm import installed, node

from codewords_mcp.runtime.triggers.webhook_signatures import VERIFY, SignatureInvalid
from codewords_testing.services import slack, whatsapp

pytestmark = [pytest.mark.requirement("webhooks:genuine"), pytest.mark.slow]
AT = 1_790_000_000
BODY = '{"type":"paid","name":"Zoë"}'
SECRETS = {
    "stripe": "whsec_test",
    "slack": slack.SIGNING_SECRET,
    "standard": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
SIGN = """
import datetime, json, sys
import stripe
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook
secrets, at, body = json.loads(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
signed = stripe.WebhookSignature._compute_signature(f"{at}.{body}", secrets["stripe"])
stripe.WebhookSignature.verify_header(body, f"t={at},v1={signed}", secrets["stripe"])
moment = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
print(json.dumps({
    "stripe": {"stripe-signature": f"t={at},v1={signed}"},
    "slack": {
        "x-slack-request-timestamp": str(at),
        "x-slack-signature": SignatureVerifier(secrets["slack"]).generate_signature(timestamp=str(at), body=body),
    },
    "standard": {
        "webhook-id": "msg_1", "webhook-timestamp": str(at),
        "webhook-signature": Webhook(secrets["standard"]).sign("msg_1", moment, body),
    },
}))
"""


@pytest.fixture(scope="module")
def signed() -> dict[str, dict[str, str]]:
    """Headers by sender, as its own library makes them."""
    python = packages_of("stripe==16.1.0", "slack-sdk==3.48.0", "standardwebhooks==1.1.0") / "bin" / "python"
    command: list[Any] = [python, "-c", SIGN, json.dumps(SECRETS), str(AT), BODY]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", SECRETS)
def test_what_the_senders_own_library_signs_is_taken(signed: dict[str, dict[str, str]], kind: str) -> None:
    VERIFY[kind](SECRETS[kind], signed[kind], BODY.encode(), AT)
    with pytest.raises(SignatureInvalid):
        VERIFY[kind](SECRETS[kind], signed[kind], BODY.encode() + b" ", AT)


def test_the_stand_in_signs_as_slacks_own_library_does(signed: dict[str, dict[str, str]]) -> None:
    ours = {name.lower(): value for name, value in slack.signed(BODY.encode(), AT).items()}
    assert signed["slack"].items() <= ours.items()


@pytest.mark.anyio
async def test_what_githubs_own_library_signs_is_taken_and_the_stand_in_of_whatsapp_signs_alike() -> None:
    folder = installed("@octokit/webhooks-methods@6.0.0")
    script = 'import("@octokit/webhooks-methods").then(async m => console.log(await m.sign(process.argv[1], process.argv[2])))'
    code, out, err = await node(folder, "-e", script, whatsapp.APP_SECRET, BODY)
    assert code == 0, err
    headers = {"x-hub-signature-256": out.strip()}
    VERIFY["hub"](whatsapp.APP_SECRET, headers, BODY.encode(), AT)
    assert whatsapp.signed(BODY.encode())["X-Hub-Signature-256"] == out.strip()
