"""The distribution `codewords-testing`: loopback servers that stand in for accounts, outside the product's wheel."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.docs.pages import blocks
from tests.support.paths import PROJECT
from uv import find_uv_bin

FOLDER = PROJECT / "packages" / "codewords-testing"
PRODUCT = PROJECT / "src" / "codewords_mcp"
# `inside` and `sandboxes` are folders that a machine's process 1 has on its path.
OWN = {"codewords_testing", "inside", "sandboxes"}

pytestmark = pytest.mark.requirement("packaging:stand-ins")


def imported(folder: Path) -> set[str]:
    """Top-level modules that the sources of a folder import, anywhere in them."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(str(node.module).partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"__future__"}


def built(folder: Path, source: Path) -> set[str]:
    """Names of the files in the wheel of a distribution."""
    command = [find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", folder, source]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_the_stand_ins_declare_each_distribution_that_they_import() -> None:
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]
    declared = {canonicalize_name(Requirement(text).name) for text in texts}
    distributions = metadata.packages_distributions()
    missing = {
        module
        for module in imported(FOLDER / "src") - OWN
        if not declared & {canonicalize_name(name) for name in distributions.get(module, [module])}
    }
    assert missing == set()


def test_the_product_imports_none_of_the_stand_ins() -> None:
    assert "codewords_testing" not in imported(PRODUCT)


@pytest.mark.slow
def test_each_wheel_holds_its_own_package_and_the_products_no_stand_in(tmp_path: Path) -> None:
    product = built(tmp_path / "product", PROJECT)
    testing = {name for name in product if name.startswith("codewords_mcp/testing/")}
    suite = re.compile(r"codewords_mcp/testing/(__init__\.py|sandboxes/.+)")
    assert testing
    assert [name for name in testing if not suite.fullmatch(name)] == []
    assert not any("codewords_testing" in name for name in product)

    stand_ins = built(tmp_path / "stand-ins", FOLDER)
    sources = FOLDER / "src"
    expected = {
        str(path.relative_to(sources))
        for path in (sources / "codewords_testing").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= stand_ins


def test_the_example_of_the_readme_prints_what_it_says(tmp_path: Path) -> None:
    (example,) = [block for block in blocks(FOLDER / "README.md") if block.language == "python"]
    done = subprocess.run(
        [sys.executable, "-c", example.text], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False
    )  # fmt: skip
    assert done.stdout == "chat.completion 1\n", done.stderr
    assert f"It prints `{done.stdout.strip()}`" in (FOLDER / "README.md").read_text(encoding="utf-8")
