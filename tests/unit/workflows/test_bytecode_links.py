"""Bytecode of a package cache is linked beside the sources of the same contents."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewords_mcp.runtime.workflows.environments import bytecode_links

pytestmark = pytest.mark.requirement("environments:bytecode")

TAG = "cpython-311.pyc"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def compiled(archive: Path, source: str, text: str) -> Path:
    """A module in an unpacked wheel, and what stands for its bytecode."""
    path = write(archive / source, text)
    return write(path.parent / "__pycache__" / f"{path.stem}.{TAG}", f"bytecode of {text}")


def test_bytecode_comes_beside_the_source_that_it_was_made_from_and_to_no_other(tmp_path: Path) -> None:
    archive, packages = tmp_path / "archive", tmp_path / "packages"
    bytecode = compiled(archive, "package/module.py", "x = 1")
    compiled(archive, "package/changed.py", "x = 2")
    compiled(archive, "absent/module.py", "x = 3")
    write(packages / "package" / "module.py", "x = 1")
    write(packages / "package" / "changed.py", "x = 0")

    bytecode_links.add([archive], packages)
    linked = list(packages.rglob("*.pyc"))
    assert linked == [packages / "package" / "__pycache__" / f"module.{TAG}"]
    assert linked[0].samefile(bytecode)


@pytest.mark.parametrize("scheme", ["purelib", "platlib"])
def test_modules_of_a_wheels_data_folder_are_found_where_they_are_installed(
    tmp_path: Path, scheme: str
) -> None:
    archive, packages = tmp_path / "archive", tmp_path / "packages"
    compiled(archive, f"package-1.0.data/{scheme}/package/module.py", "x = 1")
    write(packages / "package" / "module.py", "x = 1")
    bytecode_links.add([archive], packages)
    assert (packages / "package" / "__pycache__" / f"module.{TAG}").is_file()


def test_two_archives_with_the_same_source_are_no_fault(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    archives = [tmp_path / "first", tmp_path / "second"]
    for archive in archives:
        compiled(archive, "module.py", "x = 1")
    write(packages / "module.py", "x = 1")
    bytecode_links.add(archives, packages)
    assert (packages / "__pycache__" / f"module.{TAG}").read_text(encoding="utf-8") == "bytecode of x = 1"
