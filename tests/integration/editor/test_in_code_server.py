"""The extension in a real editor: code-server, in a real browser, with a real runtime.

Its installation takes a minute, so these tests run with `--code-server` only.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.integration.editor.code_server import CodeEditor, served_editor
from tests.integration.editor.helpers import copy_extension, pack
from tests.support.chromium import tab
from tests.support.paths import PROJECT
from tests.support.runtime import make_home
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("editor:real"), pytest.mark.slow]
WORKFLOW = """\
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn[standard]==0.34.2"]
# [tool.env-checker]
# env_vars = ["PORT=8000"]
# [tool.codewords]
# example = {name = "Ada"}
# ///
\"\"\"Greet somebody.\"\"\"

import os

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class Person(BaseModel):
    name: str = Field(description="The person to greet")


@app.post("/")
async def greet(person: Person) -> dict[str, str]:
    return {"message": f"Hello {person.name}"}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""
PROBLEMS = "[id='status.problems']"
FLAGS = ("--disable-site-isolation-trials", "--disable-features=IsolateOrigins,site-per-process")
"""Pages of extensions are frames of other origins; with these flags the driver sees into them."""


@pytest.fixture
async def editor(tmp_path: Path) -> AsyncGenerator[CodeEditor]:
    """An editor with a deployed workflow open."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    file = workspace / "greet.py"
    file.write_text(WORKFLOW, encoding="utf-8")
    packed = await pack(copy_extension(tmp_path / "extension"), tmp_path / "codewords.vsix")
    with start_runtime(make_home(tmp_path / "home")) as runtime:
        runtime.deploy(WORKFLOW, "greet")
        settings = {
            "codewords.command": str(PROJECT / ".venv" / "bin" / "codewords"),
            "codewords.home": str(runtime.home),
        }
        with (
            served_editor(tmp_path / "editor", packed, workspace, settings) as address,
            tab(tmp_path / "profile", width=1280, height=800, flags=FLAGS) as page,
        ):
            page.resize(1280, 800)
            shown = CodeEditor(page)
            shown.open(address, workspace, file)
            yield shown


async def test_a_workflow_is_completed_checked_run_and_looked_at(editor: CodeEditor, tmp_path: Path) -> None:
    # Its actions are there once the extension is.
    actions = until(lambda: editor.texts(".codelens-decoration"), "the actions above the code")
    assert [word in actions[0] for word in ("Validate", "Try", "Run", "Deploy", "Debug")] == [True] * 5
    assert "POST /" in actions[1]

    # The header is completed from the schema.
    editor.click(".view-line", "example = {")
    editor.press("End", "Enter")
    editor.insert("# ")
    editor.press(*"conc")
    rows = until(lambda: editor.labels(".suggest-widget.visible .monaco-list-row"), "suggestions")
    assert rows[0].startswith("concurrency, else CODEWORDS_WORKFLOW_CONCURRENCY")
    editor.press("Tab")
    until(lambda: "# concurrency = 4" in editor.texts(".view-line"), "the completed key")

    # A wrong value is a problem, and is none any more when it is right again.
    editor.press("Backspace", "0")
    until(lambda: "Errors: 1" in editor.labels(PROBLEMS), "the problem")
    editor.press("Backspace", "4")
    until(lambda: "No Problems" in editor.labels(PROBLEMS), "no problem")

    # Run opens the form with the example, and shows the answer.
    editor.click(".codelens-decoration a", "Run")
    until(lambda: editor.webview("page.querySelector('input')?.value === 'Ada'"), "the form")
    editor.webview("page.querySelector('#form').requestSubmit()")
    answer = until(lambda: editor.webview("page.querySelector('#answer pre')?.textContent"), "the answer")
    assert '"message": "Hello Ada"' in answer

    # The run opens in the console's own page, without a sign-in.
    editor.webview("page.querySelector('#answer button')?.click()")
    head = until(lambda: editor.webview("page.querySelector('#app h1')?.textContent"), "the run's page")
    assert re.search("greet succeeded", head)
    editor.tab.screenshot(tmp_path / "light.png")

    # The views list the workflow with its version, which opens as code.
    editor.click(".activitybar .action-label", "CodeWords")
    editor.click(".sidebar .monaco-list-row", "greet")
    editor.click(".sidebar .monaco-list-row", "Versions")
    editor.click(".sidebar .monaco-list-row", "Version 1, live")
    until(lambda: any("greet_" in one for one in editor.labels(".tabs-container .tab")), "the version's code")
    assert editor.texts(".notification-toast") == []
