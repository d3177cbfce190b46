"""A wheel of the client that cannot be built names its cause."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.workflows.client import _not_built  # pyright: ignore[reportPrivateUsage]


@pytest.mark.requirement("workflows:client-cause")
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("error: invalid peer certificate: UnknownIssuer", "TLS certificate"),
        ("error: Failed to fetch: `https://pypi.example/simple/hatchling/`", "cannot be reached"),
        ("error sending request: client error (Connect): tunnel error: unsuccessful", "cannot be reached"),
        ("error: failed to create file: No space left on device (os error 28)", "cannot be written"),
        ("something else", "from this checkout"),
    ],
)
def test_the_cause_is_told_in_our_words(said: str, told: str) -> None:
    error = _not_built(said)
    assert told in error.message
    assert said not in str(error)
