"""Code that a command is given: a file, or stdin as `-`."""

from __future__ import annotations

import sys
from pathlib import Path

from codewords_mcp.errors import InvalidInput


def read_code(file: str) -> str:
    """The text of a file or of stdin (`-`). Raises InvalidInput when it cannot be read as UTF-8."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read()
        else:
            data = Path(file).read_bytes()

        # newline handling is the script parser's: CRLF must reach it as it is.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{source_title(file)} is not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8."
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be read: {error.strerror}.", hint="Give the path of a workflow's Python file."
        ) from error


def source_title(file: str) -> str:
    """The name of a source in messages."""
    if file == "-":
        return "stdin"
    return file
