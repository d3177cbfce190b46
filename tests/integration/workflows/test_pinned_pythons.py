"""The Python that a script's pin asks for: found wherever uv may have put it, or refused with both ways out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.environments.pythons import own_python
from codewords_mcp.runtime.workflows.script import Script, parse_script

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("environments:python")]
OWN = own_python().short
OTHER = "3.13" if OWN == "3.11" else "3.11"
NEEDS_OTHER = pytest.mark.needs(f"python{OTHER}")


def script(python: str, package: str = "idna==3.10") -> Script:
    return parse_script(
        f'# /// script\n# requires-python = "{python}"\n# dependencies = ["{package}"]\n# ///\n'
    )


@pytest.fixture
def no_other_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pin that no Python meets that this test's runtime can find: the only one is its own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.delenv(name, raising=False)
    return "==3.11.*" if OWN != "3.11" else "==3.12.*"


async def test_a_pin_that_no_python_meets_is_refused_with_both_ways_out(
    environments: Environments, no_other_python: str
) -> None:
    with pytest.raises(EnvironmentFailed) as caught:
        await environments.ensure(script(no_other_python))
    assert f"asks for Python {no_other_python}, and this machine has none." in caught.value.message
    assert f"`uv python install {no_other_python[2:6]}`" in caught.value.hint
    assert "CODEWORDS_PYTHON_DOWNLOADS" in caught.value.hint

    # The pin that it proposes is one with which the same script is built.
    assert "packages also install" in caught.value.hint
    wider = caught.value.hint.partition('requires-python = "')[2].partition('"')[0]
    assert (await environments.ensure(script(wider))).python_version == OWN


async def test_a_wider_pin_is_not_proposed_where_the_packages_refuse_this_python(
    environments: Environments, no_other_python: str
) -> None:
    with pytest.raises(EnvironmentFailed) as caught:
        await environments.ensure(script(no_other_python, "docopt==0.6.2"))
    assert f"`uv python install {no_other_python[2:6]}`" in caught.value.hint
    assert "docopt==0.6.2 has no wheel" in caught.value.hint
    assert "requires-python" not in caught.value.hint


@NEEDS_OTHER
async def test_another_python_of_this_machine_is_found(environments: Environments) -> None:
    environment = await environments.ensure(script(f"=={OTHER}.*"))
    assert environment.python_version == OTHER
    assert os.path.realpath(environment.path / "bin" / "python3") == f"/usr/bin/python{OTHER}"


@NEEDS_OTHER
@pytest.mark.usefixtures("no_other_python")
async def test_a_python_of_the_persons_own_uv_is_found(environments: Environments, tmp_path: Path) -> None:
    folder = tmp_path / f".local/share/uv/python/cpython-{OTHER}.5-linux-x86_64-gnu/bin"
    folder.mkdir(parents=True)
    (folder / f"python{OTHER}").symlink_to(f"/usr/bin/python{OTHER}")
    assert (await environments.ensure(script(f"=={OTHER}.*"))).python_version == OTHER
