"""The two depths of the suite, and the report of tests that this machine cannot run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.paths import PROJECT

pytestmark = pytest.mark.requirement("structure:depth")

FILES = {
    "pytest.ini": """
        [pytest]
        addopts = -q -p no:cacheprovider -p tests.support.scheduling -p tests.support.depth -p tests.support.not_tried
        filterwarnings = ignore
    """,
    "tests/unit/test_parts.py": """
        import pytest

        @pytest.mark.requirement("one")
        def test_quick(): ...

        @pytest.mark.slow
        @pytest.mark.requirement("one", "two")
        def test_slow_and_the_only_one(): ...

        @pytest.mark.slow
        @pytest.mark.requirement("one")
        def test_slow_and_proved_elsewhere(): ...
    """,
    "tests/integration/test_whole.py": """
        import pytest

        @pytest.mark.requirement("five")
        @pytest.mark.parametrize("database", ["sqlite", "postgres"])
        def test_with(database): ...

        @pytest.mark.requirement("one")
        def test_whole(): ...

        @pytest.mark.requirement("three")
        def test_that_a_later_one_makes_needless(): ...
    """,
    "tests/chaos/test_storm.py": """
        import pytest

        @pytest.mark.requirement("three", "six")
        def test_a_promise_of_its_own(): ...

        @pytest.mark.requirement("one")
        def test_once_more(): ...

        @pytest.mark.deep("proves by volume")
        @pytest.mark.requirement("four")
        @pytest.mark.needs("radosgw")
        def test_for_long(): ...
    """,
}
FIRST = ["test_a_promise_of_its_own", "test_quick", "test_slow_and_the_only_one", "test_with[sqlite]"]
DEEP = [
    "test_for_long",
    "test_once_more",
    "test_slow_and_proved_elsewhere",
    "test_that_a_later_one_makes_needless",
    "test_whole",
    "test_with[postgres]",
]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    for path, text in FILES.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            "\n".join(line.strip(" ") if path.endswith(".ini") else line[8:] for line in text.splitlines()),
            encoding="utf-8",
        )
    return folder


def run(suite: Path, *options: str) -> str:
    """What pytest prints where no program is on PATH."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", *options],
        cwd=suite, env=os.environ | {"PYTHONPATH": str(PROJECT), "PATH": "/nowhere"}, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ran(said: str) -> list[str]:
    passed = [line.rpartition("::")[2] for line in said.splitlines() if line.startswith("PASSED")]
    return sorted([*passed, *(["test_for_long"] if "1 skipped" in said else [])])


def test_each_promise_is_proved_once_in_the_first_depth_and_all_else_is_deep(suite: Path) -> None:
    assert ran(run(suite, "--depth", "first")) == FIRST
    assert ran(run(suite, "--depth", "deep")) == DEEP
    assert ran(run(suite)) == sorted([*FIRST, *DEEP])


def test_what_a_keyword_leaves_out_proves_nothing(suite: Path) -> None:
    assert "test_with[postgres]" in ran(run(suite, "--depth", "first", "-k", "not sqlite"))


def test_what_the_machine_lacks_is_told_with_what_installs_it(suite: Path) -> None:
    said = run(suite, "--depth", "deep").partition("not tried here")[2]
    assert "1 needs radosgw" in said
    assert "./scripts/setup --for-tests installs" in said
    assert "radosgw" in said.partition("installs")[2]
    assert "not tried here" not in run(suite, "--depth", "first")
