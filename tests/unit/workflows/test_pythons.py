"""A Python that is missing is said with what was tried, and what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from codewords_mcp.runtime.workflows.environments.pythons import NoPython, find_python, wider_pin
from codewords_mcp.runtime.workflows.environments.uv import Uv

OWN = sys.version_info[1]
pytestmark = [pytest.mark.anyio, pytest.mark.requirement("environments:python")]


def uv_that_fails(folder: Path, stderr: str) -> Uv:
    """One that finds no Python and fetches none."""
    program = folder / "uv"
    program.write_text(f'#!/bin/sh\necho "$@" >>"$0.calls"\necho "{stderr}" >&2\nexit 2\n', encoding="utf-8")
    program.chmod(0o755)
    return Uv(program, folder / "cache")


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (
            "error: error sending request for url: dns error",
            "Fetching one failed: its server cannot be reached.",
        ),
        ("error: No download found for request: cpython-==3.99.*", "There is none to fetch."),
        ("error: HTTP status client error (404 Not Found)", "Fetching one failed."),
    ],
)
async def test_the_network_is_blamed_only_where_it_was_the_cause(
    tmp_path: Path, stderr: str, reason: str
) -> None:
    with pytest.raises(NoPython) as raised:
        await find_python(uv_that_fails(tmp_path, stderr), "==3.99.*", downloads=True, installs=tmp_path)
    assert raised.value.message == f"The script asks for Python ==3.99.*, and this machine has none. {reason}"
    assert not raised.value.hint
    assert "python install" in (tmp_path / "uv.calls").read_text(encoding="utf-8")


async def test_where_nothing_is_fetched_the_setting_that_lets_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoPython) as raised:
        await find_python(uv_that_fails(tmp_path, "no"), "==3.99.*", downloads=False, installs=tmp_path)
    assert "etch" not in raised.value.message
    assert "CODEWORDS_PYTHON_DOWNLOADS=true" in raised.value.hint
    assert "python install" not in (tmp_path / "uv.calls").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("pin", "wider"), [("==3.8.*", f">=3.8,<3.{OWN + 1}"), ("==3.29.*", f">=3.{OWN}"), ("<3", f">=3.{OWN}")]
)
def test_a_wider_pin_accepts_the_runtimes_own_python_too(pin: str, wider: str) -> None:
    assert wider_pin(pin) == wider
