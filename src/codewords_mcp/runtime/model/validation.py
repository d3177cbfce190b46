"""Results of validating a script."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from codewords_mcp.errors import CodewordsError
from codewords_mcp.errors.remedies import Remedy
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.manifest import Manifest

CheckStatus = Literal["passed", "failed", "warning", "note", "skipped"]


class Check(Model):
    """One check of a validation. `line` and `column` count from 1; `fix` says what to change, if
    known; it contains the words of the `remedy`.
    """

    id: str
    status: CheckStatus
    message: str
    line: int | None = None
    column: int | None = None
    fix: str | None = None
    remedy: Remedy | None = None

    @classmethod
    def of_error(cls, check_id: str, error: CodewordsError) -> Check:
        """The check that failed with this error."""
        return cls(
            id=check_id,
            status="failed",
            message=error.message,
            fix=error.hint or None,
            remedy=error.remedy,
        )


class ValidationReport(Model):
    """`all_passed` is true if no check failed; warnings and notes do not count as failed. `report`
    is the same as text.

    `capabilities`: the permissions in lines for a person; empty if the code could not be read.
    """

    all_passed: bool
    report: str
    checks: list[Check]
    capabilities: list[str] = Field(default_factory=list[str])
    manifest: Manifest | None = None
