"""Workflows of a folder share modules: from the folder to a version, into other homes, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.dev_command import developing
from tests.integration.cli.terminal import FEW, Result, Shell
from tests.support.runtime import make_home

pytestmark = pytest.mark.slow
PROGRAM = """\
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2"]
# [tool.env-checker]
# env_vars = ["PORT=8000"]
# ///
import os

import uvicorn
from fastapi import FastAPI

from shared import helpers

app = FastAPI()


@app.post("/")
async def main() -> dict[str, str]:
    return {"text": helpers.greet("NAME")}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""
HELPERS = """\
from shared.texts import GREETING


def greet(name: str) -> str:
    return f"{GREETING}, {name}!"
"""


class Folder:
    """A project with two workflows, whose names no other test has, and a module that both import."""

    def __init__(self, path: Path, shell: Shell, *names: str) -> None:
        self.path = path
        self.names = names
        self._shell = shell
        (path / "shared").mkdir(parents=True)
        for name in names:
            (path / f"{name}.py").write_text(PROGRAM.replace("NAME", name), encoding="utf-8")
        declared = "".join(f'[[workflow]]\nfile = "{name}.py"\n' for name in names)
        (path / "codewords.toml").write_text(declared, encoding="utf-8")
        (path / "shared" / "helpers.py").write_text(HELPERS, encoding="utf-8")
        self.greet_with("Hello")

    def greet_with(self, word: str) -> None:
        (self.path / "shared" / "texts.py").write_text(f'GREETING = "{word}"\n', encoding="utf-8")

    def push(self, *words: str) -> Result:
        return self._shell("codewords", "push", str(self.path), "--yes", *words)

    def run(self, name: str) -> Any:
        return self._shell("codewords", "run", name).json["text"]

    def changes(self) -> dict[str, list[tuple[str, str, str]]]:
        """The changes of each workflow: what is done with which part, and which one."""
        plans = self._shell("codewords", "diff", str(self.path), "--quick", "--json").json["workflows"]
        return {
            plan["name"]: [(one["action"], one["subject"], one["item"]) for one in plan["changes"]]
            for plan in plans
        }


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Shell]:
    """Another home with its own runtime."""
    opened = Shell(make_home(tmp_path / "other", FEW), {"CODEWORDS_PORT": "0"})
    opened.serve()
    yield opened
    opened("codewords", "stop")


@pytest.mark.requirement("projects:module-life", "projects:modules")
def test_an_edited_module_changes_every_workflow_that_imports_it(
    shell: Shell, other: Shell, tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "project", shell, "morning", "evening")
    assert folder.push().code == 0
    assert [folder.run(name) for name in folder.names] == ["Hello, morning!", "Hello, evening!"]
    assert folder.changes() == {"morning": [], "evening": []}

    folder.greet_with("Good day")
    changed = [("change", "module", "shared/texts.py")]
    assert folder.changes() == {"morning": changed, "evening": changed}
    assert folder.push().code == 0
    assert folder.run("evening") == "Good day, evening!"
    assert shell("codewords", "rollback", "evening", "1").code == 0
    assert folder.run("evening") == "Hello, evening!"

    # The later text of two, and which workflow is live with another one.
    pulled = shell("codewords", "pull", str(tmp_path / "pulled"), "--workflow", "morning", "-w", "evening")
    assert pulled.code == 0, pulled.err
    assert "evening.py is live with an earlier shared/texts.py" in pulled.err
    for file in ("morning.py", "evening.py", "shared/helpers.py", "shared/texts.py"):
        assert (tmp_path / "pulled" / file).read_text(encoding="utf-8") == (folder.path / file).read_text(
            encoding="utf-8"
        )

    # A module with changes of one's own is not overwritten.
    folder.greet_with("Mine")
    refused = shell("codewords", "pull", str(folder.path))
    assert (refused.code, "shared/texts.py" in refused.err) == (2, True)
    assert shell("codewords", "pull", str(folder.path), "--replace", "shared/texts.py").code == 0
    assert "Good day" in (folder.path / "shared" / "texts.py").read_text(encoding="utf-8")

    archive = tmp_path / "morning.json"
    assert shell("codewords", "export", "morning", str(archive)).code == 0
    assert other("codewords", "import", str(archive)).code == 0
    assert other("codewords", "run", "morning").json["text"] == "Good day, morning!"


@pytest.mark.requirement("projects:module-checks")
def test_the_person_who_agrees_sees_what_a_module_reaches(shell: Shell, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "project", shell, "outgoing")
    assert folder.push().code == 0
    reaching = 'import urllib.request\n\n\ndef seen() -> None:\n    urllib.request.urlopen("https://quiet.example.com/in")\n'
    (folder.path / "shared" / "quiet.py").write_text(reaching, encoding="utf-8")
    text = HELPERS.replace("import GREETING\n", "import GREETING\nfrom .quiet import seen\n")
    (folder.path / "shared" / "helpers.py").write_text(text, encoding="utf-8")
    refused = folder.push()
    assert refused.code == 3
    assert "quiet.example.com" in refused.out + refused.err
    assert folder.run("outgoing") == "Hello, outgoing!"
    assert folder.push("--allow").code == 0

    broken = text.replace("return f", "return missing, f")
    (folder.path / "shared" / "helpers.py").write_text(broken, encoding="utf-8")
    failed = folder.push("--allow")
    assert failed.code == 1
    assert "shared/helpers.py:6: Undefined name `missing`" in " ".join(failed.out.split())


@pytest.mark.requirement("projects:modules")
def test_a_saved_module_is_served_and_a_traceback_names_its_file(shell: Shell, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "project", shell, "developed")
    file = folder.path / "shared" / "texts.py"
    with developing(shell, str(folder.path / "developed.py")) as dev:
        assert dev.ask().json()["text"] == "Hello, developed!"
        folder.greet_with("Ahoy")
        assert dev.ask().json()["text"] == "Ahoy, developed!"

        file.write_text("GREETING = (\n", encoding="utf-8")
        broken = dev.ask()
        assert (broken.status_code, "shared/texts.py" in broken.json()["error"]["message"]) == (500, True)
        file.unlink()
        dev.ask()
        folder.greet_with("Back")
        assert dev.ask().json()["text"] == "Back, developed!"

        helpers = folder.path / "shared" / "helpers.py"
        helpers.write_text(HELPERS.replace("return f", "return 1 / 0, f"), encoding="utf-8")
        assert dev.ask().status_code == 500
        dev.wait("log", lambda event: f'File "{helpers}", line ' in event["message"])


@pytest.mark.requirement("projects:modules")
def test_single_commands_take_modules_along(shell: Shell, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "project", shell, "single")
    file = str(folder.path / "single.py")
    assert shell("codewords", "validate", file, "--json").json["all_passed"]
    assert shell("codewords", "deploy", file).code == 0
    assert folder.run("single") == "Hello, single!"
    assert shell("codewords", "deploy", file, "--json").json["changed"] is False
    shown = json.loads(shell("codewords", "show", "single", "--json", "--code").out)
    assert "# /// module shared/texts.py" in shown["code"]
