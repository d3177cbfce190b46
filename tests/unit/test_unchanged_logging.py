"""A test that sets up the log leaves nothing of it to the next test of its process."""

from __future__ import annotations

import io
import logging

import pytest
import structlog

from codewords_mcp.logging import configure


@pytest.mark.requirement("structure:fresh-log")
@pytest.mark.parametrize("turn", ["first", "second"])
def test_the_set_up_of_a_test_is_gone_in_the_next(turn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not structlog.is_configured()
    structlog.get_logger(turn).warning("structured")
    assert "structured" in capsys.readouterr().out

    stream = io.StringIO()
    configure("INFO", stream)
    structlog.configure(cache_logger_on_first_use=False)
    logging.getLogger(turn).warning("standard")
    assert "standard" in stream.getvalue()
