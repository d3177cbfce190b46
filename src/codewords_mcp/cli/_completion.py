"""Words that a shell completes: names of workflows and templates.

They are asked of a runtime that runs already. Nothing is started, printed or waited for at a key.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final

from codewords_mcp.errors import CodewordsError

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json

_ANSWER_TIMEOUT: Final = 2.0
"""Seconds that a runtime gets for its answer."""
_MOST: Final = 100


def complete_workflow(incomplete: str) -> list[str]:
    """The ids and names of workflows that begin so."""
    items = _items("/workflows", {"limit": _MOST})
    names = [str(item[key]) for key in ("service_id", "name") for item in items]
    # A shell takes a blank for the end of a word.
    return _beginning([name for name in names if " " not in name], incomplete)


def complete_template(incomplete: str) -> list[str]:
    """The ids of templates that begin so: of the gallery, and the caller's own where a runtime runs."""
    programs = files("codewords_mcp.runtime.authoring.templates") / "programs"
    gallery = [
        file.name.removesuffix(".py")
        for category in programs.iterdir()
        if category.is_dir()
        for file in category.iterdir()
        if file.name.endswith(".py")
    ]
    own = [str(item["id"]) for item in _items("/templates", {})]
    return _beginning([*gallery, *own], incomplete)


def _beginning(words: list[str], incomplete: str) -> list[str]:
    return sorted({word for word in words if word.startswith(incomplete)})


def _items(path: str, params: Json) -> list[Json]:
    """The items of a page; none where no runtime runs or answers."""
    from codewords_mcp.cli._client import RuntimeClient, RuntimeEndpoint
    from codewords_mcp.cli._connect import remote_endpoint
    from codewords_mcp.stdio import home

    try:
        endpoint = remote_endpoint()
        if endpoint is None:
            running = home.find(home.home_folder())
            if running is None:
                return []
            endpoint = RuntimeEndpoint(running.url, running.token)
        with RuntimeClient(endpoint) as client:
            items: list[Json] = client.record("GET", path, params=params, timeout=_ANSWER_TIMEOUT)["items"]
            return items
    # A shell that completes a line has no place for an error.
    except (CodewordsError, KeyError):
        return []
