"""The manifest of a script, without loading the analysis before the first one is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.workflows.script import Script


def derive_manifest(script: Script, rules: Mapping[str, Iterable[str]]) -> Manifest:
    """Derive the manifest. `rules` are the hosts of each secret by its name. Takes a core: call it in a thread."""
    from codewords_mcp.runtime.workflows.analysis import derive

    return derive(script, rules=rules).manifest
