"""Removing what a hostile program left."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from codewords_mcp.runtime.sandboxes.host.files import Remover, remove_tree, remove_unused

pytestmark = pytest.mark.requirement("sandbox:cleanup")


def nest(path: Path, depth: int) -> None:
    path.mkdir()
    folder = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)


@pytest.mark.slow
def test_folders_nested_beyond_any_path_are_removed(tmp_path: Path) -> None:
    nest(tmp_path / "top", 3000)
    remove_tree(tmp_path / "top")
    assert list(tmp_path.iterdir()) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "folder").symlink_to(tmp_path / "kept")
    (tmp_path / "top" / "file").symlink_to(tmp_path / "kept" / "file")
    (tmp_path / "top" / "nowhere").symlink_to("/nonexistent")
    remove_tree(tmp_path / "top")
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


def make_folders(top: Path) -> tuple[Path, Path, Path]:
    app, tmp = top / "app", top / "tmp"
    for folder in (top, app, tmp):
        folder.mkdir()
    (app / "main.py").touch()
    (top / "sock").touch()
    return top, app, tmp


def test_folders_of_a_program_that_left_nothing_are_removed_at_once(tmp_path: Path) -> None:
    assert remove_unused(*make_folders(tmp_path / "used"))
    for folder in (tmp_path / "bare", tmp_path / "bare" / "app", tmp_path / "bare" / "tmp"):
        folder.mkdir()
    assert remove_unused(tmp_path / "bare", tmp_path / "bare" / "app", tmp_path / "bare" / "tmp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["app/more", "tmp/more", "more"])
def test_a_file_that_a_program_left_keeps_its_folders_for_the_remover(tmp_path: Path, left: str) -> None:
    top, app, tmp = make_folders(tmp_path / "top")
    (top / left).touch()
    assert not remove_unused(top, app, tmp)
    assert (top / left).exists()


def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    top, app, tmp = make_folders(tmp_path / "top")
    app.rename(tmp_path / "kept")
    app.symlink_to(tmp_path / "kept")
    assert not remove_unused(top, app, tmp)
    assert (tmp_path / "kept" / "main.py").exists()


def test_folders_without_permissions_are_removed(tmp_path: Path) -> None:
    (tmp_path / "top" / "a" / "b").mkdir(parents=True)
    (tmp_path / "top" / "a" / "b" / "file").touch()
    (tmp_path / "top" / "a" / "b").chmod(0)
    (tmp_path / "top" / "a").chmod(0)
    remove_tree(tmp_path / "top")
    assert list(tmp_path.iterdir()) == []


def test_an_absent_folder_and_a_link_to_one_are_told_apart(tmp_path: Path) -> None:
    remove_tree(tmp_path / "absent")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match=r"."):
        remove_tree(tmp_path / "link")


def test_a_removal_that_is_stopped_leaves_the_rest(tmp_path: Path) -> None:
    nest(tmp_path / "top", 10)
    stopped = threading.Event()
    stopped.set()
    remove_tree(tmp_path / "top", stopped)
    assert (tmp_path / "top" / "f").exists()
    remover = Remover()
    remover.remove(tmp_path / "top")
    remover.close(10)
    assert list(tmp_path.iterdir()) == []
