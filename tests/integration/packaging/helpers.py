"""The files of releases, and the variables that they name."""

from __future__ import annotations

from tests.support.paths import PROJECT

from codewords_mcp.runtime.gateway.keys import NAMES
from codewords_mcp.settings import Settings

PACKAGING = PROJECT / "packaging"
MANIFEST = PACKAGING / "kubernetes" / "codewords.yaml"


def settings_named(names: set[str]) -> set[str]:
    """Those of these variables that the product reads."""
    known = {f"CODEWORDS_{field}".upper() for field in Settings.model_fields} | {"CODEWORDS_RUNTIME_URL"}
    return {name for name in names if name in known or name in NAMES.values()}
