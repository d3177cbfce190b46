"""Triggers from a terminal."""

from __future__ import annotations

import pytest
from tests.integration.cli.terminal import Shell

pytestmark = pytest.mark.slow


@pytest.mark.requirement("triggers:commands")
def test_triggers_are_added_listed_tested_paused_and_deleted(shell: Shell, greeting: str, slow: str) -> None:
    assert "run_ended" in shell("codewords", "triggers", "kinds").out
    words = ("codewords", "triggers", "add", greeting)
    option = ("-o", f"workflow={slow}", "-o", 'statuses=["failed"]')
    added = shell(*words, "run_ended", *option, "--json").json
    trigger_id = added["trigger"]["id"]
    assert added["trigger"]["options"] == {"workflow": slow, "statuses": ["failed"]}
    assert trigger_id in shell("codewords", "triggers", "list").out

    hook = shell(*words, "plain").out.splitlines()[0]
    tested = shell("codewords", "triggers", "test", hook, "--input", '{"name": "Ada"}', "--json").json
    assert tested["run_id"] is not None
    assert shell("codewords", "triggers", "pause", trigger_id).out.strip().endswith("is paused.")
    assert shell("codewords", "triggers", "resume", trigger_id).out.strip().endswith("is active.")
    edited = shell("codewords", "triggers", "edit", trigger_id, "--name", "Failures", "--json").json
    assert edited["name"] == "Failures"
    assert "Failures" not in shell("codewords", "triggers", "show", trigger_id).out.splitlines()[0]
    for given in (trigger_id, hook):
        assert shell("codewords", "triggers", "delete", given).code == 0
    assert shell("codewords", "triggers", "show", trigger_id).code != 0


@pytest.mark.requirement("triggers:commands")
def test_a_wrong_option_names_those_that_there_are(shell: Shell, greeting: str) -> None:
    refused = shell("codewords", "triggers", "add", greeting, "feed", "-o", "address=x")
    assert refused.code != 0
    assert "url" in refused.err
