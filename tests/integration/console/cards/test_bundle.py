"""The script of a card beside what a bundler makes of the same modules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.console.cards.helpers import PACKAGES
from tests.support import npm
from tests.unit.console.modules import CONSOLE

from codewords_mcp.console.bundle import Bundle
from codewords_mcp.console.script_text import without_comments

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("cards:bundle")]
_COMPARE = """
import { transform } from "esbuild";
import { readFileSync } from "node:fs";
const pairs = JSON.parse(readFileSync(process.argv[2], "utf8"));
const made = (text) => transform(text, { loader: "js", minifyWhitespace: true, legalComments: "none" }).then(({ code }) => code);
const wrong = [];
for (const [name, one, other] of pairs) if ((await made(one)) !== (await made(other))) wrong.push(name);
console.log(JSON.stringify(wrong));
"""


async def test_no_module_is_another_program_without_its_comments(tmp_path: Path) -> None:
    folder = npm.installed(*PACKAGES)
    pairs: list[tuple[str, str, str]] = []
    for path in sorted(CONSOLE.rglob("*.js")):
        source = path.read_text(encoding="utf-8")
        code, literals = without_comments(source)
        pairs.append((path.name, source, literals.restore(code)))
    (folder / "compare.mjs").write_text(_COMPARE, encoding="utf-8")
    (tmp_path / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
    code, out, err = await npm.node(folder, "compare.mjs", str(tmp_path / "pairs.json"))
    assert code == 0, err
    assert json.loads(out) == []


_MODULES = {
    "entry.js": 'import { sum as add, Shape } from "./math.js";\nimport format, { PREFIX } from "./text.js";\n'
    'import { again } from "./pass.js";\nconst name = "entry";\n'
    'import("./later.js").then(({ value }) => console.log(format(add(1, 2)), PREFIX, new Shape().name, again(3), value, name));\n',
    "math.js": "const name = /[/'`]/;\nconst one = 4 / 2 / 2;\n/** It's `here`. */\nexport const sum = (a, b) => (name.test(\"'\") ? a + b : one);\n"
    'export class Shape {\n  // it\'s a shape\n  name = `${`${"} // nested"}`}`;\n}\nconst unused = 1;\n',
    "text.js": 'const name = "text";\nexport default function format(value) {\n  return `${name}: ${value} /* no comment */`;\n}\n'
    'export const PREFIX = "// no comment";\n',
    "pass.js": 'export { twice as again } from "./twice.js";\n',
    "twice.js": "export async function* unused() {}\nconst factor = 2;\nexport {\n  twice,\n};\nfunction twice(value) {\n  return value * factor;\n}\n",
    "later.js": 'export const value = "later";\nexport const name = "of later";\n',
}


async def test_a_script_does_what_its_modules_do(tmp_path: Path) -> None:
    for name, text in _MODULES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    whole = tmp_path / "whole.mjs"
    whole.write_text(Bundle(tmp_path, "entry.js").script(), encoding="utf-8")
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    _, of_modules, _ = await npm.node(tmp_path, "entry.js")
    code, of_script, _ = await npm.node(tmp_path, "whole.mjs")
    assert (code, of_script) == (0, of_modules)
    assert of_modules.split() == [
        "text:",
        "3",
        "/*",
        "no",
        "comment",
        "*/",
        "//",
        "no",
        "comment",
        "}",
        "//",
        "nested",
        "6",
        "later",
        "entry",
    ]
