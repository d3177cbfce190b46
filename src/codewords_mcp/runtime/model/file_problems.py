"""Messages for a binary response without a download link."""

from __future__ import annotations

from typing import Final

_MESSAGES: Final = {
    "storing": "it is being stored; ask again in a moment",
    "too_large": "it is larger than CODEWORDS_MAX_FILE and was not kept; have the workflow answer with less",
    "busy": "too many answers were being stored; it was not kept; run the workflow again",
    "store_failed": "the file store did not take it, and the runtime's log says why; run the workflow again",
    "gone": "the file has expired (CODEWORDS_FILE_TTL) or was deleted; run the workflow again",
}


def file_problem(problem: str | None) -> str:
    """The message for `ResponseFile.problem`."""
    return f"no link: {_MESSAGES.get(problem or '', 'the file is not there')}"
