"""Folders of this machine that triggers may watch."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from codewords_mcp.errors import Forbidden, InvalidInput, NotFound
from codewords_mcp.runtime.model.caller import HOME_OWNER

_HINT = "The operator lists folders in CODEWORDS_WATCHED_FOLDERS; those below them are allowed too."


class WatchedFolders:
    """The folders that the operator allows. `home` is the runtime's own, which is never watched."""

    def __init__(self, allowed: Collection[Path], home: Path) -> None:
        self._allowed = allowed
        self._home = home

    def resolve(self, owner: str, path: str) -> Path:
        """Return the real path of an allowed folder. Blocks. Raises Forbidden, InvalidInput, NotFound."""
        # Files of the machine are its operator's.
        if owner != HOME_OWNER:
            raise Forbidden("Folders of this machine are watched for its own owner only.")
        folder = Path(path)
        if not folder.is_absolute() or "\0" in path:
            raise InvalidInput("`path` must be the whole path of a folder, such as /srv/inbox.")

        real = Path(os.path.realpath(folder))
        roots = [Path(os.path.realpath(root)) for root in self._allowed]
        # Of a folder that is not allowed nothing is said, not even that it is there.
        if not any(real.is_relative_to(root) for root in roots):
            raise Forbidden("This folder may not be watched.", hint=_HINT)
        home = Path(os.path.realpath(self._home))
        if real.is_relative_to(home) or home.is_relative_to(real):
            raise Forbidden("The runtime's own home holds secrets and is not watched.", hint=_HINT)

        if not real.is_dir():
            raise NotFound("The watched folder is not there.", hint="Make it, or correct `path`.")
        return real
