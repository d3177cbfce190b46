"""Looking at a page at both widths, light and dark."""

from __future__ import annotations

import json

from tests.integration.console.helpers import DESKTOP, PHONE, WIDE, Console
from tests.support.npm import installed

AXE = "axe-core@4.14.1"
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
VIOLATIONS = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(
    rule => `${rule.id}: ${rule.nodes.map(node => node.html.slice(0, 160)).join(" ")}`))"""


def violations(console: Console) -> list[str]:
    """Rules of axe that the page breaks as it is now."""
    console.tab.value(axe() + ";true")
    return list(console.tab.value(VIOLATIONS))


def axe() -> str:
    """The script of axe."""
    return (installed(AXE) / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def look(console: Console, path: str, heading: str = "", ready: str = "main") -> None:
    """Open a page at both widths, light and dark, and wide; find nothing wrong with it once what `ready` selects is there."""
    for size in (PHONE, DESKTOP):
        for dark in (False, True):
            console.tab.resize(*size, dark=dark)
            console.open(path, heading)
            console.waits(f"document.querySelector({json.dumps(ready)})")
            assert console.tab.value(_SIDEWAYS) <= 0, (path, size)
            found = violations(console)
            assert found == [], (path, size, dark, found)
    # Rules of accessibility see no difference between a wide window and a very wide one.
    console.tab.resize(*WIDE)
    console.open(path, heading)
    assert console.tab.value(_SIDEWAYS) <= 0, (path, WIDE)
    assert console.tab.problems == [], console.tab.problems
