"""Errors of a disk that fails, in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.model.disk_errors import require_folder


@pytest.mark.requirement("http:ready-for-runs")
def test_a_deleted_folder_has_its_own_name_where_it_was_named_by_a_descriptor(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    descriptor = os.open(tmp_path / "run", os.O_RDONLY)
    try:
        (tmp_path / "run").rmdir()
        with pytest.raises(StorageFailed, match=f"The folder {tmp_path}/run/1/s was deleted"):
            require_folder(Path(f"/proc/self/fd/{descriptor}/1/s"))
    finally:
        os.close(descriptor)
