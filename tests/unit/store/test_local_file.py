"""A home is for its owner only, whatever it was before, and `doctor` names what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewords_mcp.cli.doctor import machine as _machine
from codewords_mcp.runtime.store import local_file

pytestmark = pytest.mark.requirement("store:private")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As another program, or an older version under umask 022, leaves one."""
    home = tmp_path / "home"
    for folder in (home, home / "logs", home / "files"):
        folder.mkdir()
        folder.chmod(0o755)
    for name in (
        "codewords.db",
        "codewords.db-wal",
        "codewords.db-shm",
        "logs/runtime.log",
        "logs/runtime.log.1",
    ):
        (home / name).touch()
        (home / name).chmod(0o644)
    monkeypatch.setenv("CODEWORDS_HOME", str(home))
    return home


def _modes(home: Path) -> dict[str, str]:
    return {
        path.relative_to(home.parent).as_posix(): oct(path.stat().st_mode & 0o777)
        for path in [home, *home.rglob("*")]
    }


def test_a_home_that_others_could_read_is_closed_to_them_at_the_start(home: Path) -> None:
    local_file.make_private_home(home)
    local_file.prepare(home / local_file.NAME)
    modes = _modes(home)
    folders = {name: mode for name, mode in modes.items() if (home.parent / name).is_dir()}
    assert set(folders.values()) == {"0o700"}
    assert {mode for name, mode in modes.items() if name not in folders} == {"0o600"}
    assert local_file.exposed(home) == []


def test_a_new_home_is_private(tmp_path: Path) -> None:
    local_file.make_private_home(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "logs").stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_doctor_names_what_others_can_read_and_the_command_that_ends_it(home: Path) -> None:
    (finding,) = [one for one in _machine.machine_findings() if one.status == "warning" and one.id == "home"]
    for name in ("codewords.db", "codewords.db-wal", "logs/runtime.log.1", "files"):
        assert str(home / name) in finding.detail
        assert str(home / name) in finding.fix
    local_file.make_private_home(home)
    local_file.prepare(home / local_file.NAME)
    assert not [one for one in _machine.machine_findings() if one.status == "warning" and one.id == "home"]
