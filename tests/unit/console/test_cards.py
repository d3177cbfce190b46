"""The documents of cards, and the script that modules become."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from tests.unit.console.modules import CONSOLE, code_of

from codewords_mcp.console.bundle import Bundle, used_styles
from codewords_mcp.console.card_pages import CARDS, card_bundle, card_page
from codewords_mcp.console.es_modules import NotLinked
from codewords_mcp.console.script_text import without_comments

LARGEST = {
    "run": 36_000,
    "deploy-review": 23_000,
    "inbox-item": 22_000,
    "input-form": 47_000,
    "usage": 23_500,
}
"""Bytes of each document, compressed. They only sink."""
HOST_BYTES = 1_100
"""Bytes of what speaks to the host, compressed, without comments."""


@pytest.mark.requirement("cards:documents")
@pytest.mark.parametrize("name", CARDS)
def test_a_document_is_whole_small_and_the_same_each_time(name: str) -> None:
    page = card_page(name)
    assert page == card_page.__wrapped__(name)
    assert len(gzip.compress(page.encode(), mtime=0)) <= LARGEST[name]
    assert page.startswith("<!doctype html>")
    assert (page.count("<script"), page.count("</script>"), page.count("<style>")) == (1, 1, 1)
    assert not re.search(r"^\s*(?:import|export)\b", page, re.MULTILINE)
    assert not re.search(r"[\0\1]|<link|\bsrc=\"|url\(", page)


@pytest.mark.requirement("cards:documents")
def test_each_card_has_an_entry_and_takes_the_consoles_own_modules() -> None:
    entries = {name.replace("-", "_") for name in CARDS}
    assert entries < {path.stem for path in (CONSOLE / "cards").glob("*.js")}
    files = card_bundle("run").files()
    assert {"parts/timeline.js", "parts/log.js", "parts/log_store.js", "format.js"} <= set(files)
    assert not {"router.js", "parts/link.js"} & set(files)
    assert not re.search(r"\bfetch\(|EventSource|history\.|location\.", card_page("run"))


@pytest.mark.requirement("cards:documents")
def test_what_speaks_to_the_host_is_small() -> None:
    code, literals = without_comments((CONSOLE / "cards/host.js").read_text(encoding="utf-8"))
    assert len(gzip.compress(literals.restore(code).encode(), mtime=0)) <= HOST_BYTES


@pytest.mark.requirement("cards:yes")
def test_no_module_of_a_card_calls_a_tool_by_which_a_person_answers() -> None:
    called = {
        name
        for path in (CONSOLE / "cards").glob("*.js")
        for name in re.findall(r"callTool\(\s*\"(\w+)\"", code_of(path))
    }
    assert called == {"cancel_run", "run_workflow", "deploy_workflow"}


def _module(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.requirement("cards:bundle")
def test_unused_statements_and_comments_are_left_out(tmp_path: Path) -> None:
    _module(tmp_path, "entry.js", 'import { used } from "./part.js";\nconsole.log(used());\n')
    _module(
        tmp_path,
        "part.js",
        "// A note.\nconst SIZE = 3;\nconst OTHER = 4;\nexport function used() {\n  return SIZE; // here\n}\n"
        "export const unused = () => OTHER;\n",
    )
    script = Bundle(tmp_path, "entry.js").script()
    assert "SIZE" in script
    assert not re.search("OTHER|unused|note|here", script)


@pytest.mark.requirement("cards:bundle")
@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("export let count = 0;\n", "may change"),
        ('import * as all from "./entry.js";\nexport const one = 1;\n', "not known"),
        ('export * from "./entry.js";\nexport const one = 1;\n', "not known"),
        ("export const two = 2;\n", "exports no one"),
        ('import { two } from "./entry.js";\nexport const one = two;\n', "imports itself"),
        ('import { two } from "package";\nexport const one = two;\n', "no relative path"),
        ('export const one = "</script>";\n', "can't have"),
        ("export const one = await 1;\n", "waits outside"),
    ],
)
def test_what_one_script_cannot_take_is_refused(tmp_path: Path, part: str, says: str) -> None:
    _module(
        tmp_path, "entry.js", 'import { one } from "./part.js";\nexport const two = 2;\nconsole.log(one);\n'
    )
    _module(tmp_path, "part.js", part)
    with pytest.raises(NotLinked, match=says):
        Bundle(tmp_path, "entry.js").script()


@pytest.mark.requirement("cards:bundle")
def test_styles_of_classes_that_nobody_has_are_left_out() -> None:
    css = ".one { a: b }\n.two, .one .three { c: d } /* .note */\n@media (x) { .two { e: f } .one { g: h } }\np { i: j }\n"
    assert used_styles(css, 'class="one"') == (".one { a: b }\n@media (x) {\n.one { g: h }\n}\np { i: j }\n")
