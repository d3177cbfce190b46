"""The PEP 723 header: find the block in the text, parse its TOML, and locate each mistake.

Source: https://packaging.python.org/en/latest/specifications/inline-script-metadata/
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any, cast

from codewords_mcp.errors import InvalidScript

OPENING = "# /// script"
CLOSING = "# ///"
HEADER_TO_PASTE = """\
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "fastapi==0.115.12",
#   "uvicorn[standard]==0.34.2",
#   "pydantic==2.11.3",
#   "codewords-client==0.4.11"
# ]
# [tool.env-checker]
# env_vars = [
#   "PORT=8000",
#   "LOGLEVEL=INFO",
#   "CODEWORDS_API_KEY",
#   "CODEWORDS_RUNTIME_URI"
# ]
# ///
"""
_NEAR_MISS = re.compile(r"\s*#\s*/{2,4}\s*scripts?\s*:?\s*", re.IGNORECASE)
_AT = re.compile(r" ?\(at (?:line (\d+), column (\d+)|end of document)\)")
_MISPLACED = ("dependencies", "requires-python")


@dataclass(frozen=True, slots=True)
class Header:
    """The header's TOML and its position. `first_line` counts from 1 and holds the opening `# ///
    script`.
    """

    data: dict[str, Any]
    lines: tuple[str, ...]
    first_line: int

    def line_of(self, *needles: str) -> int:
        """The line with the first of these texts that occurs; the opening line if none does."""
        for needle in needles:
            for offset, line in enumerate(self.lines, start=1):
                if needle and needle in line:
                    return self.first_line + offset
        return self.first_line

    def tool(self, name: str) -> dict[str, Any]:
        """The `[tool.NAME]` table, empty without one. Raises InvalidScript if it is not a table."""
        table = self.data.get("tool", {}).get(name, {})
        if not isinstance(table, dict):
            raise InvalidScript(
                f"`tool.{name}` must be a table.",
                hint=f"Write `# [tool.{name}]` on its own line.",
                line=self.line_of(name),
                column=1,
            )
        return cast("dict[str, Any]", table)


def read_header(text: str) -> Header:
    """Parse the only `script` block of normalized text.

    Raises InvalidScript with the line: no block (the hint contains one to paste), two blocks, an
    unclosed block, invalid TOML, or keys in the wrong table.
    """
    lines = text.split("\n")
    # Exactly this line, as the specification has it: tools that read the header do the same.
    openings = [number for number, line in enumerate(lines, start=1) if line == OPENING]
    if not openings:
        raise _no_header(lines)
    if len(openings) > 1:
        raise InvalidScript(
            f"The script has two headers: `{OPENING}` stands on line {openings[0]} and on line {openings[1]}.",
            hint="Keep one and move what the other declares into it.",
            line=openings[1],
            column=1,
        )

    first = openings[0]
    content = _content(lines, first)
    header = Header(_toml(content, first), content, first)
    _check_tables(header)

    return header


def _no_header(lines: list[str]) -> InvalidScript:
    for number, line in enumerate(lines, start=1):
        if _NEAR_MISS.fullmatch(line):
            return InvalidScript(
                f"Line {number} looks like the start of a header, but is not exactly `{OPENING}`.",
                hint=f"Write line {number} as `{OPENING}`, without other spaces or signs.",
                line=number,
                column=1,
            )

    return InvalidScript(
        "The script has no PEP 723 header, so its Python and packages are unknown.",
        hint="Put this at the top of the file and list the packages that it imports:\n\n" + HEADER_TO_PASTE,
        line=1,
        column=1,
    )


def _content(lines: list[str], first: int) -> tuple[str, ...]:
    """The lines between the opening line and the last closing line of the same run of comments."""
    run: list[str] = []
    for line in lines[first:]:
        if line != "#" and not line.startswith("# "):
            break
        run.append(line)

    if CLOSING not in run:
        end = first + len(run)
        raise InvalidScript(
            f"The header that line {first} opens is never closed.",
            hint=f"End it with a line `{CLOSING}`. Each line between is `#` or starts with `# `; line {end + 1} does not.",
            line=end,
            column=1,
        )

    # PEP 723: the last `# ///` of the run closes the block, since the content may contain one.
    last = len(run) - 1 - run[::-1].index(CLOSING)
    return tuple(run[:last])


def _toml(content: tuple[str, ...], first: int) -> dict[str, Any]:
    document = "\n".join(line[2:] for line in content)
    try:
        return tomllib.loads(document)
    # A whole number of over 4,300 digits is a plain ValueError.
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecursionError):
            text = "it is nested too deeply"
        elif isinstance(error, tomllib.TOMLDecodeError):
            text = str(error)
        else:
            text = "it holds a number that is too long"

        at = _AT.search(text)
        line = first + (int(at[1]) if at and at[1] else len(content))
        # Plus the "# " that was cut off each line.
        column = int(at[2]) + 2 if at and at[2] else 1
        # tomllib quotes what it found, which is the author's text: one line of it, bounded.
        reason = _AT.sub("", text).split("\n")[0][:160].rstrip(".")
        raise InvalidScript(
            f"The header is not valid TOML: line {line}, column {column}: {reason}.",
            hint='Lists hold quoted strings parted by commas, as in `# dependencies = ["fastapi==0.115.12"]`.',
            line=line,
            column=column,
        ) from None


def _check_tables(header: Header) -> None:
    """Catch keys that TOML put into the wrong table, which silently drops what they declare."""
    if "env_vars" in header.data:
        raise _outside_its_table(header, "outside its table")

    tables = header.data.get("tool", {})
    if not isinstance(tables, dict):
        message = "`tool` in the header must hold tables, such as `[tool.env-checker]`."
        raise InvalidScript(message, line=header.line_of("tool"), column=1)

    # TOML takes both names, and only one of them declares anything.
    for wrong in ("env-checker", "env_checker"):
        if wrong in header.data or (wrong == "env_checker" and wrong in tables):
            line = header.line_of(wrong)
            raise InvalidScript(
                f"The table on line {line} must be called `[tool.env-checker]`.",
                hint=f"Write line {line} as `# [tool.env-checker]`.",
                line=line,
                column=1,
            )

    for name, table in cast("dict[str, Any]", tables).items():
        if isinstance(table, dict):
            _check_table(header, name, cast("dict[str, Any]", table))


def _check_table(header: Header, name: str, table: dict[str, Any]) -> None:
    for key in _MISPLACED:
        if key in table:
            line = header.line_of(f"{key} ", f"{key}=")
            raise InvalidScript(
                f"`{key}` on line {line} stands inside `[tool.{name[:40]}]`, where it is not read.",
                hint=f"Move it above the line `# [tool.{name[:40]}]`.",
                line=line,
                column=1,
            )

    if "env_vars" in table and name != "env-checker":
        raise _outside_its_table(header, f"in `[tool.{name[:40]}]`")


def _outside_its_table(header: Header, where: str) -> InvalidScript:
    line = header.line_of("env_vars")
    return InvalidScript(
        f"`env_vars` on line {line} stands {where}, so no variable would be declared.",
        hint=f"Put the line `# [tool.env-checker]` right above line {line}, below `dependencies`.",
        line=line,
        column=1,
    )
