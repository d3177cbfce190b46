"""The requirements manifest and the tests name each other: nothing promised is untested, no test is unclaimed."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from codewords_mcp.common.frozen_imports import loading
from tests.behaviours import BEHAVIOURS, SECTIONS, broken_sources
from tests.support.paths import SHARED

TESTS = Path(__file__).parent
PROVES_ITSELF = {Path(__file__).name}


def _ids(node: ast.AST) -> set[str]:
    """Ids in every `pytest.mark.requirement("…")` below a node."""
    found: set[str] = set()
    for call in ast.walk(node):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "requirement"
        ):
            found |= {
                arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            }
    return found


@cache
def _modules() -> list[tuple[Path, ast.Module]]:
    files = (path for path in TESTS.rglob("test_*.py") if path.name not in PROVES_ITSELF)
    with loading():  # they stay: nothing to collect
        return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(files)]


def _module_ids(tree: ast.Module) -> set[str]:
    marks = (
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node.targets[0])
    )
    return {one for node in marks for one in _ids(node)}


def _claims(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    return any(_ids(decorator) for decorator in node.decorator_list)


def _unclaimed(tree: ast.Module) -> list[str]:
    if _module_ids(tree):
        return []
    missing: list[str] = []
    for node in tree.body:
        if (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.name.startswith("test_")
            and not _claims(node)
        ):
            missing.append(node.name)
        if isinstance(node, ast.ClassDef) and not _claims(node):
            missing += [
                m.name
                for m in node.body
                if isinstance(m, ast.FunctionDef) and m.name.startswith("test_") and not _claims(m)
            ]
    return missing


def test_every_test_claims_a_requirement() -> None:
    unclaimed = {
        str(path.relative_to(TESTS)): names for path, tree in _modules() if (names := _unclaimed(tree))
    }
    assert unclaimed == {}


def test_every_requirement_has_a_test_and_every_id_a_requirement() -> None:
    used = {one for _, tree in _modules() for one in _ids(tree)}
    assert sorted(used - set(BEHAVIOURS)) == [], "ids that tests name and the manifest lacks"
    assert sorted(set(BEHAVIOURS) - used) == [], "promises that no test claims"


def test_what_others_ask_for_names_a_section_that_is_there_and_used() -> None:
    assert broken_sources(BEHAVIOURS, SECTIONS) == []
    assert {source for source, _ in BEHAVIOURS.values()} - {"ours"} == SECTIONS


@pytest.mark.parametrize("source", ["seed", "wire#", "wire#No such section", "nobody#Routes", "ours#Routes"])
def test_a_source_without_a_section_that_is_listed_is_found(source: str) -> None:
    assert broken_sources({"a:b": (source, "A sentence.")}, SECTIONS) == ["a:b"]


def test_sections_are_headings_of_the_documents_that_lie_beside_the_checkout() -> None:
    for source, document in (("seed", "seed/codewords-builder-devx.md"), ("wire", "design/wire-contract.md")):
        page = SHARED / document
        if page.exists():
            headings = re.findall(r"^#+ (?:\d+\. )?(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            sections = {name.partition("#")[2] for name in SECTIONS if name.startswith(f"{source}#")}
            assert sections - set(headings) == set(), page.name
