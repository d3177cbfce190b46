"""Drafts that are served to their owner while they are worked on.

They are kept in the memory of this process and for a short time only: whoever serves a draft renews it, and a client
that was killed leaves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from codewords_mcp.runtime.model.grants import Grant
from codewords_mcp.runtime.model.manifest import Manifest

if TYPE_CHECKING:
    from codewords_mcp.runtime.runs.catalog import Servable


@dataclass(frozen=True, slots=True)
class ServedDraft:
    """A draft with all that a sandbox needs. `agreed`: the manifests that a person agreed to for it, the last one its own."""

    servable: Servable
    agreed: tuple[Manifest, ...]
    until: float

    def widens(self, manifest: Manifest) -> list[Grant]:
        """The permissions of a manifest that nobody agreed to yet."""
        return beyond(manifest, self.agreed)


class ServedDrafts:
    """The served drafts of all owners. `clock` is in seconds, and monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._served: dict[str, ServedDraft] = {}

    def find(self, draft_id: str) -> ServedDraft | None:
        """The draft, if it is served and its time is not over."""
        found = self._served.get(draft_id)
        if found is not None and found.until <= self._clock():
            del self._served[draft_id]
            return None
        return found

    def put(self, servable: Servable, agreed: tuple[Manifest, ...], seconds: float) -> None:
        """Serve this code of a draft from now on, in place of what it was."""
        # Those that nobody asks for any more go with each new one.
        at = self._clock()
        self._served = {name: served for name, served in self._served.items() if served.until > at}
        self._served[servable.service_id] = ServedDraft(servable, agreed, at + seconds)

    def renew(self, draft_id: str, seconds: float) -> bool:
        """Serve a draft for these seconds from now; False where it is not served."""
        found = self.find(draft_id)
        if found is None:
            return False
        self._served[draft_id] = replace(found, until=self._clock() + seconds)
        return True

    def remove(self, draft_id: str) -> None:
        """Serve it no longer."""
        self._served.pop(draft_id, None)


def beyond(manifest: Manifest, agreed: tuple[Manifest, ...]) -> list[Grant]:
    """The permissions of a manifest that none of these includes."""
    return [
        grant for grant in manifest.grants() if not any(known.allows(grant, manifest) for known in agreed)
    ]
