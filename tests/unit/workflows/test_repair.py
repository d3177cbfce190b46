"""The two repairs: a standard module that only the main block uses and nobody imports, and an app that nobody serves."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from tests.unit.workflows.helpers import APP, HEADER, script

from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.lint import lint
from codewords_mcp.runtime.workflows.validation.repair import runnable_code

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("workflows:repair")]
MAIN = 'if __name__ == "__main__":\n    import uvicorn\n    uvicorn.run(app, port=int(os.environ["PORT"]))\n'


def repaired(body: str) -> str:
    read = parse_script(script(body))
    return runnable_code(read)


def test_the_import_is_put_on_a_line_that_is_there() -> None:
    read = parse_script(script(APP + MAIN))
    assert runnable_code(read) == read.code.replace("    import uvicorn\n", "    import os; import uvicorn\n")


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_newlines_and_marks_of_the_file_stay(newline: str) -> None:
    code = "\ufeff" + script(APP + "x = 'naïve 🚨'\n" + MAIN).replace("\n", newline)
    fixed = runnable_code(parse_script(code))
    assert fixed == code.replace("    import uvicorn", "    import os; import uvicorn")


def test_several_modules_are_imported_at_once() -> None:
    body = APP + 'if __name__ == "__main__":\n    print(sys.argv, os.name)\n'
    assert "    import os, sys; print(" in repaired(body)


@pytest.mark.parametrize(
    "body",
    [
        APP + "import os\n" + MAIN,
        APP + "from os import *\n" + MAIN,
        APP + "def port():\n    return os.environ['PORT']\n" + MAIN,  # used elsewhere too: it would crash when asked
        APP + "try:\n    os = None\nexcept Exception:\n    pass\n" + MAIN,
        APP + MAIN.replace("os.environ", "dotenv.environ"),  # not of the standard library
        APP + MAIN.replace("    import uvicorn\n    ", "    for uvicorn in ():\n        "),  # no line to put it on
        APP + 'if __name__ == "__main__":\n    print("nothing")\n',
        APP + "import uvicorn\nuvicorn.run(app)\n",
        "import fastapi\n",
    ],
)  # fmt: skip
def test_every_other_script_runs_letter_for_letter(body: str) -> None:
    assert repaired(body) == script(body)


async def test_the_report_says_what_the_runtime_does() -> None:
    [check] = await lint(parse_script(script(APP + MAIN)))
    assert (check.status, check.line, check.fix) == ("warning", 16, "import os")
    assert "`os` is never imported" in check.message


async def test_a_missing_import_that_would_crash_a_request_is_an_error() -> None:
    body = APP + '@app.get("/")\ndef port():\n    return os.environ["PORT"]\n' + MAIN
    [check] = await lint(parse_script(script(body)))
    assert (check.status, check.line, check.fix) == ("failed", 16, "import os")


@pytest.mark.requirement("workflows:seed")
async def test_the_guides_two_forgetful_programs_are_repaired_on_one_line(seed_examples: Path) -> None:
    for name in ("linkedin_profile_enricher", "support_ticket_analyzer"):
        read = parse_script((seed_examples / f"{name}.py").read_text(encoding="utf-8"))
        changed = [
            line
            for line in difflib.ndiff(read.code.splitlines(), runnable_code(read).splitlines())
            if line[0] in "+-"
        ]
        assert changed == ["-     import uvicorn", "+     import os; import uvicorn"]
    for name in ("greeting", "website_monitor"):
        read = parse_script((seed_examples / f"{name}.py").read_text(encoding="utf-8"))
        assert runnable_code(read) == read.code


@pytest.mark.requirement("workflows:served")
@pytest.mark.parametrize(
    ("body", "app"),
    [
        (APP, "app"),
        ("from fastapi import FastAPI\nservice = FastAPI()", "service"),
        (
            "from fastapi import FastAPI\ninner = FastAPI()\napp = FastAPI()\napp.mount('/inner', inner)\n",
            "app",
        ),
        ("from fastapi import FastAPI\ndef make():\n    return FastAPI()\napp = make()\n", "app"),
    ],
)
def test_an_app_that_no_line_serves_is_served_after_the_last(body: str, app: str) -> None:
    read = parse_script(script(body))
    added = runnable_code(read).removeprefix(read.code)
    assert added == f"\n\nimport codewords_client as _client; _client.run_service({app})\n"
    assert read.requirements == (*read.dependencies, "codewords-client")
    assert read.uses_our_client


@pytest.mark.requirement("workflows:served")
def test_a_client_that_is_declared_is_not_added_again() -> None:
    header = HEADER.replace("fastapi==0.115.12", "codewords-client==0.4.11")
    declared = parse_script(script(APP, header))
    assert declared.requirements == declared.dependencies
    assert parse_script(script(APP + MAIN)).requirements == parse_script(script(APP + MAIN)).dependencies
