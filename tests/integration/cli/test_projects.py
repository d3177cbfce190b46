"""A folder is pushed, compared and pulled, by the real commands against a real runtime."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.terminal import Result, Shell

from codewords_mcp.stdio import home as homes

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
from pydantic import BaseModel

app = FastAPI()


class Question(BaseModel):
    name: str


@app.post("/")
async def main(question: Question) -> dict[str, str]:
    return {"message": f"Hello {question.name}!", "limit": os.environ.get("LIMIT", "")}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""
REACHING = PROGRAM.replace(
    '    return {"message"',
    '    import urllib.request\n\n    urllib.request.urlopen("https://api.github.com/zen")\n    return {"message"',
)
CONFIGURED = PROGRAM.replace('"PORT=8000"', '"PORT=8000", "LIMIT=1"')
SCHEDULES = """
[[workflow.schedule]]
name = "mornings"
cron = "0 9 * * MON-FRI"
timezone = "Europe/Berlin"
input = {name = "Ada"}

[[workflow.trigger]]
kind = "plain"
"""


class Folder:
    """A project's folder with one workflow, whose name no other test has."""

    def __init__(self, path: Path, shell: Shell, name: str) -> None:
        self.path = path
        self.name = name
        self._shell = shell
        path.mkdir()
        self.write(PROGRAM)
        self.declare("")

    def write(self, code: str) -> None:
        (self.path / f"{self.name}.py").write_text(code, encoding="utf-8")

    def declare(self, more: str) -> None:
        text = f'# the team\'s\n[[workflow]]\nfile = "{self.name}.py"\n{more}'
        (self.path / "codewords.toml").write_text(text, encoding="utf-8")

    def push(self, *words: str) -> Result:
        return self._shell("codewords", "push", str(self.path), "--yes", *words)

    def diff(self, *words: str) -> Result:
        return self._shell("codewords", "diff", str(self.path), *words)

    def changes(self) -> list[tuple[str, str, bool]]:
        [workflow] = self.diff("--quick", "--json").json["workflows"]
        return [(one["action"], one["subject"], one["held"]) for one in workflow["changes"]]

    def show(self) -> Any:
        return self._shell("codewords", "show", self.name, "--json").json

    def run(self) -> Any:
        return self._shell("codewords", "run", self.name, "--input", '{"name": "Ada"}').json

    def url(self) -> str:
        """The address of the home's runtime."""
        info = homes.find(str(self._shell.home))
        assert info is not None
        return info.url

    def triggers(self) -> list[Any]:
        service_id = self.show()["service_id"]
        listed = self._shell("codewords", "triggers", "list", "--json").json
        return [one for one in listed if one["service_id"] == service_id]


@pytest.fixture
def folder(tmp_path: Path, shell: Shell, request: pytest.FixtureRequest) -> Folder:
    name = "".join(letter for letter in request.node.name if letter.isalnum() or letter == "_")
    return Folder(tmp_path / "project", shell, name[5:45].strip("_"))


@pytest.mark.requirement("projects:push")
def test_a_push_makes_everything_once(folder: Folder) -> None:
    folder.write(CONFIGURED)
    folder.declare("[workflow.config]\nLIMIT = 10\n" + SCHEDULES)
    assert folder.diff("--exit-code").code == 1
    assert folder.changes() == [
        ("add", "code", False), ("add", "config", False), ("add", "schedule", False), ("add", "trigger", False),
    ]  # fmt: skip
    assert folder.push("--dry-run").code == 0
    pushed = folder.push()
    assert pushed.code == 0, pushed.err
    assert "4 to add, 0 to change, 0 to remove." in pushed.out
    assert folder.run() == {"message": "Hello Ada!", "limit": "10"}
    assert sorted(one["kind"] for one in folder.triggers()) == ["plain", "schedule"]

    before = folder.triggers()
    assert "Nothing differs." in folder.push().out
    assert folder.diff("--exit-code").code == 0
    assert folder.triggers() == before
    assert [one["version"] for one in folder.show()["versions"]] == [1]


@pytest.mark.requirement("projects:config")
def test_configuration_counts_from_the_next_run_without_a_deploy(folder: Folder, shell: Shell) -> None:
    folder.write(CONFIGURED)
    folder.declare("[workflow.config]\nLIMIT = 10\n")
    assert folder.push().code == 0
    assert folder.run()["limit"] == "10"
    folder.declare("[workflow.config]\nLIMIT = 20\n")
    assert folder.push().code == 0
    assert folder.run()["limit"] == "20"
    assert shell("codewords", "config", folder.name, "LIMIT=30", "OTHER=1").code == 0
    shown = shell("codewords", "config", folder.name)
    assert shown.out == "LIMIT\t30\nOTHER\t1\n"
    assert "OTHER is not declared" in shown.err
    assert folder.run()["limit"] == "30"
    assert folder.changes() == [("change", "config", False), ("remove", "config", True)]
    assert [one["version"] for one in folder.show()["versions"]] == [1]

    token = "ghp_" + "a1B2c3D4e5F6" * 3
    refused = shell("codewords", "config", folder.name, f"LIMIT={token}")
    assert refused.code == 2
    assert "a GitHub token" in refused.err
    assert token not in refused.err


@pytest.mark.requirement("projects:prune")
def test_nothing_is_deleted_without_prune_and_a_schedule_changes_in_place(folder: Folder) -> None:
    folder.declare(SCHEDULES)
    assert folder.push().code == 0
    folder.declare(SCHEDULES.replace("Ada", "Grace"))
    assert folder.changes() == [("change", "schedule", False)]
    assert folder.push().code == 0
    [schedule] = [one["schedule"] for one in folder.triggers() if one["kind"] == "schedule"]
    assert schedule["input"] == {"name": "Grace"}

    folder.declare("")
    assert folder.changes() == [("remove", "schedule", True), ("remove", "trigger", True)]
    kept = folder.push()
    assert (kept.code, "2 more to remove with --prune" in kept.out) == (0, True)
    assert len(folder.triggers()) == 2
    assert folder.push("--prune").code == 0
    assert folder.triggers() == []


@pytest.mark.requirement("projects:checked-first")
def test_everything_is_checked_before_anything_is_changed(folder: Folder, shell: Shell) -> None:
    (folder.path / "broken.py").write_text(
        PROGRAM.replace("app = FastAPI()", "app = FastAPI("), encoding="utf-8"
    )
    declared = (folder.path / "codewords.toml").read_text(encoding="utf-8")
    (folder.path / "codewords.toml").write_text(
        declared + '[[workflow]]\nfile = "broken.py"\n', encoding="utf-8"
    )
    refused = folder.push()
    assert refused.code == 1
    assert "broken.py" in refused.err
    assert shell("codewords", "show", folder.name).code != 0

    folder.declare(SCHEDULES.replace('{name = "Ada"}', "{nmae = 1}"))
    misfit = folder.push()
    assert misfit.code == 2
    assert "does not fit" in misfit.err
    folder.declare('secrets = ["NEVER_SET_HERE"]\n')
    assert "codewords secrets set NEVER_SET_HERE" in folder.push().err
    assert shell("codewords", "show", folder.name).code != 0


@pytest.mark.requirement("projects:conflict")
def test_a_version_that_somebody_else_made_is_a_conflict_with_both_differences(
    folder: Folder, shell: Shell
) -> None:
    assert folder.push().code == 0
    other = folder.path / "other.py"
    other.write_text(PROGRAM.replace("Hello", "Good day"), encoding="utf-8")
    service_id = folder.show()["service_id"]
    assert shell("codewords", "deploy", str(other), "--id", service_id).code == 0
    folder.write(PROGRAM.replace("Hello", "Ahoy"))

    refused = folder.push()
    assert refused.code == 2
    assert "Good day" in refused.out
    assert "Ahoy" in refused.out
    [workflow] = folder.diff("--json").json["workflows"]
    conflict = workflow["conflict"]
    assert (conflict["live_version"], conflict["base_version"]) == (2, 1)
    assert "Good day" in conflict["live_changes"]
    assert "Ahoy" in conflict["own_changes"]
    assert folder.show()["version"] == 2

    assert folder.push("--replace", folder.name).code == 0
    assert folder.run()["message"] == "Ahoy Ada!"


@pytest.mark.requirement("projects:conflict")
def test_a_live_version_of_the_history_of_git_is_no_conflict(
    folder: Folder, shell: Shell, tmp_path: Path
) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=folder.path, check=True, capture_output=True)

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    assert folder.push().code == 0
    folder.write(PROGRAM.replace("Hello", "Ahoy"))
    git("commit", "--quiet", "-a", "-m", "second")
    # Another machine, which has never pushed: only the repository tells.
    clone = tmp_path / "clone"
    git("clone", "--quiet", ".", str(clone))
    pushed = shell("codewords", "push", str(clone), "--yes")
    assert pushed.code == 0, pushed.err
    assert folder.run()["message"] == "Ahoy Ada!"


@pytest.mark.requirement("projects:pins")
def test_pinned_permissions_count_as_agreed_where_the_key_may_agree(folder: Folder, shell: Shell) -> None:
    folder.write(REACHING)
    unpinned = folder.push()
    assert unpinned.code == 3
    assert "has to agree" in unpinned.err
    folder.declare('[workflow.permissions]\nhosts = ["example.com"]\n')
    beyond = folder.push("--allow")
    assert beyond.code == 2
    assert "codewords.toml:3" in beyond.err
    assert "api.github.com" in beyond.err
    assert shell("codewords", "show", folder.name).code != 0

    folder.declare('[workflow.permissions]\nhosts = ["api.github.com"]\n')
    made = shell(
        "codewords", "keys", "create", "--scope", "read,run,deploy", "--owner", "local", "--json"
    ).json
    url = folder.url()
    remote = Shell(
        folder.path.parent / "ci", {"CODEWORDS_RUNTIME_URL": url, "CODEWORDS_API_KEY": made["key"]}
    )
    stopped = remote("codewords", "push", str(folder.path), "--yes", "--allow")
    assert stopped.code == 3
    assert "this key may not agree" in stopped.err
    assert "/consents/" in stopped.err
    assert shell("codewords", "show", folder.name).code != 0

    assert folder.push().code == 0
    folder.write(REACHING.replace("Hello", "Ahoy"))
    # Nothing new is asked for, so that the same key is enough.
    pushed = remote("codewords", "push", str(folder.path), "--yes", "--replace", folder.name)
    assert pushed.code == 0, pushed.err
    assert remote("codewords", "delete", folder.name, "--yes").code != 0
    assert remote("codewords", "secrets", "list").code == 0
    assert remote("codewords", "keys", "list").code != 0


@pytest.mark.requirement("projects:killed")
def test_a_push_that_was_killed_is_gone_on_with(folder: Folder, shell: Shell) -> None:
    folder.declare("[workflow.config]\nLIMIT = 10\n" + SCHEDULES)
    command = shell.start("codewords", "push", str(folder.path), "--yes")
    assert command.stdout is not None
    while "is live" not in (line := command.stdout.readline()):
        assert line, "the push ended early"
    command.kill()
    command.communicate()

    assert folder.push().code == 0
    assert sorted(one["kind"] for one in folder.triggers()) == ["plain", "schedule"]
    assert [one["version"] for one in folder.show()["versions"]] == [1]
    assert folder.changes() == []


@pytest.mark.requirement("projects:pull")
def test_a_folder_that_was_pulled_has_no_difference_and_keeps_its_comments(
    folder: Folder, shell: Shell, tmp_path: Path
) -> None:
    folder.declare("[workflow.config]\nLIMIT = 10\n" + SCHEDULES)
    assert folder.push().code == 0
    copy = tmp_path / "copy"
    pulled = shell("codewords", "pull", str(copy), "--workflow", folder.name)
    assert pulled.code == 0, pulled.err
    assert (copy / f"{folder.name}.py").read_text(encoding="utf-8") == PROGRAM
    text = (copy / "codewords.toml").read_text(encoding="utf-8")
    assert "[workflow.permissions]" in text
    assert 'LIMIT = "10"' in text
    assert "Nothing differs." in shell("codewords", "diff", str(copy), "--exit-code").out

    (copy / f"{folder.name}.py").write_text(PROGRAM.replace("Hello", "Ahoy"), encoding="utf-8")
    assert shell("codewords", "push", str(copy), "--yes").code == 0
    folder.write(PROGRAM + "# mine\n")
    refused = shell("codewords", "pull", str(folder.path))
    assert refused.code == 2
    assert "# mine" in refused.err
    folder.write(PROGRAM)
    shell("codewords", "config", folder.name, "LIMIT=40")
    outside = folder.path.parent / "outside"
    outside.write_text("not of the folder", encoding="utf-8")
    (folder.path / f".{folder.name}.py.new").symlink_to(outside)
    assert shell("codewords", "pull", str(folder.path)).code == 0
    assert outside.read_text(encoding="utf-8") == "not of the folder"
    assert "Ahoy" in (folder.path / f"{folder.name}.py").read_text(encoding="utf-8")
    kept = (folder.path / "codewords.toml").read_text(encoding="utf-8")
    assert kept.startswith("# the team's\n")
    assert 'LIMIT = "40"' in kept
    assert folder.changes() == []
