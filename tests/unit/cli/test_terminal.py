"""Nothing that is not seen, or that turns what is, reaches a terminal raw, whichever way a command prints it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codewords_mcp.cli._terminal import terminal_json, terminal_text

pytestmark = [pytest.mark.requirement("cli:terminal")]
TEXTS = st.text(st.characters(codec=None, categories=None))
EVIL = "a\x1b[2J\x9b31m\x9d0;t\x9c\u202e\u2066\u200b\u200c\u200d\u061c\ufeff\x85\u2028\U000e0041\x07\x08\x7fz"
PRINTS = """
import json, sys
from codewords_mcp.cli import _output
evil = json.loads(sys.argv[1])
_output.print_json({"key": evil, evil: [evil]})
_output.json_line({"key": evil})
_output.line(evil); _output.line(evil, "red"); _output.clipped(evil); _output.note(evil); _output.raw(evil + "\\n")
_output.labelled("x", "red", "label", evil); _output.error(evil, evil); _output.table(["A", "B"], [[evil, evil]], empty="")
with _output.spinner(evil) as update: update(evil)
"""


def seen(text: str) -> bool:
    """Whether every character is shown, and nothing else happens."""
    return all(
        letter in "\n\t" or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for letter in text
    )


@given(TEXTS)
@settings(max_examples=400)
@example(EVIL)
def test_a_text_has_only_what_is_seen(text: str) -> None:
    assert seen(terminal_text(text))


@given(
    st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
)
@settings(max_examples=300)
@example([EVIL, {EVIL: EVIL}])
def test_json_has_only_what_is_seen_and_stays_the_same_value(value: Any) -> None:
    for indent in (None, 2):
        text = terminal_json(value, indent=indent)
        assert seen(text)
        text.encode()
        assert json.loads(text) == value


def test_every_character_of_unicode_that_is_not_seen_is_known() -> None:
    """By this interpreter's tables of Unicode."""
    hidden = [chr(code) for code in range(0x110000) if not seen(chr(code))]
    assert {letter for letter in hidden if letter in terminal_text(f"a{letter}b")} == set()
    assert terminal_text("Grüße, 日本語, 👍, \t\n") == "Grüße, 日本語, 👍, \t\n"


def _on_a_terminal(*arguments: str) -> str:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", *arguments], stdin=follower, stdout=follower, stderr=follower,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "200"},
    ) as process:  # fmt: skip
        os.close(follower)
        shown = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not piece:
                break
            shown += piece
        os.close(leader)
    assert process.returncode == 0, shown.decode(errors="replace")
    return shown.decode(errors="replace")


def test_no_way_of_printing_lets_it_through_to_a_terminal() -> None:
    shown = _on_a_terminal(PRINTS, json.dumps(EVIL))
    assert "az" in shown
    for letter in "\x9b\x9d\x9c\u202e\u2066\u200b\u200c\u200d\u061c\ufeff\x85\u2028\U000e0041\x07\x08\x7f":
        assert letter not in shown, ascii(letter)
    assert "\x1b[2J" not in shown
    assert "\\u009b31m" in shown, "JSON keeps it as an escape"
