"""Shared modules are installed beside the packages of a lock, whatever an index has by their names."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.support.runtime import warm_folder

from codewords_mcp.agent import environment as agent
from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.model.modules import SharedModule, join_modules
from codewords_mcp.runtime.sandboxes.e2b.environments import read_pins
from codewords_mcp.runtime.sandboxes.namespaces import preloadable
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.script import Script, parse_script

pytestmark = pytest.mark.anyio
SMALL = "idna==3.10"
OURS = 'NAME = "ours"\n'


def script(*dependencies: str, **modules: str) -> Script:
    header = f'# /// script\n# requires-python = ">=3.11,<3.14"\n# dependencies = {json.dumps(dependencies)}\n# ///\n'
    found = [SharedModule(f"{name.replace('__', '/')}.py", text) for name, text in modules.items()]
    return parse_script(join_modules(header, found))


def run_python(base_prefix: Path, site_packages: Path, code: str) -> str:
    """What the base Python prints with an environment's packages on its path."""
    env = {"PYTHONPATH": str(site_packages), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath}
    command = [base_prefix / "bin" / "python3.11", "-c", code]
    return subprocess.run(command, env=env, check=True, capture_output=True, encoding="utf-8").stdout.strip()


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that has a package `helpers`, which is somebody else's, and brings a module of the same name."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "helpers-1.0.dist-info"
    files = {
        "helpers.py": 'NAME = "a stranger\'s"\n',
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: helpers\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": f"helpers.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n",
    }
    with zipfile.ZipFile(folder / "helpers-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))


@pytest.mark.requirement("projects:module-wheel")
async def test_a_module_is_installed_with_bytecode_and_a_change_of_it_resolves_nothing(
    environments: Environments,
) -> None:
    first = await environments.ensure(script(SMALL, shared__helpers=OURS))
    code = "import idna, shared.helpers; print(idna.__version__, shared.helpers.NAME)"
    assert run_python(first.base_prefix, first.site_packages, code) == "3.10 ours"
    assert first.lock == "idna==3.10\n"
    assert "sha256:" in first.modules
    compiled = next((first.site_packages / "shared" / "__pycache__").glob("helpers.*.pyc"))
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01

    again = await environments.ensure(script(SMALL, shared__helpers=OURS))
    assert (again.built, again.hash, again.modules) == (False, first.hash, first.modules)
    other = await environments.ensure(script(SMALL, shared__helpers=OURS.replace("ours", "new")))
    assert other.built
    assert other.hash != first.hash
    assert "resolve" not in other.timings_ms
    assert run_python(other.base_prefix, other.site_packages, code) == "3.10 new"
    plain = await environments.ensure(script(SMALL))
    assert plain.modules == ""
    assert not (plain.site_packages / "shared").exists()


@pytest.mark.requirement("sandbox:server-imports")
async def test_a_fork_server_may_import_listed_packages_and_no_module_of_the_author(
    environments: Environments,
) -> None:
    built = await environments.ensure(script("six==1.17.0", "packaging==24.2", ujson=OURS))
    assert (built.site_packages / "ujson.py").is_file()
    entries = preloadable.load(built.ref, built.site_packages)
    assert {"six.py", "packaging", "packaging-24.2.dist-info"} <= set(entries)
    assert [entry for entry in entries if "ujson" in entry or "codewords" in entry] == []
    # By the hash of its RECORD: what was exchanged since is not what was looked at.
    (built.site_packages / "packaging-24.2.dist-info" / "RECORD").unlink()
    assert "packaging" not in preloadable.load(built.ref, built.site_packages)


@pytest.mark.requirement("projects:module-wheel")
async def test_a_module_that_was_changed_in_its_environment_is_installed_again(
    environments: Environments,
) -> None:
    first = await environments.ensure(script(SMALL, helpers=OURS))
    (first.site_packages / "helpers.py").write_text('NAME = "changed by somebody"\n', encoding="utf-8")
    again = await environments.ensure(script(SMALL, helpers=OURS))
    assert again.built
    assert (again.site_packages / "helpers.py").read_text(encoding="utf-8") == OURS


@pytest.mark.requirement("projects:module-names")
@pytest.mark.usefixtures("stranger")
async def test_a_module_is_never_answered_with_a_package_of_an_index(environments: Environments) -> None:
    theirs = await environments.ensure(script("helpers"))
    code = "import helpers; print(helpers.NAME)"
    assert run_python(theirs.base_prefix, theirs.site_packages, code) == "a stranger's"

    ours = await environments.ensure(script(helpers=OURS))
    assert ours.lock == ""
    assert run_python(ours.base_prefix, ours.site_packages, code) == "ours"
    # Both at once: one would hide the other, so neither is chosen.
    for modules in ({"helpers": OURS}, {"helpers__deep": OURS}):
        with pytest.raises(EnvironmentFailed, match="brings a module called helpers"):
            await environments.ensure(script("helpers", **modules))


@pytest.mark.requirement("projects:module-names")
@pytest.mark.usefixtures("stranger")
async def test_a_machine_elsewhere_gets_the_modules_and_asks_no_index_for_them(
    environments: Environments, tmp_path: Path
) -> None:
    built = await environments.ensure(script(SMALL, helpers=OURS, shared__deep="X = 1\n"))
    pins = read_pins(built.ref)
    assert pins.packages == (SMALL,)
    assert pins.name("t") != read_pins((await environments.ensure(script(SMALL))).ref).name("t")

    there = tmp_path / "there"
    there.mkdir()
    (there / "cache").symlink_to(warm_folder() / "cache")
    request = {"pins": list(pins.packages), "python": pins.python, "client": False, "modules": pins.modules}
    said: list[str] = []
    found = await agent.build(there, request, said.append)
    site = found.path / "lib" / "python3.11" / "site-packages"
    code = "import helpers, shared.deep; print(helpers.NAME, shared.deep.X)"
    assert run_python(found.base_prefix, site, code) == "ours 1"
    assert read_pins(found) == pins
