"""Shared modules in the code of a version: what goes in comes out, and what cannot be installed is refused."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.runtime.model.modules import (
    MAX_MODULES,
    InvalidModules,
    SharedModule,
    join_modules,
    module_text,
    split_modules,
)

pytestmark = pytest.mark.requirement("projects:module-text")
_lines = st.lists(
    st.text(st.sampled_from("ab #|/\"'\\\t\x0b\x0c\x1c\x85\u2028éz"), max_size=12)
    | st.sampled_from(["", "# ///", "///", "# /// module a.py", "#| x", "# /// script", '"""']),
    max_size=6,
)


@given(_lines, st.lists(_lines, max_size=3))
def test_every_text_comes_back_as_it_was(program: list[str], texts: list[list[str]]) -> None:
    code = "".join(f"{line}\n" for line in [*program, "pass"])
    modules = tuple(
        SharedModule(f"shared/m{number}.py", module_text("\n".join(lines)))
        for number, lines in enumerate(texts)
    )
    joined = join_modules(code, reversed(modules))
    assert split_modules(joined) == (code, modules)
    assert joined == join_modules(*split_modules(joined))
    # Of a module nothing is ever code of the program.
    assert all(line.startswith(("# /// module ", "#|")) for line in joined[len(code) :].split("\n")[:-1])


def test_blocks_are_read_with_any_newlines_and_with_empty_lines_between() -> None:
    code = "x = 1\n\n# /// module a.py\n#| one\n#|   two\n#|\n\n# /// module b/c.py\n\n"
    expected = (SharedModule("a.py", "one\n  two\n\n"), SharedModule("b/c.py", ""))
    for newline in ("\n", "\r\n", "\r"):
        program, modules = split_modules(code.replace("\n", newline))
        assert (program, modules) == ("x = 1\n\n".replace("\n", newline), expected)
    assert [module.line for module in split_modules(code)[1]] == [3, 8]


@pytest.mark.parametrize(
    "code",
    [
        't = """\n# /// module a.py\n#| x\n"""\n',
        "# /// module a.py\n#| x\nprint(1)\n",
        "#| x\n",
        "# /// modules\n",
    ],
)
def test_what_is_not_at_the_end_is_no_module(code: str) -> None:
    assert split_modules(code) == (code, ())


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["../a.py"], "names of Python"),
        (["/etc/a.py"], "names of Python"),
        (["a\\b.py"], "names of Python"),
        (["a.pth"], "names of Python"),
        (["a-1.dist-info/RECORD.py"], "names of Python"),
        ([""], "names of Python"),
        (["json/x.py"], "every program has already"),
        (["sitecustomize.py"], "every program has already"),
        (["codewords_client/x.py"], "every program has already"),
        (["a.py", "a.py"], "are one module"),
        (["a.py", "a/__init__.py"], "are one module"),
        (["a.py", "a/b.py"], "not importable beside"),
        ([f"m{number}.py" for number in range(MAX_MODULES + 1)], "at most 200"),
    ],
)
def test_what_cannot_be_installed_is_refused_with_its_line(paths: list[str], words: str) -> None:
    code = "pass\n" + "".join(f"# /// module {path}\n" for path in paths)
    with pytest.raises(InvalidModules, match=words) as raised:
        split_modules(code)
    assert raised.value.line is not None
    assert ast.parse(code).body
