"""Each page of the documentation has something that a test proves, and nothing that no test does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, blocks
from tests.docs.proofs import ALL_PAGES, all_proofs, command_exists, prove, route_exists, shown_by, table

pytestmark = pytest.mark.requirement("docs:proofs")


def page(folder: Path, text: str) -> Path:
    """A page of its own."""
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_page_is_proven_and_nothing_on_it_is_open_or_unknown() -> None:
    proofs = all_proofs()
    assert {path.name for path in ALL_PAGES} >= {"README.md", "SECURITY.md", "numbers.md"}
    assert [proof.page for proof in proofs if not proof.proven] == []
    assert [place for proof in proofs for place in proof.open] == []
    assert [f"{proof.page.relative_to(ROOT)}: {name}" for proof in proofs for name in proof.unknown] == []
    assert all(reason.partition(": ")[2] for proof in proofs for reason in proof.not_run)


def test_every_output_is_shown_by_the_test_that_its_mark_names() -> None:
    marked = [
        block for path in ALL_PAGES for block in blocks(path) if block.mark and block.mark[0] == "shown by"
    ]
    assert marked
    assert [block.place for block in marked if not shown_by(block)] == []


def test_most_blocks_are_run_or_checked() -> None:
    proofs = all_proofs()
    unproven = sum(len(proof.not_run) for proof in proofs)
    assert unproven <= 0.1 * sum(proof.blocks for proof in proofs), table(proofs)


def test_a_page_of_prose_has_nothing_proven_and_an_unmarked_output_is_open(tmp_path: Path) -> None:
    prose = prove(page(tmp_path, "# A page\n\nWords.\n"))
    assert not prose.proven

    block = "```text\nan output\n```\n"
    assert [len(proof.open) for proof in map(prove, [page(tmp_path, block)])] == [1]
    assert prove(page(tmp_path, f"<!-- drawing: a house -->\n{block}")).open == []


def test_names_that_do_not_exist_are_unknown(tmp_path: Path) -> None:
    text = "`codewords deplyo`, `codewords list --al`, `CODEWORDS_HOEM`, `GET /rnus`, [a](gone.md)"
    found = prove(page(tmp_path, text))
    assert sorted(found.unknown) == [
        "CODEWORDS_HOEM",
        "GET /rnus",
        "codewords deplyo",
        "codewords list --al",
        "gone.md",
    ]
    assert command_exists("codewords list --json")
    assert command_exists("codewords-mcp --read-only --toolsets workflows,runs")
    assert route_exists("/runs/last/trace")
    assert not route_exists("/runz/last/trace")


def test_an_output_that_its_test_does_not_hold_is_not_shown_by_it() -> None:
    mark = ("shown by", "tests/docs/test_proofs.py")
    assert not shown_by(
        Block(ROOT / "README.md", 1, "text", f"words that {'stand'} nowhere {'else'} at all", mark)
    )
    assert not shown_by(
        Block(ROOT / "README.md", 1, "text", "any words of a block", ("shown by", "tests/gone.py"))
    )
