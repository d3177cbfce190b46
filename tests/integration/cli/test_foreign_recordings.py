"""`codewords recordings import` of a file from anywhere: refused in a sentence, or shown as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.terminal import Shell
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.requirement("recording:foreign")]

EVIL = "\x1b[2J\x9b31m<script>alert(1)</script>\u202e\r\n\x07"


def test_what_a_foreign_recording_says_moves_no_cursor_and_a_damaged_one_is_refused(
    shell: Shell, greeting: str, tmp_path: Path
) -> None:
    assert shell("codewords", "run", greeting, "--input", '{"name": "Ada"}').code == 0
    run = str(shell("codewords", "runs", "--workflow", greeting, "--json").json[0]["id"])
    file = tmp_path / "foreign.json"
    until(lambda: shell("codewords", "recordings", "export", run, "-o", str(file)).code == 0, "the recording")
    document: dict[str, Any] = json.loads(file.read_bytes())
    document |= {"status": EVIL, "truncated": EVIL, "error": EVIL}
    document["request"] |= {"method": EVIL, "target": EVIL, "body": EVIL}
    response: dict[str, Any] = {
        "status": 200,
        "headers": [],
        "body": EVIL,
        "chunks": [],
        "size": 9,
        "whole": False,
    }
    document["exchanges"] = [
        {"channel": "egress", "method": EVIL, "url": f"https://a.example/{EVIL}", "headers": [[EVIL[:3], EVIL[:3]]],
         "body": EVIL, "writes": True, "outcome": "sent", "started": 0, "ended": 1, "note": EVIL, "response": response},
    ]  # fmt: skip
    document["exchanges"][0]["headers"] = [["x-evil", "\x1b[2J"]]
    document["connections"] = [
        {"host": EVIL, "port": 1, "started": 0, "ended": 1, "sent": 0, "received": 0, "why": EVIL}
    ]
    file.write_text(json.dumps(document), encoding="utf-8")

    brought = shell("codewords", "recordings", "import", str(file), "--workflow", greeting)
    assert brought.code == 0, brought.err
    name = brought.out.split()[2].rstrip(",")
    for words in (("list", greeting), ("show", name), ("show", name, "--json"), ("list", greeting, "--json")):
        shown = shell("codewords", "recordings", *words)
        assert shown.code == 0, shown.err
        assert not set(shown.out + shown.err) & set("\x1b\x9b\x07\r\u202e"), words
        assert "<script>" in shown.out
    again = shell("codewords", "replay", greeting, name)
    assert "Traceback" not in again.out + again.err
    assert not set(again.out + again.err) & set("\x1b\x9b\x07\r\u202e")

    whole = file.read_bytes()
    for data, reason in (
        (whole[:-9], "cut off"),
        (whole.replace(b'"format": 1', b'"format": 9'), "format 9"),
        (b"", "no JSON"),
        (b"\x00\x01", "no JSON"),
    ):
        file.write_bytes(data)
        refused = shell("codewords", "recordings", "import", str(file), "--workflow", greeting)
        assert refused.code == 2, refused.err
        assert reason in refused.err
    assert "cannot be read" in shell("codewords", "recordings", "import", str(tmp_path)).err
