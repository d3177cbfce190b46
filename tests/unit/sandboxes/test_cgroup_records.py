"""What a driver makes of cgroups is on record first, and stays on record until it is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewords_mcp.runtime.sandboxes.host import cgroups, files, paths
from codewords_mcp.runtime.sandboxes.host.cgroups import Slice

pytestmark = pytest.mark.requirement("sandbox:cgroups-recorded")


def dead(run_dir: Path, *slices: Path) -> Path:
    """The folder of a driver that was killed, with these slices on record."""
    instance = paths.DriverFolder(run_dir)
    for folder in slices:
        instance.record(Slice({"unified": folder}))
    copy = run_dir / "killed"
    copy.mkdir()
    (copy / "lock").touch()
    if slices:
        (copy / "cgroups").write_text(
            (instance.path / "cgroups").read_text(encoding="utf-8"), encoding="utf-8"
        )
        (instance.path / "cgroups").unlink()
    instance.close()
    return copy


def clean(run_dir: Path) -> None:
    remover = files.Remover()
    paths.clean(run_dir, remover)
    remover.close(30)


def test_each_slice_is_recorded_before_any_of_it_is_made() -> None:
    recorded: list[list[Path]] = []

    def record(candidate: Slice) -> None:
        folders = list(candidate.folders.values())
        assert not [folder for folder in folders if folder.exists()]
        recorded.append(folders)

    found = cgroups.find("codewords-test-records", record)
    if found is not None:
        assert list(found.folders.values()) == recorded[-1]
        assert found.remove()
    assert not [folder for folders in recorded for folder in folders if folder.exists()]


def test_a_process_that_dies_as_it_records_has_made_nothing() -> None:
    seen: list[Path] = []

    def killed(candidate: Slice) -> None:
        seen.extend(candidate.folders.values())
        raise KeyboardInterrupt

    try:
        cgroups.find("codewords-test-killed", killed)
    except KeyboardInterrupt:
        assert seen
    assert not [folder for folder in seen if folder.exists()]


def test_a_slice_that_cannot_be_removed_yet_keeps_its_record_for_the_next_start(tmp_path: Path) -> None:
    run_dir, stays, goes, never = (
        tmp_path / "run",
        tmp_path / "stays",
        tmp_path / "goes",
        tmp_path / "never-made",
    )
    stays.mkdir()
    (stays / "busy").touch()  # as a group whose processes have not gone
    goes.mkdir()
    killed = dead(run_dir, never, goes, stays)
    clean(run_dir)
    assert not goes.exists()
    assert killed.exists(), "what it records is still there"
    (stays / "busy").unlink()
    clean(run_dir)
    assert not stays.exists()
    assert not killed.exists()


def test_an_orderly_end_keeps_the_record_of_what_it_could_not_remove(tmp_path: Path) -> None:
    stays = tmp_path / "stays"
    stays.mkdir()
    instance = paths.DriverFolder(tmp_path / "run")
    instance.record(Slice({"unified": stays}))
    instance.close()
    assert (instance.path / "cgroups").read_text(encoding="utf-8") == f"{stays}\n"
    clean(tmp_path / "run")
    assert not stays.exists()
    assert not instance.path.exists()
