"""The few scripts in which a browser gets the console's modules."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.needs import require
from tests.support.npm import installed
from tests.unit.console.modules import CONSOLE, linker
from tests.unit.console.packages import ACORN

from codewords_mcp.console.es_modules import NotLinked
from codewords_mcp.console.linker import ALONE, CHUNKS, Linker

pytestmark = pytest.mark.requirement("console:linked")


def _node(folder: Path, *command: str) -> str:
    """What a program prints. Skips where Node is missing."""
    require("node")
    done = subprocess.run(
        ["node", *command], cwd=folder, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _written() -> dict[str, str]:
    return {
        name: path.read_text(encoding="utf-8")
        for path in CONSOLE.rglob("*.js")
        if path.parent.name != "cards" and (name := path.relative_to(CONSOLE).as_posix()) not in ALONE
    }


def test_each_module_is_in_one_chunk_behind_what_it_imports() -> None:
    assert sorted(name for names in linker().chunks.values() for name in names) == sorted(_written())
    assert list(linker().chunks) == list(CHUNKS), (
        "a part that is loaded later is listed with others of its page"
    )
    known = set[str]()
    for chunk in linker().chunks:
        assert known.issuperset(linker().imports_of(chunk))
        known.add(chunk)


@pytest.mark.slow
def test_a_chunk_says_of_each_module_what_is_written(tmp_path: Path) -> None:
    chunks = {f"{chunk}.js": linker().script(chunk) for chunk in linker().chunks}
    (tmp_path / "scripts.json").write_text(
        json.dumps({"modules": _written(), "chunks": chunks}), encoding="utf-8"
    )
    folder = installed(ACORN)
    shutil.copy(Path(__file__).parent / "same_programs.mjs", folder)
    assert json.loads(_node(folder, "same_programs.mjs", str(tmp_path / "scripts.json"))) == []


_PROGRAM = {
    "entry.js": 'import { count, add } from "./parts/state.js";\nimport { other } from "./parts/reader.js";\n'
    'import twice, { NAME as name } from "./parts/twice.js";\nconst run = async () => {\n'
    '  add();\n  const { value } = await import("./pages/late.js");\n'
    '  const { value: again } = await import("./pages/late.js");\n'
    '  console.log(count(), other(), twice(2), name, value, again === value);\n};\nconsole.log("entry");\nrun();\n',
    "parts/state.js": 'console.log("state");\nlet counted = 0;\nexport const count = () => counted;\n'
    "export function add() {\n  counted += 1;\n}\n",
    "parts/reader.js": 'import { count as counted } from "./state.js";\nconsole.log("reader");\n'
    "export { counted as other };\n",
    "parts/twice.js": 'export { NAME } from "./name.js";\nexport default function (value) {\n  return `${value * 2}`;\n}\n',
    "parts/name.js": 'export const NAME = "from \\"./state.js\\"";\n',
    "pages/late.js": 'import { add, count } from "../parts/state.js";\nadd();\n'
    'export const value = { counted: count() };\nconsole.log("late");\n',
}  # fmt: skip


@pytest.mark.parametrize(
    "chunks",
    [
        {"entry": ("entry.js", "pages/late.js")},
        {"entry": ("entry.js",), "late": ("pages/late.js",)},
        {"names": ("parts/name.js",), "states": ("parts/state.js",), "entry": ("entry.js",)},
        {},
    ],
)
def test_chunks_do_what_their_modules_do(tmp_path: Path, chunks: dict[str, tuple[str, ...]]) -> None:
    made = Linker(_PROGRAM, chunks)
    linked = {f"{chunk}.js": made.script(chunk) for chunk in made.chunks}
    for folder, files in {"written": _PROGRAM, "linked": linked}.items():
        for name, text in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (tmp_path / folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    said = _node(tmp_path / "written", "entry.js")
    assert said.splitlines()[:3] == ["state", "reader", "entry"]
    assert _node(tmp_path / "linked", made.address_of("entry.js")) == said


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ('import { two } from "./entry.js";\nexport const one = two;\n', "imports itself"),
        ("export let one = 1;\n", "may change"),
        ("let one = 1;\none = 2;\nexport { one };\n", "may change"),
        ("export const { one } = {};\n", "not known"),
        ("export const one = 1, other = 2;\n", "not known"),
        ('export * from "./other.js";\nexport const one = 1;\n', "not known"),
        ('import * as all from "./other.js";\nexport const one = all;\n', "not known"),
        ('const path = "./other.js";\nexport const one = () => import(path);\n', "not known"),
        ("export const one = () => `${import('./other.js')}`;\n", "within a template"),
        ('export const one = 1;\nimport "./other.js";\n', "behind its first statement"),
        ("export const one = import.meta.url;\n", "asks for its address"),
        ("await null;\nexport const one = 1;\n", "waits outside"),
        ("export const one = await null;\n", "waits outside"),
        ('import { two } from "./none.js";\nexport const one = two;\n', "no module parts/none.js"),
        ('export const one = () => import("./none.js");\n', "not there"),
        ('import "./other.js";\nexport const one = () => import("./other.js");\n', "no chunk is listed with"),
    ],
)
def test_what_a_chunk_cannot_take_is_refused(part: str, says: str) -> None:
    modules = {
        "parts/entry.js": 'import { one } from "./part.js";\nexport const two = one;\n',
        "parts/part.js": part,
        "parts/other.js": "export const other = 1;\n",
    }
    with pytest.raises(NotLinked, match=says):
        Linker(modules, {"entry": ("parts/entry.js",)}).script("entry")
