"""The cards of chat hosts (MCP Apps): each one HTML document made of the console's own modules, without a build step."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from codewords_mcp import __version__
from codewords_mcp.console.assets import FOLDER
from codewords_mcp.console.bundle import Bundle, used_styles

CARDS: Final = {
    "run": "Run",
    "deploy-review": "Deploy review",
    "inbox-item": "What waits for you",
    "input-form": "Run a workflow",
    "usage": "Usage",
}
"""The cards with their titles."""
_INSTEAD: Final = {
    "api.js": "cards/api.js",
    "router.js": "cards/router.js",
    "parts/consent.js": "cards/consent.js",
    "parts/lazy.js": "cards/lazy.js",
    "parts/names.js": "cards/names.js",
    "parts/link.js": "cards/nouns.js",
    "parts/virtual.js": "cards/virtual.js",
}
"""A card has no connection but its host, no address and no previews."""
_STYLES: Final = ("app.css", "cards/card.css")
_DARK: Final = re.compile(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}\s*\}", re.DOTALL)
_PAGE: Final = """\
<!doctype html>
<html lang="en" data-version="{version}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{styles}</style>
</head>
<body><div id="app"></div>
<script type="module">
{script}</script>
</body>
</html>
"""


@cache
def card_page(name: str) -> str:
    """The document of a card, the same bytes each time. Raises KeyError for a name that no card has."""
    title = CARDS[name]
    bundle = card_bundle(name)
    script = bundle.script()
    # The host says which theme it has, whatever the person's system has.
    css = "".join((FOLDER / file).read_text(encoding="utf-8") for file in _STYLES)
    styles = used_styles(_DARK.sub(r":root[data-theme=dark] {\1}", css), script)
    return _PAGE.format(version=__version__, title=title, styles=styles, script=script)


def card_bundle(name: str) -> Bundle:
    """The modules of a card."""
    entry = f"cards/{name.replace('-', '_')}.js"
    return Bundle(FOLDER, entry, instead=_INSTEAD)
