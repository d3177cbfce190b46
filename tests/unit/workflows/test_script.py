"""What a script declares, and code that cannot be read at all."""

from __future__ import annotations

import dataclasses
import hashlib
import marshal
import warnings
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from tests.unit.workflows.helpers import ANY, APP, HEADER, ONLY_3_11, script

from codewords_mcp.runtime.model.modules import normalise
from codewords_mcp.runtime.sandboxes.namespaces.inside.program_code import compile_script
from codewords_mcp.runtime.workflows.declarations import newest_minor
from codewords_mcp.runtime.workflows.script import UnreadableScript, parse_script


def refused(code: str, **options: int) -> UnreadableScript:
    with pytest.raises(UnreadableScript) as caught:
        parse_script(code, **options)
    return caught.value


def with_env(*entries: str) -> str:
    listed = ", ".join(f'"{entry}"' for entry in entries)
    return f"# /// script\n# [tool.env-checker]\n# env_vars = [{listed}]\n# ///\n{APP}"


@pytest.mark.requirement("workflows:declared")
def test_variables_are_defaults_required_or_connections() -> None:
    read = parse_script(
        with_env("PORT=8000", "A=b=c", "EMPTY=", "STRIPE_API_KEY", "PIPEDREAM_GOOGLE_CALENDAR_ACCESS")
    )
    assert [(one.name, one.default, one.required) for one in read.env] == [
        ("PORT", "8000", False),
        ("A", "b=c", False),
        ("EMPTY", "", False),
        ("STRIPE_API_KEY", None, True),
    ]
    assert read.connections == ("google_calendar",)


@pytest.mark.requirement("workflows:declared")
@pytest.mark.parametrize("entry", ["1A=x", "A B", "=x", "", "A-B=1", "A=\\u0000"])
def test_a_variable_that_no_environment_can_hold_is_refused(entry: str) -> None:
    with pytest.raises(Exception, match="no environment can hold"):
        parse_script(with_env(entry))


@pytest.mark.requirement("workflows:declared")
def test_unknown_keys_are_notes() -> None:
    code = (
        "# /// script\n# authors = []\n# [tool.codewords]\n# retries = 3\n# colour = 1\n# [tool.uv]\n# x = 1\n# ///\n"
        + APP
    )
    read = parse_script(code)
    messages = " ".join(note.message for note in read.notes)
    assert {note.status for note in read.notes} == {"note"}
    assert all(
        word in messages for word in ("`authors`", "`colour`", "[tool.uv]", "`requires-python` is missing")
    )
    assert "retries" not in messages


@pytest.mark.requirement("workflows:client")
def test_a_header_can_insist_on_the_registrys_client() -> None:
    header = HEADER.replace('"fastapi==0.115.12"', '"Codewords_Client==0.2.4"')
    assert parse_script(header + APP).uses_our_client
    pypi = header.replace("# ///\n", '# [tool.codewords]\n# client = "pypi"\n# ///\n')
    assert not parse_script(pypi + APP).uses_our_client
    for value in ('"mine"', "[]", "1"):
        with pytest.raises(Exception, match='neither "ours" nor "pypi"'):
            parse_script(pypi.replace('"pypi"', value) + APP)


@pytest.mark.requirement("workflows:versions")
def test_a_script_is_its_code_letter_for_letter_and_cannot_be_changed() -> None:
    code = script() + "\n# naïve 🚨  \n"
    read = parse_script(code)
    assert read.code == code
    assert read.code_hash == hashlib.sha256(code.encode()).hexdigest()
    with pytest.raises(dataclasses.FrozenInstanceError):
        read.code = ""  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        read.tool["client"] = "pypi"  # pyright: ignore[reportIndexIssue]


@pytest.mark.requirement("workflows:parse")
def test_a_syntax_error_has_line_and_column() -> None:
    error = refused(script("def f(:\n    pass\n"))
    assert (error.line, error.column) == (12, 7)
    assert "line 12, column 7" in error.message


@pytest.mark.requirement("workflows:parse")
@pytest.mark.parametrize("code", ["", "   \n\t\n", "\ufeff"])
def test_an_empty_script_is_refused(code: str) -> None:
    assert "empty" in refused(code).message


@pytest.mark.requirement("workflows:parse")
def test_nul_bytes_and_half_surrogates_are_refused_with_their_place() -> None:
    nul, surrogate = refused(script('a = 1\nb = "\0"\n')), refused(script('a = 1\nb = "\ud83d"\n'))
    assert (nul.line, nul.column) == (13, 6)
    assert (surrogate.line, surrogate.column) == (13, 6)


@pytest.mark.requirement("workflows:encoding")
@pytest.mark.parametrize(
    ("top", "line", "column"),
    [
        ("# -*- coding: utf-7 -*-\n", 1, 15),
        ("#!/usr/bin/env python3\n# vim: set fileencoding=latin-1 :\n", 2, 25),
        ("\f \t# coding:cp1252\n", 1, 13),
        ("# coding: utf-7\n# coding: utf-8\n", 1, 11),
        ("# coding: utf-8 coding: utf-7\n", 1, 25),
        ("\ufeff# coding=utf_16\r", 1, 10),
        ("# coding: made-up\n", 1, 11),
    ],
)
def test_another_encoding_than_utf_8_is_refused_with_its_place(top: str, line: int, column: int) -> None:
    error = refused(top + script())
    assert (error.line, error.column) == (line, column)
    assert "encoding" in error.message


@pytest.mark.requirement("workflows:encoding")
def test_a_shared_modules_encoding_is_refused_with_its_file() -> None:
    error = refused(script() + "# /// module helpers.py\n#| # coding: utf-7\n#| # +AAo-x = 1\n")
    assert "helpers.py" in error.message
    assert (error.line, error.column) == (15, 11)


@pytest.mark.requirement("workflows:encoding")
@pytest.mark.parametrize(
    "top",
    [
        "# -*- coding: utf-8 -*-\n", "#!/usr/bin/env python3\n# -*- coding: UTF8 -*-\n", "# vim: fileencoding=utf_8\n", "\ufeff# coding: utf-8-sig\n",
        "# 1\n# 2\n# coding: latin-1\n", 'note = "coding: latin-1"\n', "# encoding of the answer\n",
    ],
)  # fmt: skip
def test_a_script_that_says_that_it_is_utf_8_is_taken(top: str) -> None:
    assert parse_script(top + script()).tree is not None


@pytest.mark.requirement("workflows:encoding")
@pytest.mark.parametrize(
    "code",
    [
        "# -*- coding: utf-7 -*-\n# note: +AAo-x = 1\n", "\ufeffx = 'a'\ry = 2\r", 'x = """a\r\nb\rc"""\r\ny = 1\r', "# a\x0cx = 1\n\x0cy = 2\n",
        "# coding: latin-1\nx = 'é'\n", "x = 'a\u2028b'\n# c\x85d\x1ce\n", "x = 1\n\x0c\x0c  # y\n", "x = '\x1a'\n", 'x = """a\\\r\nb"""',
    ],
)  # fmt: skip
def test_a_sandbox_compiles_the_text_that_was_read(tmp_path: Path, code: str) -> None:
    path = tmp_path / "main.py"
    path.write_text(code, encoding="utf-8", newline="")
    made = compile_script(str(path))
    assert made is not None
    assert marshal.dumps(made) == marshal.dumps(
        compile(normalise(code), str(path), "exec", dont_inherit=True)
    )


@pytest.mark.requirement("workflows:parse")
def test_a_huge_script_is_refused_without_parsing() -> None:
    unparseable = "(" * 20_000_000  # parsing this would be noticed
    assert "20,000,000 bytes; the limit is 1,048,576" in refused(unparseable).message
    assert "limit is 10" in refused("é" * 6, max_code=10).message


@pytest.mark.requirement("workflows:parse")
@pytest.mark.parametrize(
    "expression",
    ["(" * 5000, "-" * 200_000 + "1", "[" * 150 + "]" * 150, "1" + "+1" * 100_000, "a" + ".b" * 100_000],
)
def test_deeply_nested_code_is_an_answer_not_a_crash(expression: str) -> None:
    code = script(APP + f"x = {expression}\n")
    read, refusal = None, ""
    try:
        read = parse_script(code)  # some of these are within what this Python reads
    except UnreadableScript as refused:
        refusal = str(refused)
    assert (read is not None and read.code == code) or (refusal and expression[:500] not in refusal)


@pytest.mark.requirement("workflows:parse")
def test_odd_escapes_are_read_without_a_warning_of_ours() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert '"\\d"' in parse_script(script(APP + 'x = "\\d"\n')).code


@pytest.mark.requirement("workflows:parse")
def test_syntax_that_the_scripts_python_lacks_is_refused_whatever_the_runtime_runs_on() -> None:
    newer = "type Name = str\n" + APP
    assert refused(script(newer, header=ONLY_3_11)).line == 12
    assert refused(script("x = = 1\n", header=ONLY_3_11.replace("==3.11.*", "==3.11.7"))).line == 12


@pytest.mark.requirement("workflows:parse")
def test_syntax_of_a_newer_python_is_left_to_that_python() -> None:
    read = parse_script(script("x = = 1\n" + APP, header=HEADER.replace(ANY, ">=3.30")))
    assert read.tree is None
    assert read.facts.mentions_fastapi


@pytest.mark.requirement("workflows:parse")
@pytest.mark.parametrize(
    ("requires", "newest"),
    [
        ("", 30),
        (">=3.11,<3.14", 13),
        ("==3.11.7", 11),
        (">=3.11.4,<3.12", 11),
        ("~=3.12.1", 12),
        (">=4", None),
    ],
)
def test_the_newest_python_of_a_specifier_is_known(requires: str, newest: int | None) -> None:
    assert newest_minor(SpecifierSet(requires)) == newest


@pytest.mark.requirement("workflows:seed", "workflows:dialect")
def test_the_seeds_programs_are_read_with_notes_and_no_error(seed_examples: Path) -> None:
    notes = {
        path.stem: parse_script(path.read_text(encoding="utf-8")).notes for path in seed_examples.glob("*.py")
    }
    assert notes["greeting"] == ()
    assert all(note.status in ("note", "warning") for several in notes.values() for note in several)
    words = {name: " ".join(note.message for note in several) for name, several in notes.items()}
    assert all(
        word in words["support_ticket_analyzer"] for word in ("`data=`", "`app_slug`", "`action_name`")
    )
    assert "PYTHONHASHSEED=0" in words["website_monitor"]
    assert "`action` works here" in words["website_monitor"]
