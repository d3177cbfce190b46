"""Recordings as they are listed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.run import ExecutionMode

RecordingPolicy = Literal["all", "failures", "off"]
"""The runs that are recorded: all, those that did not succeed, or none."""


class RecordingInfo(Model):
    """A recording of a run, without its content. `bytes` are those stored; `exchanges` are its requests.

    `shape` is equal for inputs of the same form. `obstacle` says why the run can't be replayed whole; "" where it can.
    `pinned` recordings are not removed for want of space. `expect` is what one that is a test expects; see `TestedRun`.
    """

    run_id: str
    service_id: str
    version: int
    created_at: datetime
    status: str
    mode: ExecutionMode | None = None
    shape: str
    bytes: int
    exchanges: int
    obstacle: str = ""
    pinned: bool = False
    imported: bool = False
    expect: list[str] | None = None
