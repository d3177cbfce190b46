"""Bytecode of a package cache is linked beside the sources of the same contents."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.namespaces import preloadable
from codewords_mcp.runtime.workflows.environments import bytecode_links

pytestmark = pytest.mark.requirement("environments:bytecode")

TAG = "cpython-311"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def compiled(archive: Path, source: str, text: str, tag: str = TAG) -> Path:
    """A module in an unpacked wheel, and what stands for its bytecode."""
    path = write(archive / source, text)
    return write(path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc", f"bytecode of {text}")


def test_bytecode_comes_beside_the_source_that_it_was_made_from_and_to_no_other(tmp_path: Path) -> None:
    archive, packages = tmp_path / "archive", tmp_path / "packages"
    bytecode = compiled(archive, "package/module.py", "x = 1")
    compiled(archive, "package/changed.py", "x = 2")
    compiled(archive, "absent/module.py", "x = 3")
    write(packages / "package" / "module.py", "x = 1")
    write(packages / "package" / "changed.py", "x = 0")

    bytecode_links.add([archive], packages, TAG)
    linked = list(packages.rglob("*.pyc"))
    assert linked == [packages / "package" / "__pycache__" / f"module.{TAG}.pyc"]
    assert linked[0].samefile(bytecode)


@pytest.mark.parametrize("scheme", ["purelib", "platlib"])
def test_modules_of_a_wheels_data_folder_are_found_where_they_are_installed(
    tmp_path: Path, scheme: str
) -> None:
    archive, packages = tmp_path / "archive", tmp_path / "packages"
    compiled(archive, f"package-1.0.data/{scheme}/package/module.py", "x = 1")
    write(packages / "package" / "module.py", "x = 1")
    bytecode_links.add([archive], packages, TAG)
    assert (packages / "package" / "__pycache__" / f"module.{TAG}.pyc").is_file()


def test_two_archives_with_the_same_source_are_no_fault(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    archives = [tmp_path / "first", tmp_path / "second"]
    for archive in archives:
        compiled(archive, "module.py", "x = 1")
    write(packages / "module.py", "x = 1")
    bytecode_links.add(archives, packages, TAG)
    assert (packages / "__pycache__" / f"module.{TAG}.pyc").read_text(encoding="utf-8") == "bytecode of x = 1"


def test_a_package_is_preloadable_when_another_pythons_wheel_of_it_is_in_the_cache(tmp_path: Path) -> None:
    archives, packages = tmp_path / "archives", tmp_path / "venv" / "site-packages"
    for python, tags in (("cpython-311", ("cpython-311", "cpython-313")), ("cpython-313", ("cpython-313",))):
        for tag in tags:
            compiled(archives / python, "pydantic_core/module.py", "x = 1", tag)
        write(archives / python / "pydantic_core" / f"native.{python}.so", python)
        write(archives / python / "pydantic_core-2.dist-info" / "RECORD", "")
    shutil.copytree(archives / "cpython-313", packages, ignore=shutil.ignore_patterns("__pycache__"))

    bytecode_links.add(sorted(archives.iterdir()), packages, "cpython-313")
    preloadable.store(packages.parent, packages, archives)
    environment = EnvironmentRef(packages.parent, tmp_path, "3.13")
    assert set(preloadable.load(environment, packages)) == {"pydantic_core", "pydantic_core-2.dist-info"}
