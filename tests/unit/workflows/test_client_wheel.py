"""A wheel of the client that cannot be built names its cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewords_mcp.runtime.workflows.environments import client_wheel as client
from codewords_mcp.runtime.workflows.environments.client_wheel import _not_built  # pyright: ignore[reportPrivateUsage]
from codewords_mcp.runtime.workflows.environments.uv import Uv


@pytest.mark.requirement("workflows:client-cause")
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("error: invalid peer certificate: UnknownIssuer", "TLS certificate"),
        ("error: Failed to fetch: `https://pypi.example/simple/hatchling/`", "cannot be reached"),
        ("Failed to fetch: `https://u:secret@pypi.example/simple/`", "The package index pypi.example cannot"),
        ("Failed to fetch: x HTTP status server error (503 Service Unavailable)", "status 503"),
        ("error sending request: client error (Connect): tunnel error: unsuccessful", "cannot be reached"),
        ("error: failed to create file: No space left on device (os error 28)", "cannot be written"),
        ("something else", "from this checkout"),
    ],
)
def test_the_cause_is_told_in_our_words(said: str, told: str) -> None:
    error = _not_built(said)
    assert told in error.message
    assert said not in str(error)


LEAVING = """#!/bin/sh
mkdir "$TMPDIR/left-by-the-build"
while [ "$1" != "--out-dir" ]; do shift; done
mkdir -p "$2" && touch "$2/codewords_client-1.2.3-py3-none-any.whl"
"""
"""Stands for uv with a build backend that leaves a folder where TMPDIR says, as hatchling does."""


@pytest.mark.anyio
@pytest.mark.requirement("workflows:client-scratch")
async def test_a_build_that_leaves_folders_leaves_none_in_the_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, cache, uv = tmp_path / "scratch", tmp_path / "wheels", tmp_path / "uv"
    scratch.mkdir()
    uv.write_text(LEAVING, encoding="utf-8")
    uv.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(client, "_packaged", lambda: None)
    wheel = await client.client_wheel(Uv(uv, tmp_path / "cache"), cache)
    assert (wheel.version, list(scratch.iterdir())) == ("1.2.3", [])
    assert list(cache.iterdir()) == [wheel.path.parent]
