"""A Python that is missing is said with what was tried, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.workflows.environments.pythons import find_python
from codewords_mcp.runtime.workflows.environments.uv import Uv

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("environments:python")]


@pytest.fixture
def uv(tmp_path: Path) -> Uv:
    """One that finds no Python and fetches none."""
    program = tmp_path / "uv"
    program.write_text(
        '#!/bin/sh\necho "$@" >>"$0.calls"\necho "error: dns error" >&2\nexit 2\n', encoding="utf-8"
    )
    program.chmod(0o755)
    return Uv(program, tmp_path / "cache")


async def test_a_download_that_failed_is_named_beside_what_the_script_asks_for(
    uv: Uv, tmp_path: Path
) -> None:
    with pytest.raises(EnvironmentFailed) as raised:
        await find_python(uv, "==3.99.*", downloads=True, installs=tmp_path)
    assert "asks for Python ==3.99.*" in raised.value.message
    assert "Fetching one failed too" in raised.value.message
    assert "CODEWORDS_PYTHON_DOWNLOADS" not in raised.value.hint
    assert "python install" in (tmp_path / "uv.calls").read_text(encoding="utf-8")


async def test_where_nothing_is_fetched_the_setting_that_lets_it_is_named(uv: Uv, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed) as raised:
        await find_python(uv, "==3.99.*", downloads=False, installs=tmp_path)
    assert "Fetching" not in raised.value.message
    assert "CODEWORDS_PYTHON_DOWNLOADS=true" in raised.value.hint
    assert "python install" not in (tmp_path / "uv.calls").read_text(encoding="utf-8")
