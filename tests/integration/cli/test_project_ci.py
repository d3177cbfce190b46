"""The script of the GitHub Action, with a key that agrees to nothing; local modules and limits of a header from a terminal."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.cli.terminal import BIN, Shell

from codewords_mcp.stdio import home as homes

pytestmark = pytest.mark.slow
ACTION = Path(__file__).parents[3] / "packaging" / "github-action"
PROGRAM = """\
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2"]
# [tool.env-checker]
# env_vars = ["PORT=8000"]
# [tool.codewords]
# memory = "256MB"
# disk = "2MB"
# ///
import os

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.post("/")
def main() -> dict[str, str]:
    found = {}
    try:
        with open("/tmp/large", "wb") as file:
            file.write(bytes(16 << 20))
        found["disk"] = "all"
    except OSError:
        found["disk"] = "refused"
    return found


@app.post("/memory")
def memory() -> dict[str, str]:
    try:
        return {"memory": str(len(b"x" * (384 << 20)))}
    except MemoryError:
        return {"memory": "refused"}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "limited.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "codewords.toml").write_text('[[workflow]]\nfile = "limited.py"\n', encoding="utf-8")
    return tmp_path


def _run(shell: Shell, folder: Path, command: str) -> tuple[int, str, str]:
    """The script as a runner starts it: exit code, output, summary."""
    made = shell(
        "codewords", "keys", "create", "--scope", "read,run,deploy", "--owner", "local", "--json"
    ).json
    info = homes.find(str(shell.home))
    assert info is not None
    summary = folder / "summary.md"
    env = Shell(folder / "ci").env | {
        "CODEWORDS_RUNTIME_URL": info.url, "CODEWORDS_API_KEY": str(made["key"]), "CODEWORDS": str(BIN / "codewords"),
        "PROJECT_FOLDER": str(folder), "PROJECT_COMMAND": command, "GITHUB_STEP_SUMMARY": str(summary),
    }  # fmt: skip
    done = subprocess.run(
        ["bash", str(ACTION / "run.sh")],
        env=env,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=240,
    )
    written = summary.read_text(encoding="utf-8") if summary.is_file() else ""
    return done.returncode, done.stdout, written


@pytest.mark.requirement("projects:ci", "limits:header")
def test_the_action_compares_and_pushes_with_a_key_that_agrees_to_nothing(
    shell: Shell, project: Path
) -> None:
    code, out, summary = _run(shell, project, "diff")
    assert (code, "+ code" in out) == (0, True)
    assert summary.startswith("### codewords diff\n\n    limited.py")
    code, out, _ = _run(shell, project, "push")
    assert code == 0, out
    assert _run(shell, project, "nothing")[0] == 2

    assert shell("codewords", "run", "limited").json == {"disk": "refused"}
    (project / "limited.py").write_text(PROGRAM.replace("256MB", "900000GB"), encoding="utf-8")
    code, out, _ = _run(shell, project, "push")
    assert code == 1
    assert "at most" in out


@pytest.mark.requirement("limits:header")
def test_a_header_asks_for_less_memory_than_the_home_gives(shell: Shell, project: Path) -> None:
    file, whole = project / "memory.py", {"memory": str(384 << 20)}
    # Without the line the same program gets all of it, so that nothing else of the machine is what refuses it.
    file.write_text(PROGRAM.replace('# memory = "256MB"\n', ""), encoding="utf-8")
    assert shell("codewords", "deploy", str(file)).code == 0
    found = shell("codewords", "run", "memory", "--path", "/memory")
    assert found.code == 0, found.err
    assert found.json == whole

    file.write_text(PROGRAM, encoding="utf-8")
    # The run before is replayed on it, where it was recorded by now, and that it fails is asked about.
    assert shell("codewords", "deploy", str(file), "--allow").code == 0
    held = shell("codewords", "run", "memory", "--path", "/memory")
    # Where memory is limited exactly the sandbox is stopped; elsewhere the program is told.
    assert "more than its 256 MiB of memory" in held.out or held.json == {"memory": "refused"}


@pytest.mark.requirement("projects:ci")
def test_the_action_passes_each_input_to_its_script() -> None:
    action: Any = yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))
    [step] = action["runs"]["steps"]
    used = json.dumps(step["env"])
    assert all(f"inputs.{name}" in used for name in action["inputs"])
    script = (ACTION / "run.sh").read_text(encoding="utf-8")
    assert all(name in script for name in step["env"] if name.startswith("PROJECT_"))


@pytest.mark.requirement("projects:modules")
def test_a_module_that_cannot_be_taken_along_is_told_by_every_command_that_would_send_the_file(
    shell: Shell, project: Path
) -> None:
    (project / "helpers.py").write_bytes(b"\0")
    file = project / "limited.py"
    file.write_text(PROGRAM.replace("import os\n", "import os\nimport helpers\n"), encoding="utf-8")
    for words in (
        ("validate", str(file)),
        ("deploy", str(file)),
        ("push", str(project), "--yes", "--replace", "limited"),
    ):
        refused = shell("codewords", *words)
        assert refused.code == 1, words
        assert "helpers.py" in refused.out + refused.err
