"""The scripts that a contributor meets first: `scripts/setup` and `scripts/test`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.paths import PROJECT

pytestmark = pytest.mark.requirement("project:scripts")

OLD = '#!/bin/sh\ncase "$*" in *--version*) echo "Python 3.10.12" ;; *version_info*) exit 1 ;; esac\n'
NEW = """#!/bin/sh
case "$*" in
  "-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python; printf '#!/bin/sh\\n' >.venv/bin/uv; chmod +x .venv/bin/uv ;;
esac
"""


class Checkout:
    """A folder with the scripts, in which no program is found but those that a test makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        self.packages = ""
        """Those of Debian that tests need and that are not here."""
        shutil.copytree(PROJECT / "scripts", folder / "scripts")
        self.programs.mkdir()
        for name in ("sh", "dirname", "rm", "mkdir", "cp", "chmod", "cat", "env"):
            found = shutil.which(name)
            assert found is not None
            (self.programs / name).symlink_to(found)

    def program(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.folder / "scripts" / script, *arguments],
            env={"PATH": str(self.programs), "PACKAGES": self.packages}, capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_setup_with_a_python_that_is_too_old_says_so_and_makes_nothing(checkout: Checkout) -> None:
    checkout.program("programs/python3", OLD)
    done = checkout.run("setup")
    assert done.returncode == 1
    assert "needs Python 3.11 or newer; python3 is Python 3.10.12" in done.stderr
    assert "PYTHON=" in done.stderr
    assert not (checkout.folder / ".venv").exists()


def test_setup_takes_a_newer_python_beside_an_old_one_and_replaces_its_environment(
    checkout: Checkout,
) -> None:
    checkout.program("programs/python3", OLD)
    checkout.program("programs/python3.12", NEW)
    checkout.program(".venv/bin/python", OLD)
    (checkout.folder / ".venv" / "of-the-old-one").touch()
    done = checkout.run("setup")
    assert done.returncode == 0, done.stderr
    assert not (checkout.folder / ".venv" / "of-the-old-one").exists()
    assert (checkout.folder / ".venv/bin/python").read_text(encoding="utf-8") == NEW


def test_setup_installs_the_developers_tools_where_they_are_asked_for_or_here(checkout: Checkout) -> None:
    installed = checkout.folder / "installed"
    checkout.program("programs/python3", "#!/bin/sh\n")
    checkout.program(".venv/bin/python", "#!/bin/sh\n")
    checkout.program(".venv/bin/uv", f'#!/bin/sh\necho "$*" >{installed}\n')
    for arguments, tools in (((), False), (("--dev",), True)):
        assert checkout.run("setup", *arguments).returncode == 0
        assert (" -e .[dev] -e packages/codewords-testing" in installed.read_text(encoding="utf-8")) is tools

    checkout.program(".venv/bin/pytest", "#!/bin/sh\n")
    assert checkout.run("setup").returncode == 0
    assert " -e .[dev] " in installed.read_text(encoding="utf-8")


def test_the_test_script_installs_the_developers_tools_where_they_are_not_here(checkout: Checkout) -> None:
    for name in ("python", "uv"):
        checkout.program(f".venv/bin/{name}", "#!/bin/sh\n")
    checkout.program("programs/python3", "#!/bin/sh\n")
    said = checkout.run("test", "-k", "nothing")
    assert said.stderr.startswith("Installing into .venv")
    assert said.returncode == 127  # the uv of this test installs nothing


WITHOUT_PIP = '#!/bin/sh\ncase "$*" in *"import sys, pip"*) exit 1 ;; esac\n'


def test_setup_makes_an_environment_without_pip_anew(checkout: Checkout) -> None:
    checkout.program("programs/python3", NEW)
    checkout.program(".venv/bin/python", WITHOUT_PIP)
    assert checkout.run("setup").returncode == 0
    assert (checkout.folder / ".venv/bin/python").read_text(encoding="utf-8") == NEW


def test_setup_in_a_folder_of_somebody_else_uses_the_environment_that_is_there(checkout: Checkout) -> None:
    checkout.program("programs/python3", NEW)
    # The test may be root, who may write everywhere.
    setup = checkout.folder / "scripts" / "setup"
    setup.write_text(setup.read_text(encoding="utf-8").replace("[ -w . ]", "false"), encoding="utf-8")
    said = checkout.run("setup")
    assert said.returncode == 1
    assert said.stderr.startswith(f"{checkout.folder} is not writable, and has no .venv that runs. Clone")
    assert not (checkout.folder / ".venv").exists()

    checkout.program(".venv/bin/codewords-mcp", "#!/bin/sh\n")
    said = checkout.run("setup")
    assert (said.returncode, said.stderr) == (
        0,
        f"{checkout.folder} or its .venv is not writable: its .venv is used as it is.\n",
    )


PYTHON = """#!/bin/sh
case "$*" in "-m tests.support.needs") echo "$PACKAGES" ;; esac
"""


@pytest.mark.parametrize("user", ["0", "1000"])
def test_setup_for_tests_installs_what_is_not_here_as_root(checkout: Checkout, user: str) -> None:
    for name in ("python", "uv"):
        checkout.program(f".venv/bin/{name}", PYTHON)
    checkout.program("programs/python3", "#!/bin/sh\n")
    checkout.program("programs/id", f"#!/bin/sh\necho {user}\n")
    said = checkout.run("setup", "--for-tests")
    assert (said.returncode, said.stderr.splitlines()[-1]) == (0, "Everything that the tests need is here.")

    checkout.packages = "redis-server radosgw"
    said = checkout.run("setup", "--for-tests")
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].endswith("with apt-get: redis-server radosgw")

    calls = checkout.folder / "calls"
    checkout.program("programs/apt-get", f'#!/bin/sh\necho "$*" >>{calls}\n')
    checkout.program("programs/sudo", f'#!/bin/sh\necho sudo >>{calls}\nexec "$@"\n')
    said = checkout.run("setup", "--for-tests")
    assert said.returncode == 0, said.stderr
    install = "install -y -qq --no-install-recommends redis-server radosgw"
    asked = calls.read_text(encoding="utf-8").splitlines()
    assert asked == (["update -qq", install] if user == "0" else ["sudo", "update -qq", "sudo", install])


def test_setup_with_an_option_that_is_none_says_which_there_are(checkout: Checkout) -> None:
    said = checkout.run("setup", "--for-test")
    assert (said.returncode, said.stdout.splitlines()[0]) == (2, "usage: scripts/setup [--dev | --for-tests]")


def test_help_of_the_test_script_is_its_own_and_runs_no_check(checkout: Checkout) -> None:
    for option in ("--help", "-h"):
        done = checkout.run("test", option)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: scripts/test")


def test_a_fresh_checkout_is_compiled_once_and_not_by_each_worker(checkout: Checkout) -> None:
    for name in ("python", "pytest"):
        checkout.program(f".venv/bin/{name}", f'#!/bin/sh\necho "{name} $*" >>calls\n')
    calls = checkout.folder / "calls"
    assert checkout.run("test").returncode == 0
    compiling, *collecting, running = calls.read_text(encoding="utf-8").splitlines()
    assert compiling.startswith("python -m compileall")
    assert len(collecting) == 2
    assert all("--collect-only" in call for call in collecting)
    assert running.startswith("pytest -n ")
    assert running.endswith(" --depth first")

    calls.unlink()
    (checkout.folder / "tests" / "unit" / "__pycache__").mkdir(parents=True)
    assert checkout.run("test").returncode == 0
    assert calls.read_text(encoding="utf-8").splitlines() == [running]
