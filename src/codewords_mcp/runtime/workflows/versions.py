"""Facts of a stored version: its manifest, its capabilities in words and its example input."""

from __future__ import annotations

from typing import Any, Literal

from codewords_mcp.runtime.model.json_sample import make_example
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.store.workflows import VersionRow
from codewords_mcp.runtime.workflows.openapi import read_routes
from codewords_mcp.runtime.workflows.validation.main_route import main_route

WITHOUT_MANIFEST = (
    "deployed before there were manifests: it may do what its code asks for, and its next deploy asks you"
)


def manifest_of(version: VersionRow) -> Manifest | None:
    """The version's manifest, None for a version that is older than manifests."""
    if version.manifest is None:
        return None
    return Manifest.model_validate(version.manifest)


def describe_capabilities(manifest: Manifest | None) -> list[str]:
    """The permissions as lines for a person."""
    if manifest is None:
        return [WITHOUT_MANIFEST]
    return manifest.lines()


def widens(live: VersionRow | None, version: VersionRow) -> bool:
    """Whether `version` has permissions that the live version lacks."""
    # a version without a manifest has no recorded consent, so it counts as having no permission
    before = (live and manifest_of(live)) or Manifest()
    return bool((manifest_of(version) or Manifest()).widens(before))


def example_input(version: VersionRow) -> tuple[Any, Literal["given", "derived"] | None]:
    """An input to try the version with, and its source; (None, None) if its main route takes no input."""
    if version.example is not None:
        return version.example, "given"

    route = main_route(read_routes(version.openapi))
    if route and route.schema:
        return make_example(route.schema), "derived"
    return None, None
