"""What holds for root holds for an ordinary user: the same tests, as another user."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.support import as_user

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.host.files import remove_tree

_MODULES = (
    "test_serving",
    "test_failing",
    "test_limits",
    "test_isolation",
    "test_network",
    "test_tiers",
    "test_fork_servers",
)
_SECONDS = 600
pytestmark = [
    pytest.mark.slow,
    pytest.mark.deep("tests that ran as root, once more"),
    pytest.mark.timeout(_SECONDS + 10),
    pytest.mark.requirement("sandbox:ordinary-user"),
    pytest.mark.needs("root"),
]


@dataclass(frozen=True)
class Report:
    """What one start of pytest as the user came to. `ran` has (module, passed) of every test that was not skipped."""

    code: int
    ran: list[tuple[str, bool]]
    printed: str


@pytest.fixture(scope="module")
def report(environment: EnvironmentRef) -> Report:
    with tempfile.TemporaryDirectory(prefix="codewords-user-") as folder:
        project, own = Path(folder) / "places" / "project", Path(folder) / "own"
        command, variables = as_user.command(
            Path(folder), environment, "-m", "pytest", "-p", "no:cacheprovider",
            f"--rootdir={project}", f"--basetemp={own}/tmp", f"--junitxml={own}/report.xml",
            *(project / f"tests/integration/sandboxes/{module}.py" for module in _MODULES),
        )  # fmt: skip
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            timeout=_SECONDS,
            env=variables,
            cwd="/",
            check=False,
        )
        printed = done.stdout[-8000:] + done.stderr[-2000:]
        assert (own / "report.xml").exists(), printed
        ran = [
            (case.attrib["classname"].rpartition(".")[2], not outcomes & {"failure", "error"})
            for case in ET.parse(own / "report.xml").iter("testcase")
            if "skipped" not in (outcomes := {outcome.tag for outcome in case})
        ]
        remove_tree(
            own
        )  # on a busy machine folders nested without end may be left, which rmtree cannot remove
    return Report(done.returncode, ran, printed)


@pytest.mark.parametrize("module", _MODULES)
def test_the_suite_holds_for_an_ordinary_user(report: Report, module: str) -> None:
    passed = [passed for name, passed in report.ran if name == module]
    assert passed, report.printed
    assert all(passed), report.printed


def test_nothing_failed_between_those_tests(report: Report) -> None:
    assert report.code == 0, report.printed
