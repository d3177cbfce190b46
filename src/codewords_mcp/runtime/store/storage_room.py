"""The room that the quota of an owner leaves for what is stored."""

from __future__ import annotations

from dataclasses import dataclass

from codewords_mcp.errors import StorageQuotaExceeded
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.quota import StoredBytes


@dataclass(frozen=True, slots=True)
class StorageRoom:
    """A quota of `limit` bytes, and what the owner stores."""

    owner: str
    limit: int
    stored: StoredBytes

    @property
    def free(self) -> int:
        """Bytes that may still be stored."""
        return max(0, self.limit - self.stored.total())

    def refusal(self) -> StorageQuotaExceeded:
        """The error for what has no room. It names the kinds that take it."""
        kinds = ", ".join(f"{kind} {size:,}" for kind, size in self.stored.by_kind().items())
        return StorageQuotaExceeded(
            f"{self.owner} may store {self.free:,} bytes more by its quota of {self.limit:,}, and this is larger."
            f" Stored are {kinds or 'no'} bytes.",
            hint="Delete what is not needed: files, workflows, rows of their databases. Runs and logs end with their time.",
            remedy=Remedy(RemedyAction.CHANGE_QUOTA, {"owner": self.owner}),
        )
