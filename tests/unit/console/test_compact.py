"""What a browser gets of a script or a style says the same as what is written."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.support.npm import installed
from tests.unit.console.modules import CONSOLE, modules
from tests.unit.console.packages import ACORN

from codewords_mcp.console.assets import asset_of
from codewords_mcp.console.compact import script, style

SAME = """
import { parse } from "acorn";
import { readFileSync } from "node:fs";

const PLACES = new Set(["start", "end"]);
const tree = (text) => JSON.stringify(
  parse(text, { ecmaVersion: "latest", sourceType: "module" }),
  (name, value) => (PLACES.has(name) ? undefined : value instanceof RegExp ? String(value) : value),
);
const pairs = JSON.parse(readFileSync(process.argv[2], "utf8"));
console.log(JSON.stringify(Object.keys(pairs).filter((name) => tree(pairs[name][0]) !== tree(pairs[name][1]))));
"""
HARD = {
    "strings": 'const a = "// no"; const b = \'/* no */\'; const c = "\\"// still"; // gone',
    "templates": "const a = `  // kept ${ b /* gone */ + `  ${ { c : 1 } . c }  \\` \\${ ` } /* kept */ $ {`;",
    "closing braces": "const f = (x) => { return `${ x.map((y) => { return `${ y }` ; }) } }` ; } ;",
    "expressions": "const a = /[/*]\\/\"'`/gu ; f ( /a/ , x ? /b/ : /c/ ) ; const g = () => /d [ \\] / ] /.test ( x )",
    "divisions": "const a = b / c / d; const e = (f) / 2 / g; const h = i[0] / 3; let j = 1; j /= 2; const k = j++ / 2;",
    "words before expressions": "function f(x) { if (typeof /a/ === x) return /b/ ; switch (x) { case /c/ : } }",
    "no semicolons": "let a = 1\nlet b = a\n++a\nconst f = () => {}\n/* one\n two */ f()\nfunction g() { return\n1 }",
    "comment as line break": "let a = 1 /* one\n two */ let b = 2",
    "signs": "const a = 1 + +b - -c; const d = a+ ++b; const e = - -a; const f = 1 . toFixed ( ); const g = a ?. b ?? c;",
    "conditions": "const a = b ?.5 : .5; const c = b\n  ? 1\n  : 2;\nconst d = b\n  .e()\n  .f();",
    "words": "const a = 'x'in b; for (const c of[1, 2]) { } const { d , ... e } = b; label: for (;;) { break\nlabel }",
    "private names": "class A { #a = 1; get b() { return this . #a }\n static c = 2\n ; *d() { yield\n1 }\n async e() { } }",
    "other spaces": "let a\f= 1;\v// gone\nlet b\u00a0= a",
    "other letters": "const größe = 1; const b = größe in c",
}


@pytest.mark.requirement("console:compact")
@pytest.mark.slow
def test_compact_scripts_have_the_syntax_trees_of_what_is_written(tmp_path: Path) -> None:
    folder = installed(ACORN)
    pairs = {path.name: path.read_text(encoding="utf-8") for path in modules()} | HARD
    (tmp_path / "pairs.json").write_text(
        json.dumps({name: [text, script(text)] for name, text in pairs.items()}), encoding="utf-8"
    )
    (folder / "same.js").write_text(SAME, encoding="utf-8")
    told = subprocess.run(
        ["node", "same.js", tmp_path / "pairs.json"],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == []


@pytest.mark.requirement("console:compact")
def test_compact_scripts_have_neither_comments_nor_indentation() -> None:
    written = (
        "// A comment.\n  /** Another. */\n  export const a = (b) => {\n    return b + 1; // why\n  };\n"
    )
    assert script(written) == "export const a=(b)=>{return b+1;};"
    assert script("a\n\n\n  b") == "a\nb"


@pytest.mark.requirement("console:compact")
@pytest.mark.parametrize("text", ["const a = `b", "const a = `${ b", "const a = /b\n", "a = [/b\n/]"])
def test_a_script_with_something_that_does_not_end_is_kept_for_the_browser_to_tell(text: str) -> None:
    assert script(text) == text


@pytest.mark.requirement("console:compact")
def test_compact_styles_keep_strings_and_spaces_that_say_something() -> None:
    written = """/* Gone. */
    .a > .b :hover, .c { /* gone; } */
      color: red;
      content: "a  /* kept */ ; }";
      width: calc(1px + 2 * var(--x));
    }
    @media (max-width: 48rem) and (hover: hover) { :root { --y: ; } }"""
    assert style(written) == (
        '.a > .b :hover,.c{color:red;content:"a  /* kept */ ; }";width:calc(1px + 2 * var(--x));}'
        "@media (max-width:48rem) and (hover:hover){:root{--y:;}}"
    )


@pytest.mark.requirement("console:compact")
def test_nothing_that_is_vendored_is_changed() -> None:
    for path in (CONSOLE / "vendor").glob("*.js"):
        assert asset_of(f"vendor/{path.name}", path.read_bytes()).body == path.read_bytes()
