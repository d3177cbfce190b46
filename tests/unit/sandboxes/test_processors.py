"""Reading how busy the machine's processors are."""

from __future__ import annotations

from pathlib import Path

import pytest

from codewords_mcp.runtime.sandboxes.host import processors

pytestmark = pytest.mark.requirement("sandbox:busy-processors")


@pytest.mark.parametrize(
    ("line", "threads"), [("0.07 3.20 6.71 1/603 28155\n", 1), ("14.06 11.49 9.24 12/603 28155\n", 12)]
)
def test_threads_that_want_a_processor_are_read_from_the_kernels_line(line: str, threads: int) -> None:
    assert processors.runnable(line) == threads


@pytest.mark.parametrize(
    ("line", "busy"), [(f"0 0 0 {processors.COUNT}/9 1", False), (f"0 0 0 {processors.COUNT + 1}/9 1", True)]
)
def test_processors_are_busy_where_more_threads_want_one_than_there_are(
    line: str, busy: bool, tmp_path: Path
) -> None:
    (tmp_path / "loadavg").write_text(line, encoding="ascii")
    assert processors.busy(tmp_path / "loadavg") is busy


@pytest.mark.parametrize("line", ["", "0.00", "of another kernel, who knows"])
def test_a_kernel_that_does_not_tell_counts_as_idle(line: str, tmp_path: Path) -> None:
    (tmp_path / "loadavg").write_text(line, encoding="ascii")
    assert not processors.busy(tmp_path / "loadavg")
    assert not processors.busy(tmp_path / "nothing")
