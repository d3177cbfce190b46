"""A build, from uv's words and files: progress, a lock, shared files, packages that are remembered as whole."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.workflows.environments import shared_files
from codewords_mcp.runtime.workflows.environments.install_progress import InstallProgress
from codewords_mcp.runtime.workflows.environments.integrity import damaged_packages
from codewords_mcp.runtime.workflows.environments.lock import lock_of

pytestmark = pytest.mark.anyio


def package(folder: Path, name: str, content: bytes = b"x = 1\n", version: str = "1.0") -> Path:
    """An installed package of one module; its metadata's folder."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_bytes(content)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: other\n", encoding="utf-8"
    )
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    (info / "RECORD").write_text(
        f"{name}.py,sha256={digest},{len(content)}\n{info.name}/RECORD,,\n", encoding="utf-8"
    )
    return info


@pytest.mark.requirement("environments:progress")
async def test_downloads_are_told_in_order_and_nothing_else_of_uv_is() -> None:
    said: list[tuple[float, str]] = []

    async def progress(done: float, total: float, message: str) -> None:
        said.append((done, message))

    heard = InstallProgress(progress).on_line
    for line in (
        "Using CPython 3.11.7 interpreter at: /home/somebody/python",
        "Resolved 4 packages in 265ms",
        "Downloading numpy (16.1MiB)",
        "Downloaded numpy",
        "Downloading pandas (11.8MiB)",
        "Downloading <b>evil</b> (1MiB)",
        "Downloaded unheard-of",
        "Downloaded pandas",
        " + numpy==2.4.6",
    ):
        await heard(line)
    assert [message for _, message in said] == [
        "Installing packages",
        "Downloading numpy (16.1 MiB)",
        "Installing packages",
        "Downloading pandas (11.8 MiB)",
        "Installing packages",
    ]
    assert [done for done, _ in said] == sorted({done for done, _ in said})
    assert all(0.3 <= done < 0.6 for done, _ in said)


@pytest.mark.requirement("environments:build")
def test_a_lock_has_normalised_names_and_versions(tmp_path: Path) -> None:
    package(tmp_path, "Zope.Interface", version="1.0.0rc1")
    package(tmp_path, "typing_extensions", version="4.16")
    assert lock_of(tmp_path) == "typing-extensions==4.16\nzope-interface==1.0.0rc1\n"


@pytest.mark.requirement("environments:build")
@pytest.mark.parametrize(
    "metadata", ["Metadata-Version: 2.1\nName: a\n\nVersion: 1\n", "Name: a\nVersion: b c\n"]
)
def test_a_package_that_does_not_tell_its_version_is_named(tmp_path: Path, metadata: str) -> None:
    (package(tmp_path, "a") / "METADATA").write_text(metadata, encoding="utf-8")
    with pytest.raises(EnvironmentFailed, match=r"metadata of a-1\.0"):
        lock_of(tmp_path)


@pytest.mark.requirement("environments:disk")
def test_a_shared_file_that_lost_its_content_spoils_no_environment(tmp_path: Path) -> None:
    store, venvs = tmp_path / "store", [tmp_path / name for name in ("one", "two", "three")]
    for venv in venvs:
        (venv / "bin").mkdir(parents=True)
        package(venv, "a")
    shared_files.share(venvs[0], venvs[0], store)
    for kept in store.iterdir():
        kept.unlink()
        kept.write_bytes(b"")  # as a power failure may leave it
    shared_files.share(venvs[1], venvs[1], store)
    shared_files.share(venvs[2], venvs[2], store)
    records = [venv / "a-1.0.dist-info" / "RECORD" for venv in venvs]
    assert len({record.read_bytes() for record in records}) == 1
    assert records[1].samefile(records[2])
    assert [path.name for path in tmp_path.rglob("*.own")] == []


@pytest.mark.requirement("environments:disk")
def test_files_of_other_rights_are_not_shared_and_unused_ones_go(tmp_path: Path) -> None:
    store, venv = tmp_path / "store", tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name, mode in (("a", 0o755), ("b", 0o644), ("c", 0o755)):
        (venv / "bin" / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (venv / "bin" / name).chmod(mode)
    shared_files.share(venv, venv, store)
    assert (venv / "bin" / "a").samefile(venv / "bin" / "c")
    assert (venv / "bin" / "b").stat().st_mode & 0o777 == 0o644
    (venv / "bin" / "b").unlink()
    shared_files.collect(store)
    assert len(list(store.iterdir())) == 1


@pytest.mark.requirement("environments:damaged")
def test_a_package_whose_files_changed_is_read_again(tmp_path: Path) -> None:
    cache, folder, verified = tmp_path / "cache", tmp_path / "packages", tmp_path / "verified"
    info = package(cache, "a")
    (folder / info.name).mkdir(parents=True)
    for name in ("a.py", f"{info.name}/RECORD", f"{info.name}/METADATA"):
        os.link(cache / name, folder / name)
    assert damaged_packages(folder, hashes=True, verified=verified) == []
    assert len(list(verified.iterdir())) == 1
    (cache / "a.py").write_bytes(b"x = 2\n")
    os.utime(cache / "a.py", (1, 1))
    assert damaged_packages(folder, hashes=True, verified=verified) == ["a-1.0"]
    assert len(list(verified.iterdir())) == 1


@pytest.mark.requirement("environments:damaged")
def test_copies_are_read_each_time_and_leave_nothing_behind(tmp_path: Path) -> None:
    package(tmp_path / "packages", "a")
    assert damaged_packages(tmp_path / "packages", hashes=True, verified=tmp_path / "verified") == []
    assert not (tmp_path / "verified").exists()
