"""A dry run and its applying as a person at a terminal sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli.terminal import Shell, Terminal
from tests.support.background_runs import with_options
from tests.support.runtime import workflow

pytestmark = [pytest.mark.slow]
_MAILS = """
import httpx, os

@app.post("/")
async def act(body: dict):
    key = {"Authorization": os.environ["CODEWORDS_API_KEY"]}
    async with httpx.AsyncClient(base_url=os.environ["CODEWORDS_RUNTIME_URI"], headers=key) as client:
        mail = {"to": body["to"], "subject": "Refunded", "text": "Hello"}
        (await client.post("/run/send_email/", json=mail)).raise_for_status()
    return {"sent": 1}
"""


@pytest.mark.requirement("runs:dry-run", "runs:apply")
def test_what_would_be_sent_is_listed_asked_about_and_reported(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "mails.py"
    code = with_options(workflow(_MAILS, title="Mails"), 'services = ["send_email"]')
    file.write_text(code, encoding="utf-8")
    made = shell("codewords", "deploy", str(file), "--json", "--allow")
    assert made.code == 0, made.err

    to = "terminal@example.com"
    dry = shell("codewords", "run", "mails", "--dry-run", "-i", f'{{"to": "{to}"}}')
    assert dry.code == 0, dry.err
    assert "Held, not sent: 1" in dry.err
    assert f'"to":"{to}"' in dry.err
    # Also where nobody is at the terminal: whoever reads the log finds the next command.
    run_id = dry.err.partition("Send exactly this: codewords runs apply ")[2].strip()
    assert "dry run: what it would write was held" in shell("codewords", "runs", run_id).out

    refused = Terminal(shell, "codewords", "runs", "apply", run_id)
    refused.expect("Send these, each once?")
    assert "1. POST send_email" in refused.plain
    refused.type("n\n")
    assert refused.end() == 3
    assert "nothing was sent" in refused.plain

    agreed = Terminal(shell, "codewords", "runs", "apply", run_id)
    agreed.expect("Send these, each once?")
    agreed.type("y\n")
    assert agreed.end() == 0, agreed.plain
    shown = " ".join(agreed.plain.split())
    assert "succeeded" in shown
    assert 'answer {"sent": 1}' in shown
    assert "Sent, once each: 1" in shown
    assert "→ answered 200" in shown
    assert "Nothing is held any more." in shown

    again = shell("codewords", "runs", "apply", run_id, "--allow")
    assert again.code != 0
    assert "all that it would write was sent" in again.err
    assert shell("codewords", "run", "send_email", "--path", "/outbox").out.count(to) == 1
