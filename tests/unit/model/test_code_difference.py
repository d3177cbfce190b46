"""The drawn difference of two programs: whoever reads it, by whichever door, can make the second program from the first."""

from __future__ import annotations

import json
import random
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.difference_reader import hostile_pair, page_rows, read_pairs, redo

from codewords_mcp.cli._difference import print_rows
from codewords_mcp.common.unseen import is_unseen, spelled
from codewords_mcp.http.pages import consent
from codewords_mcp.mcp_server.text import fence, fenced
from codewords_mcp.runtime.model.code_difference import code_difference, first_rows, program_lines

pytestmark = pytest.mark.requirement("manifest:difference")
CONSOLE = Path(consent.__file__).parents[2] / "console"
_PAIRS = 400


def _pairs() -> list[tuple[str, str]]:
    chance = random.Random(36)
    return [pair for pair in (hostile_pair(chance) for _ in range(_PAIRS)) if code_difference(*pair).hunks]


def _page(drawn: str) -> list[str]:
    return page_rows(consent._difference(drawn))  # pyright: ignore[reportPrivateUsage]


def _chat(drawn: str) -> list[str]:
    return fence("Difference", drawn, len(drawn)).split("\n")[1:-1]


def _block(drawn: str) -> list[str]:
    return fenced(drawn, "diff").split("\n")[1:-1]


@pytest.mark.parametrize("door", [_page, _chat, _block])
def test_a_page_and_a_chat_can_be_read_back(door: Callable[[str], list[str]]) -> None:
    for before, after in _pairs():
        rows = door(code_difference(before, after).text())
        assert redo(before, rows) == "".join(program_lines(after))


@pytest.mark.parametrize("width", [0, 40])
def test_a_terminal_can_be_read_back_and_breaks_no_row_by_itself(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for before, after in _pairs():
        print_rows(code_difference(before, after).text(), indent=2, columns=width)
        rows: list[str] = []
        for line in capsys.readouterr().out.removesuffix("\n").split("\n"):
            assert not width or len(line) <= width
            piece = line.removeprefix("  ")
            if piece.startswith("↪ "):
                rows[-1] += piece.removeprefix("↪ ")
            else:
                rows.append(piece)
        assert redo(before, rows) == "".join(program_lines(after))


_IN_NODE = """
for (const name of ["document", "location", "window", "matchMedia", "addEventListener"]) globalThis[name] ??= new Proxy(function () {}, {
  get: (_, key) => (key === Symbol.toPrimitive ? () => "http://x/" : globalThis.document), apply: () => globalThis.document });
globalThis.setInterval = () => 0;
const { Difference } = await import(process.argv[2]);
const words = (node) => {
  if (Array.isArray(node)) return node.map(words).join("");
  if (node === null || typeof node !== "object") return node === null || typeof node === "boolean" || node === undefined ? "" : String(node);
  return words(typeof node.type === "function" ? node.type(node.props) : node.props.children);
};
const flat = (node) => (Array.isArray(node) ? node.flatMap(flat) : [node]);
const rows = (text) => flat(Difference({ text, label: "" }).props.children.props.children).map((row) => words(row));
let said = ""; for await (const part of process.stdin) said += part;
console.log(JSON.stringify(JSON.parse(said).map(rows)));
"""


def _node(tmp_path: Path, program: str, said: object, *more: str) -> list[Any]:
    (tmp_path / "program.mjs").write_text(program, encoding="utf-8")
    done = subprocess.run(
        ["node", str(tmp_path / "program.mjs"), *more],
        input=json.dumps(said), capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_console_can_be_read_back(tmp_path: Path) -> None:
    pairs = _pairs()
    drawn = [code_difference(*pair).text() for pair in pairs]
    shown = _node(tmp_path, _IN_NODE, drawn, (CONSOLE / "parts/code.js").as_uri())
    for (before, after), rows in zip(pairs, shown, strict=True):
        assert redo(before, [row.removesuffix("\n") for row in rows]) == "".join(program_lines(after))


def test_random_pairs_of_hostile_programs_can_be_read_back() -> None:
    assert read_pairs(4_000, 36) == []


def test_the_console_marks_what_is_not_seen_but_for_the_signs_of_an_emoji(tmp_path: Path) -> None:
    program = f"""
import {{ DECEIVING, DECEIVING_IN_CODE }} from {json.dumps((CONSOLE / "format.js").as_uri())};
const seen = (deceiving) => [...Array(0x110000).keys()].filter((at) => String.fromCodePoint(at).search(deceiving) >= 0);
console.log(JSON.stringify([seen(DECEIVING), seen(DECEIVING_IN_CODE)]));
"""
    marked, marked_in_code = _node(tmp_path, program, None)
    # Node knows another version of Unicode, of which the letters that are not assigned here do not count.
    known = [at for at in range(0x110000) if unicodedata.category(chr(at)) != "Cn"]
    ours = {at for at in known if is_unseen(chr(at))} - {0x200C, 0x200D, 0xFE0E, 0xFE0F}
    assert ours == set(known) & set(marked)
    spaces = {at for at in known if unicodedata.category(chr(at)) == "Zs"} - {0x20}
    assert {at for at in known if is_unseen(chr(at))} | spaces == set(known) & set(marked_in_code)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("p\u0430ypal", "p⟨U+0430⟩ypal"),
        ("\uff45val(x)", "⟨U+FF45⟩val(x)"),
        ("\u0441\u043e\u0440\u0443()", "⟨U+0441⟩⟨U+043E⟩⟨U+0440⟩⟨U+0443⟩()"),
        ("x\u3164 = \u115f", "x⟨U+3164⟩ = ⟨U+115F⟩"),
        ("# Größe in m², 使用API, привет, naïve", "# Größe in m², 使用API, привет, naïve"),
        ("\tx  ", "⟨U+0009⟩x⟨U+0020 x2⟩"),
        ("x = 1" + " " * 200 + "# y", "x = 1⟨U+0020 x200⟩# y"),
        ("⟨U+200B⟩", "⟨U+27E8⟩U+200B⟩"),
    ],
)
def test_letters_that_pose_as_others_and_what_is_not_seen_are_spelled_out(line: str, shown: str) -> None:
    assert spelled(line) == shown


def test_code_after_a_separator_that_python_does_not_know_is_in_the_difference() -> None:
    drawn = code_difference("# a comment\x0cprint(1)\n", "# a comment\nprint(1)\n").text()
    assert drawn == "@@ -1,1 +1,2 @@\n-# a comment⟨U+000C⟩print(1)\n+# a comment\n+print(1)"


def test_a_change_of_a_shared_module_is_named_as_code() -> None:
    module = "x = 1\n\n# /// module shared/a.py\n" + "".join(f"#| a{n} = 1\n" for n in range(9))
    drawn = code_difference(module, module.replace("a8 = 1", "a8 = 2")).text()
    assert drawn.startswith("@@ -9,4 +9,4 @@ in the module shared/a.py, which runs\n")


def test_rows_that_are_left_out_are_counted() -> None:
    drawn = code_difference("", "a\nb\nc\n").text()
    assert first_rows(drawn, 1000) == drawn
    assert first_rows(drawn, 19) == "@@ -0,0 +1,3 @@\n+a\n… 2 more lines of the difference"
    assert first_rows(drawn, 3) == "… 4 more lines of the difference"


def test_lines_that_are_equal_in_too_many_pairs_are_shown_as_gone_and_come() -> None:
    before = "".join(f"x{at % 2_000}\n" for at in range(25_000))
    after = "".join(f"x{(at * 7 + 3) % 2_000}\n" for at in range(25_000))
    found = code_difference(before, after)
    assert (found.removed, found.added) == (25_000, 25_000), "a search for the shortest one takes minutes"
    assert redo(before, found.rows()) == after


def test_two_changes_in_a_large_program_are_two_hunks() -> None:
    before = "".join(f"x = {at}\n" for at in range(25_000))
    found = code_difference(before, before.replace("= 7\n", "= 8\n").replace("= 24990\n", "= 1\n"))
    assert [(hunk.place, len(hunk.lines)) for hunk in found.hunks] == [
        ("@@ -5,7 +5,7 @@", 8),
        ("@@ -24988,7 +24988,7 @@", 8),
    ]
