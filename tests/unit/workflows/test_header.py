"""The PEP 723 header: what is read, and what each mistake is told."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from tests.unit.workflows.helpers import ANY, APP, HEADER, script

from codewords_mcp.errors import InvalidInput, InvalidScript
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.workflows.analysis.derive import derive
from codewords_mcp.runtime.workflows.header import HEADER_TO_PASTE
from codewords_mcp.runtime.workflows.script import UnreadableScript, parse_script

pytestmark = pytest.mark.requirement("workflows:header")


def refused(code: str) -> InvalidScript:
    with pytest.raises(InvalidScript) as caught:
        parse_script(code)
    return caught.value


def with_lines(*lines: str) -> str:
    return "# /// script\n" + "".join(f"# {line}\n" for line in lines) + "# ///\n" + APP


def test_a_header_is_read_as_the_specification_says() -> None:
    read = parse_script(script())
    assert SpecifierSet(read.requires_python) == SpecifierSet(ANY)
    assert read.dependencies == ("fastapi==0.115.12", "uvicorn[standard]==0.34.2")
    assert [(one.name, one.default, one.required) for one in read.env] == [("PORT", "8000", False)]


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_other_newlines_and_a_byte_order_mark_change_nothing_but_the_stored_code(newline: str) -> None:
    code = "\ufeff" + script().replace("\n", newline)
    read = parse_script(code)
    assert read.dependencies == parse_script(script()).dependencies
    assert read.code == code


def test_other_blocks_and_text_before_the_header_are_left_alone() -> None:
    read = parse_script(
        "#!/usr/bin/env python\n# a comment\n\n# /// other\n# anything = here\n# ///\n\n" + script()
    )
    assert SpecifierSet(read.requires_python) == SpecifierSet(ANY)


def test_an_empty_comment_line_belongs_to_the_header() -> None:
    assert parse_script(HEADER.replace("# [tool", "#\n# [tool") + APP).env[0].name == "PORT"


def test_a_missing_header_gets_one_to_paste_that_works() -> None:
    error = refused(APP)
    assert "no PEP 723 header" in error.message
    assert HEADER_TO_PASTE in error.hint
    assert "fastapi==0.115.12" in parse_script(HEADER_TO_PASTE + APP).dependencies


@pytest.mark.parametrize("opening", ["#/// script", "# /// script ", "# //// script", "# /// Script"])
def test_a_header_that_nearly_opens_is_told_how_to_spell_it(opening: str) -> None:
    error = refused(script(header=HEADER.replace("# /// script", opening, 1)))
    assert error.line == 1
    assert "`# /// script`" in error.hint


def test_two_headers_are_named_with_both_lines() -> None:
    error = refused(script(header=HEADER + "\n" + HEADER))
    assert (error.line, error.column) == (13, 1)
    assert "line 1 and on line 13" in error.message


def test_two_headers_without_a_gap_are_two_headers_too() -> None:
    assert "line 1 and on line 12" in refused(script(header=HEADER + HEADER)).message


def test_an_unclosed_header_is_told_where_it_ends() -> None:
    error = refused(script(header=HEADER.replace("# ///\n", "")))
    assert "line 1 opens is never closed" in error.message
    assert error.line == 10


def test_a_toml_error_has_its_line_in_the_file() -> None:
    error = refused("\n\n" + with_lines('requires-python = ">=3.11"', 'dependencies = ["fastapi" "uvicorn"]'))
    assert error.line == 5
    assert "not valid TOML" in error.message
    assert error.column is not None
    assert error.column > len("# dependencies")


def test_a_toml_error_at_the_end_points_at_the_headers_last_line() -> None:
    assert refused(with_lines('dependencies = ["fastapi"')).line == 2


@pytest.mark.parametrize("value", ["3.11", '"three"', '"3.11"', "[1]"])
def test_a_bad_python_specifier_is_told_with_its_line(value: str) -> None:
    error = refused(with_lines("dependencies = []", f"requires-python = {value}"))
    assert error.line == 3
    assert "==3.11.*" in error.hint


@pytest.mark.parametrize(
    "entry",
    [
        "fastapi==",
        "two words",
        "==1.0",
        "",
        "fastapi=0.1",
        "a;b",
        "name==1.0\\n--index-url=x",
        "x; " + "(" * 3000,
    ],
)
def test_a_dependency_that_is_no_requirement_is_told_with_its_line(entry: str) -> None:
    error = refused(with_lines("dependencies = [", '  "fastapi",', f'  "{entry}",', "]"))
    assert "Dependency 2" in error.message
    assert error.line == (4 if entry and "\\n" not in entry else error.line)


@pytest.mark.parametrize(
    "entry",
    [
        "-e .", "--index-url https://example.com", "./package", "/etc/passwd", "~/package", "git+https://example.com/x.git",
        "https://example.com/x-1.0-py3-none-any.whl", "x @ git+https://example.com/x", "x @ file:///etc/passwd",
        "x @ https://example.com/x-1.0.tar.gz", "file:///tmp/x.whl",
    ],
)  # fmt: skip
def test_only_packages_of_the_index_are_dependencies(entry: str) -> None:
    assert "only packages of the index" in refused(with_lines(f'dependencies = ["{entry}"]')).message


@pytest.mark.parametrize("value", ['"fastapi"', "[1]", "{}"])
def test_dependencies_must_be_a_list_of_strings(value: str) -> None:
    assert "must be a list of strings" in refused(with_lines(f"dependencies = {value}")).message


def test_names_of_dependencies_are_normalised() -> None:
    assert parse_script(
        with_lines('dependencies = ["Typing_Extensions >= 4", "Ruamel.Yaml"]')
    ).dependencies == (
        "typing-extensions>=4",
        "ruamel-yaml",
    )


def test_env_vars_outside_their_table_get_the_exact_fix() -> None:
    error = refused(with_lines("dependencies = []", 'env_vars = ["PORT=8000"]'))
    assert error.line == 3
    assert "`# [tool.env-checker]` right above line 3" in error.hint


@pytest.mark.parametrize("table", ["[tool.codewords]", "[tool.env]"])
def test_env_vars_in_a_wrong_table_get_the_exact_fix(table: str) -> None:
    error = refused(with_lines(table, 'env_vars = ["PORT=8000"]'))
    assert "`# [tool.env-checker]` right above line 3" in error.hint


@pytest.mark.parametrize("table", ["[env-checker]", "[tool.env_checker]", "[env_checker]"])
def test_a_misspelt_table_gets_the_exact_fix(table: str) -> None:
    error = refused(with_lines(table, 'env_vars = ["PORT=8000"]'))
    assert error.hint == "Write line 2 as `# [tool.env-checker]`."


def test_dependencies_below_a_table_are_told_to_move() -> None:
    error = refused(with_lines("[tool.env-checker]", 'env_vars = ["A=1"]', 'dependencies = ["fastapi"]'))
    assert error.line == 4
    assert "Move it above the line `# [tool.env-checker]`" in error.hint


def test_code_that_is_no_python_is_told_so_before_its_missing_header() -> None:
    error = refused("const app = express();\napp.listen(3000) {\n")
    assert isinstance(error, UnreadableScript)
    assert error.line == 1


@pytest.mark.parametrize("lines", [["a = " + "[" * 100_000], ["dependencies = [", *['  "a",'] * 501, "]"]])
def test_a_header_made_to_be_slow_is_refused(lines: list[str]) -> None:
    assert refused(with_lines(*lines)).line == 2


@pytest.mark.parametrize("key", ["retries", "timeout", "concurrency"])
@pytest.mark.parametrize("value", ["-1", "100000000", "1.5", "true", '"3"'])
def test_a_number_of_ours_that_is_none_is_told_with_its_bounds_and_line(key: str, value: str) -> None:
    error = refused(with_lines("[tool.codewords]", f"{key} = {value}"))
    assert f"`{key}` in [tool.codewords] is not a whole number from" in error.message
    assert error.line == 3


@pytest.mark.requirement("runs:resume")
@pytest.mark.parametrize(
    "value",
    ["{count = 11, resume = true}", "{count = true}", "{count = 1, resume = 1}", "{count = 1, again = true}"],
)
def test_retries_of_another_form_are_told_with_their_line(value: str) -> None:
    error = refused(with_lines("[tool.codewords]", f"retries = {value}"))
    assert "`retries` in [tool.codewords]" in error.message
    assert error.line == 3


ENTRIES = st.from_regex(r"(https?://)?(\*\.)?[a-z0-9.:_\[\]%*-]{1,24}(:\d{1,5})?(/x)?", fullmatch=True)


@pytest.mark.requirement("egress:host-lists")
@given(entry=ENTRIES, key=st.sampled_from(["hosts", "egress"]))
@example(entry="host.codewords.internal:9340", key="hosts")
@example(entry="*.127.0.0.1", key="egress")
@example(entry="1.2.3.999", key="hosts")
@example(entry="a..b", key="hosts")
def test_the_checks_and_the_egress_take_the_same_hosts(entry: str, key: str) -> None:
    assume(entry != "*")
    code = f'# /// script\n# [tool.codewords]\n# {key} = ["{entry}"]\n# ///\n'
    try:
        policy = EgressPolicy(hosts=frozenset({entry}))
    except InvalidInput as refusal:
        reason = refusal.message
    else:
        hosts = derive(parse_script(code)).manifest.hosts
        assert EgressPolicy(hosts=frozenset(hosts)).hosts == policy.hosts
        return
    assert refused(code).message == f"`{key}` on line 3: {reason}"


@pytest.mark.requirement("egress:host-lists")
@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ("host.codewords.internal:9340", "host.codewords.internal"),
        ("example.com:8443", "example.com"),
        ("https://api.example.com/v1", "api.example.com"),
        ("*.example.com:443", "*.example.com"),
        ("[::1]:6379", "::1"),
        ("postgresql://user:word@db.lan:5432/x", "db.lan"),
    ],
)
def test_a_host_with_a_port_is_refused_with_its_place_and_the_spelling_that_is_meant(
    entry: str, meant: str
) -> None:
    error = refused(f'# /// script\n# [tool.codewords]\n# hosts = ["a.com",\n#   "{entry}"]\n# ///\n')
    assert (error.line, error.column) == (4, 6)
    assert f'"{meant}"' in error.hint
    parse_script(f'# /// script\n# [tool.codewords]\n# hosts = ["a.com", "{meant}"]\n# ///\n')
