"""Puts the wheel of `codewords-client` inside ours, so that an installed codewords-mcp needs no checkout to build it from."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilder


class ClientWheel(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own parameter
    """A build hook of hatchling."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the client first; an editable install builds it from the checkout when it is needed."""
        if version == "editable":
            return
        folder = Path(tempfile.mkdtemp(prefix="codewords-client-"))
        source = str(Path(self.root) / "packages" / "codewords-client")
        wheel = Path(next(WheelBuilder(source).build(directory=str(folder), versions=["standard"])))
        build_data["force_include"][str(wheel)] = f"codewords_mcp/_wheels/{wheel.name}"
