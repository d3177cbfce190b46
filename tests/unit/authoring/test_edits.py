"""Patches of programs: each line of a hunk is a line of the code, whatever it looks like."""

from __future__ import annotations

import random

import pytest
from tests.support.difference_reader import hostile_pair

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.authoring.edits import apply_patch
from codewords_mcp.runtime.model.code_difference import code_difference, program_lines

pytestmark = pytest.mark.requirement("author:edits")


@pytest.mark.parametrize(
    ("code", "patch", "after"),
    [
        ("a\n-- x\nb\n", "--- m\n+++ m\n@@\n a\n--- x\n+++ y\n b\n", "a\n++ y\nb\n"),
        ("a\n-- x\nb\n", "@@ -1,3 +1,2 @@\n a\n--- x\n b\n", "a\nb\n"),
        ("a\nb\n", "@@ -1,2 +1,3 @@\n a\n+x\x0cy\n b\n\\ No newline at end of file", "a\nx\x0cy\nb\n"),
        ("a\nb\nc\n", "--- m\n+++ m\n@@ -1 +1 @@\n-a\n+A\n--- m\n+++ m\n@@ -3 +3 @@\n-c\n+C\n", "A\nb\nC\n"),
        ("\ta  \nb\n", "@@ -1,2 +1,2 @@\n-⟨U+0009⟩a⟨U+0020 x2⟩\n+⟨U+0009⟩c\n b", "\tc\nb\n"),
    ],
    ids=["without numbers", "a removed line", "a form feed", "two heads of files", "a drawn difference"],
)
def test_each_line_of_a_hunk_is_a_line_of_the_code(code: str, patch: str, after: str) -> None:
    assert apply_patch(code, patch) == after


def test_lines_that_may_name_a_file_or_be_code_are_refused() -> None:
    with pytest.raises(InvalidInput, match="Line 3 of the patch"):
        apply_patch("a\n-- x\nb\nc\n", "@@\n a\n--- x\n+++ y\n@@\n-c\n+C\n")


def test_a_drawn_difference_is_a_patch_that_is_applied_rightly_or_refused() -> None:
    chance = random.Random(7)
    head = "".join(f"h{at}\n" for at in range(4))
    applied = 0
    for _ in range(400):
        before, after = (head + "".join(program_lines(text)) + "\nend\n" for text in hostile_pair(chance))
        try:
            made = apply_patch(before, code_difference(before, after).text())
        except InvalidInput:
            continue
        assert made == after
        applied += 1
    assert applied > 200
