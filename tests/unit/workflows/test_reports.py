"""Variables, crashes and the report itself."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.workflows.helpers import APP, HEADER, script

from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.crash import explain_crash
from codewords_mcp.runtime.workflows.validation.report import IDS, make_report
from codewords_mcp.runtime.workflows.validation.variables import (
    ConnectionFacts,
    check_connections,
    check_variables,
)

ENV = HEADER.replace(
    '"PORT=8000"', '"PORT=8000", "CODEWORDS_API_KEY", "STRIPE_API_KEY", "PIPEDREAM_SLACK_ACCESS"'
)


def variables(body: str = "", known: tuple[str, ...] = ()) -> list[Check]:
    return check_variables(parse_script(script(APP + body, ENV)), known)


@pytest.mark.requirement("workflows:variables")
def test_a_missing_variable_is_a_warning_with_its_remedy() -> None:
    [key] = variables()
    assert (key.status, key.line, key.fix) == ("warning", 9, "Set the secret STRIPE_API_KEY.")
    assert key.remedy == set_secret("STRIPE_API_KEY")
    [only] = variables(known=("STRIPE_API_KEY",))
    assert only.status == "passed"


@pytest.mark.requirement("integrations:validation")
@pytest.mark.parametrize(("connected", "status"), [(True, "passed"), (False, "failed"), (None, "warning")])
def test_a_declared_app_is_a_check_that_passes_only_where_it_is_connected(
    connected: bool | None, status: str
) -> None:
    asked: list[str] = []

    async def ask(app: str) -> ConnectionFacts:
        asked.append(app)
        return ConnectionFacts(connected, f"{app} is as it is.", "Connect it.")

    [check] = asyncio.run(check_connections(parse_script(script(APP, ENV)), ask))
    assert asked == ["slack"]
    assert (check.id, check.status) == ("connections", status)
    assert check.message == "PIPEDREAM_SLACK_ACCESS: slack is as it is."
    assert check.fix == (None if connected else "Connect it.")


@pytest.mark.requirement("workflows:variables")
def test_a_variable_that_is_read_but_not_declared_is_a_warning() -> None:
    body = 'import os\na = os.environ["NOTION_TOKEN"]\nb = os.environ["PORT"]\nc = os.environ.get("SOME")\nos.environ["X"] = ""\n'
    [check] = variables(body, known=("STRIPE_API_KEY",))
    assert "NOTION_TOKEN is read but not declared" in check.message
    assert check.line == 15


@pytest.mark.requirement("workflows:variables")
def test_a_setting_without_default_or_variable_is_a_warning() -> None:
    body = (
        "from pydantic_settings import BaseSettings, SettingsConfigDict\n"
        "class Settings(BaseSettings):\n"
        '    model_config = SettingsConfigDict(env_prefix="shop_")\n'
        "    admin_email: str\n"
        "    limit: int = 5\n"
    )
    [check] = variables(body, known=("STRIPE_API_KEY",))
    assert "The setting `admin_email`" in check.message
    assert 'Add "SHOP_ADMIN_EMAIL" to env_vars' in (check.fix or "")
    assert check.line is not None
    assert [
        one.status
        for one in variables(body.replace("admin_email: str", "limits: str = ''"), known=("STRIPE_API_KEY",))
    ] == ["passed"]


@pytest.mark.requirement("workflows:crash")
def test_a_packages_own_main_module_is_not_the_program() -> None:
    trace = TRACE.replace(
        "    import thing\n",
        '    import thing\n  File "/env/lib/python3.11/site-packages/thing/main.py", line 280, in make\n    raise\n',
    )
    check = crash(trace.format(raised="ValueError: no"))
    assert check is not None
    assert check.line == 14


def crash(output: str) -> Check | None:
    return explain_crash(parse_script(script()), output)


TRACE = """warming up
Traceback (most recent call last):
  File "/app/main.py", line 21, in <module>
    load()
  File "/app/main.py", line 14, in load
    import thing
{raised}
"""


@pytest.mark.requirement("workflows:crash")
@pytest.mark.parametrize(
    ("raised", "fix"),
    [
        ("ModuleNotFoundError: No module named 'yaml'", 'Add "pyyaml" to `dependencies` in the header.'),
        (
            "ModuleNotFoundError: No module named 'google.genai'",
            'Add "google-genai" to `dependencies` in the header.',
        ),
        (
            "ModuleNotFoundError: No module named 'some_thing.deep'",
            'Add "some-thing" to `dependencies` in the header.',
        ),
        ("KeyError: 'NOTION_TOKEN'", 'Add "NOTION_TOKEN" to env_vars under [tool.env-checker].'),
        ("KeyError: 'name'", None),
        ("pydantic.errors.PydanticUserError: no", None),
        ("ZeroDivisionError: division by zero", None),
        ("AssertionError", None),
    ],
)
def test_a_crash_at_start_is_told_with_its_line_and_the_fix_where_one_is_known(
    raised: str, fix: str | None
) -> None:
    check = crash(TRACE.format(raised=raised))
    assert check is not None
    assert (check.id, check.status, check.line, check.fix) == ("starts", "failed", 14, fix)
    assert raised.split(":", maxsplit=1)[0].rsplit(".", maxsplit=1)[-1] in check.message


@pytest.mark.requirement("workflows:crash")
def test_what_a_program_says_is_bounded_and_marked() -> None:
    check = crash(TRACE.format(raised="ValueError: " + "long " * 1000))
    assert check is not None
    assert len(check.message) < 300
    assert 'it says: "long' in check.message
    assert crash("nothing of the kind") is None


@pytest.mark.requirement("workflows:report")
def test_every_check_has_its_line_also_those_not_reached() -> None:
    failed = Check(id="header", status="failed", message="No header.", line=3, column=4, fix="Paste:\nthis")
    report = make_report([Check(id="parse", status="passed", message="Python."), failed])
    assert not report.all_passed
    assert [check.id for check in report.checks] == list(IDS)
    assert [check.status for check in report.checks[2:]] == ["skipped"] * 9
    lines = report.report.splitlines()
    assert lines[:5] == [
        "The script cannot be deployed: 1 failed.",
        "✓ parse: Python.",
        "✗ header, line 3, column 4: No header.",
        "    Fix: Paste:",
        "    this",
    ]


@pytest.mark.requirement("workflows:report")
def test_warnings_and_notes_do_not_fail_a_script() -> None:
    checks = [Check(id=one, status="passed", message="Fine.") for one in IDS]
    checks += [
        Check(id="hash", status="warning", message="Hm."),
        Check(id="dialect", status="note", message="So."),
    ] * 2
    report = make_report(checks)
    assert report.all_passed
    assert report.report.startswith("The script is valid: 2 warnings, 2 notes.\n")
    assert "! hash: Hm." in report.report
