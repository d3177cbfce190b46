"""The runtime of a home's workflows: one on this machine, one in a container, one with sandboxes on E2B, or one elsewhere.

CODEWORDS_RUNTIME and CODEWORDS_RUNTIME_URL say it for one process; `runtime-choice.json` in the home (0600) for all others.
"""

from __future__ import annotations

# ruff: noqa: PTH118, PTH123 - pathlib is not worth its import in the proxy
import os

from codewords_mcp.stdio import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FILE = "runtime-choice.json"
LOCAL: str = "local"
CONTAINER: str = "container"
E2B: str = "e2b"
REMOTE: str = "remote"
KINDS = (LOCAL, CONTAINER, E2B)
"""Values of CODEWORDS_RUNTIME, beside addresses."""


class RuntimeChoice:
    """A choice. `url` and `key` are those of a remote runtime, else empty."""

    __slots__ = ("key", "kind", "url")

    def __init__(self, kind: str, url: str = "", key: str = "") -> None:
        self.kind = kind
        self.url = url
        self.key = key


def read(home: str, env: Mapping[str, str] = os.environ) -> RuntimeChoice:
    """The choice for a home: the environment's, else the one that is kept, else a runtime on this machine."""
    if url := env.get("CODEWORDS_RUNTIME_URL"):
        return RuntimeChoice(REMOTE, url, env.get("CODEWORDS_API_KEY", ""))
    named = env.get("CODEWORDS_RUNTIME", "")
    if named in KINDS:
        return RuntimeChoice(named)

    try:
        with open(os.path.join(home, FILE), "rb") as file:
            stored: Any = json_text.decode(file.read())
        kind, url, key = str(stored["runtime"]), str(stored.get("url") or ""), str(stored.get("key") or "")
    # A file that is damaged counts as none: the proxy must come up all the same.
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return RuntimeChoice(LOCAL)

    if kind in KINDS:
        return RuntimeChoice(kind)
    if kind == REMOTE and url:
        return RuntimeChoice(REMOTE, url, env.get("CODEWORDS_API_KEY") or key)
    return RuntimeChoice(LOCAL)


def keep(home: str, choice: RuntimeChoice) -> None:
    """Keep a choice in the home, for its owner only. Raises OSError."""
    import json

    os.makedirs(home, mode=0o700, exist_ok=True)  # noqa: PTH103
    path = os.path.join(home, FILE)
    fresh = f"{path}.{os.getpid()}"
    # The mode from the beginning: the file may hold a key.
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"runtime": choice.kind, "url": choice.url, "key": choice.key}, file)
    os.replace(fresh, path)  # noqa: PTH105
