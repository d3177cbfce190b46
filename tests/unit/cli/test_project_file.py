"""Faults of `codewords.toml` are told with their lines, and its schema is what is published."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.cli.project.file import line_numbers, parse_project, read_folder
from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.model.manifest import Manifest, StoredSecret
from codewords_mcp.runtime.model.project import ProjectFile, ProjectPermissions

pytestmark = pytest.mark.requirement("projects:file")
SCHEMA = Path(__file__).parents[3] / "docs" / "reference" / "codewords.schema.json"

WHOLE = """\
# the team's
[[workflow]]
file = "reports/daily.py"
name = "Daily report"
secrets = ["SLACK_BOT_TOKEN"]

[workflow.permissions]
hosts = ["api.github.com"]
secrets = ["SLACK_BOT_TOKEN: slack.com"]

[workflow.config]
LIMIT = 10
VERBOSE = true

[[workflow.schedule]]
cron = "0 9 * * MON-FRI"
timezone = "Europe/Berlin"
input = {to = "team"}

[[workflow.schedule]]
name = "once"
at = "2026-12-24T18:00"

[[workflow.trigger]]
kind = "plain"

[[workflow]]
file = "hello.py"
"""


def test_a_whole_file_is_read() -> None:
    project = parse_project(WHOLE)
    daily, hello = project.workflow
    assert (daily.title, hello.title) == ("Daily report", "hello")
    assert daily.config_values == {"LIMIT": "10", "VERBOSE": "true"}
    assert hello.config_values is None
    assert [one.name for one in daily.schedule] == ["", "once"]
    assert daily.permissions is not None
    assert daily.permissions.manifest().secrets == (
        StoredSecret(name="SLACK_BOT_TOKEN", hosts=("slack.com",)),
    )


def test_lines_are_found_for_nested_tables() -> None:
    lines = line_numbers(WHOLE)
    assert lines["workflow", 0, "file"] == 3
    assert lines["workflow", 0, "schedule", 1, "at"] == 22
    assert lines["workflow", 1] == 27


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[[workflow]\n", 1, "not TOML"),
        ('[[workflow]]\nfile = "a.py"\nnmae = "x"\n', 3, "`nmae`: is not known here"),
        ("[[workflow]]\n\n", 1, "`file`: is missing"),
        ('[[workflow]]\nfile = "../a.py"\n', 2, "in this folder"),
        ('[[workflow]]\nfile = "a.py"\n[workflow.config]\nX = [1]\n', 4, "`X`"),
        ('[[workflow]]\nfile = "a.py"\n[[workflow.schedule]]\ntimezone = "UTC"\n', 3, "either `cron` or `at`"),
        ('[[workflow]]\nfile = "a.py"\n[[workflow.schedule]]\ncron = "99 * * * *"\n', 4, "minute"),
        ('[[workflow]]\nfile = "a.py"\n[[workflow.trigger]]\nkind = "schedule"\n', 3, "[[workflow.schedule]]"),
        ('[[workflow]]\nfile = "a.py"\nsecrets = ["sk-live-123"]\n', 3, "never its value"),
        ('[[workflow]]\nfile = "a.py"\n[[workflow]]\nfile = "a.py"\n', 3, "on line 1 already"),
        (
            '[[workflow]]\nfile = "a.py"\n[[workflow.schedule]]\ncron = "@daily"\n[[workflow.schedule]]\ncron = "@daily"\n',
            5, "already",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_project(text)
    assert f"codewords.toml:{line}:" in refused.value.message
    assert said in refused.value.message


def test_several_faults_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_project('[[workflow]]\nfile = 1\n[[workflow]]\nfile = "b.py"\nid = 2\n')
    assert [part.split(":")[1] for part in refused.value.message.splitlines()] == ["2", "5"]


@given(st.text(max_size=200))
def test_any_text_is_a_project_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        assert isinstance(parse_project(text), ProjectFile)


def test_a_file_that_is_not_there_and_a_folder_without_a_project_are_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is no project"):
        read_folder(tmp_path)
    (tmp_path / "codewords.toml").write_text('[[workflow]]\nfile = "gone.py"\n', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"codewords\.toml:2: `gone\.py` is not in this folder"):
        read_folder(tmp_path)


def test_pinned_permissions_are_those_of_the_manifest() -> None:
    secrets = (StoredSecret(name="A", hosts=("a.example", "b.example")), StoredSecret(name="B"))
    manifest = Manifest(hosts=("*.example.com",), services=("github: readme",), secrets=secrets)
    pinned = ProjectPermissions.of(manifest)
    assert manifest.widens(pinned.manifest()) == []
    assert Manifest(hosts=("other.example",)).widens(pinned.manifest()) != []


@pytest.mark.requirement("projects:schema")
def test_the_published_schema_is_that_of_the_model() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema["properties"] == ProjectFile.model_json_schema()["properties"]
    assert schema["$defs"] == ProjectFile.model_json_schema()["$defs"]
