"""Finds event sources by kind. A source's module is imported at its first use."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.triggers.sources.base import EventSource

_SOURCES = {
    "feed": "feed:FeedSource",
    "url": "url:UrlSource",
    "run_ended": "run_ended:RunEndedSource",
    "mail": "mail:MailSource",
    "folder": "folder:FolderSource",
    "bucket": "bucket:BucketSource",
    "github": "github:GitHubSource",
    "notion": "notion:NotionSource",
    "hubspot": "hubspot:HubSpotSource",
    "sheets": "sheets:SheetsSource",
    "airtable": "airtable:AirtableSource",
    "pipedream": "pipedream:PipedreamSource",
}
"""Kind → `module:CLASS` in this package, in the order in which they are listed."""
_DEPLOYED = ("pipedream",)
"""Kinds whose class is a `DeployedSource`, said here so that none is imported for it."""


def source_kinds() -> list[str]:
    """Return the kinds of all sources."""
    return list(_SOURCES)


def deployed_kinds() -> tuple[str, ...]:
    """Return the kinds whose triggers are set up elsewhere."""
    return _DEPLOYED


@cache
def find_source(kind: str) -> EventSource[Any]:
    """Return the source of a kind. Raises InvalidInput where there is none."""
    if kind not in _SOURCES:
        raise InvalidInput(f"`kind` must be one of {', '.join(_SOURCES)}.")
    module, _, name = _SOURCES[kind].partition(":")
    source: EventSource[Any] = getattr(importlib.import_module(f"{__package__}.{module}"), name)()
    return source
