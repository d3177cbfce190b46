"""What a script keeps on disk between runs is told to be lost."""

from __future__ import annotations

import ast

import pytest

from codewords_mcp.runtime.workflows.validation.local_state import check_state

pytestmark = pytest.mark.requirement("workflows:kept-state")


@pytest.mark.parametrize(
    "line",
    [
        'sqlite3.connect("habits.db")',
        "sqlite3.connect(PATH)",
        'aiosqlite.connect("a.db")',
        'shelve.open("kept")',
        'create_engine("sqlite:///habits.db")',
        'open("seen.txt", "a")',
        'open("seen.txt", mode="ab")',
        'open("out.csv", "w")',
        'json.dump(data, open("state.json", "w"))',
        'pickle.dump(data, open("model.pkl", "wb"))',
        'frame.to_csv("out.csv")',
        'Path("notes.txt").write_text(text)',
        '(Path(__file__).parent / "seen.json").write_text(text)',
        'Path("notes.txt").open("w")',
    ],
)
def test_a_database_or_appended_file_is_told_with_what_outlives_a_run(line: str) -> None:
    [check] = check_state(ast.parse(line))
    assert (check.id, check.status, check.line) == ("state", "warning", 1)
    assert "redis_coordinator" in (check.fix or "")
    assert "service database" in (check.fix or "")


@pytest.mark.parametrize(
    "code",
    [
        'import os, json\nif os.path.exists("/tmp/seen.json"):\n    old = json.load(open("/tmp/seen.json"))\njson.dump(old, open("/tmp/seen.json", "w"))',
        'STATE = Path("state.json")\nold = STATE.read_text() if STATE.exists() else ""\n\nSTATE.write_text(old)',
        'FILE = "/tmp/last.pkl"\ntry:\n    old = pickle.load(open(FILE, "rb"))\nexcept FileNotFoundError:\n    old = None\npickle.dump(old, open(FILE, "wb"))',
        'STATE = Path(__file__).parent / "state.json"\nif STATE.is_file(): pass\n\nSTATE.write_text("x")',
        'db = "CREATE TABLE IF NOT EXISTS habits (x)"\n\n\nsqlite3.connect("/tmp/habits.db").execute(db)',
    ],
)
def test_a_file_that_is_looked_for_and_written_is_told_wherever_it_stands(code: str) -> None:
    [check] = check_state(ast.parse(code))
    assert (check.id, check.status) == ("state", "warning")
    assert check.line == 1 + [
        "write" in line or '"w' in line or "connect" in line for line in code.splitlines()
    ].index(True)  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        'sqlite3.connect(":memory:")',
        'sqlite3.connect("/tmp/work.db")',
        'create_engine("postgresql://db/x")',
        'create_engine("sqlite://")',
        'open("in.csv")',
        "client.connect()",
        'open("/tmp/page.html", "w")',
        'open("out.csv", "w")\nFileResponse("out.csv")',
        'OUT = "out.xlsx"\nframe.to_excel(OUT)\nawait client.upload_file_content(OUT, open(OUT, "rb").read())',
        'open("in.mp4", "wb")\nsubprocess.run(["ffmpeg", "-i", "in.mp4", "out.mp3"])',
        'open("list.txt", "w")\nsubprocess.run("ffmpeg -f concat -i list.txt out.mp3", shell=True)',
        'open(name, "w")',
        'open(f"{name}.csv", "w")',
        '(Path(tempfile.mkdtemp()) / "a.csv").write_text("x")',
        'image.save(buffer, "PNG")',
        'Path("/tmp/a.csv").write_text("x")\nprint(Path("/tmp/a.csv").read_text())',
        'Path("a.csv").write_text("x")\nprint(Path("a.csv").read_text())',
        'response.to_json("x")',
    ],
)
def test_what_a_run_needs_for_itself_is_not_told(line: str) -> None:
    assert check_state(ast.parse(line)) == []
