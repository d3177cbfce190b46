"""Skills: what this server knows about working with it, one folder each with a SKILL.md and files that it names.

A folder is a skill: a new one needs no other line. Its front matter is plain `key: value` lines.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MAIN = "SKILL.md"


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill: its front matter, and its files by path."""

    front_matter: dict[str, str]
    files: dict[str, str]

    @property
    def name(self) -> str:
        """Equal to its folder's."""
        return self.front_matter["name"]

    @property
    def uri(self) -> str:
        """Where its main file is."""
        return self.uri_of(MAIN)

    def uri_of(self, path: str) -> str:
        """Where a file of it is."""
        return f"skill://{self.name}/{path}"

    @property
    def body(self) -> str:
        """The main file without its front matter."""
        return self.files[MAIN].split("---\n", 2)[2].strip()


@cache
def skills() -> tuple[Skill, ...]:
    """Every skill, by name."""
    root = Path(__file__).parent
    return tuple(_read(main.parent) for main in sorted(root.glob(f"*/{MAIN}")))


def skill(name: str) -> Skill:
    """One of ours by its name."""
    return next(candidate for candidate in skills() if candidate.name == name)


def digest(text: str) -> str:
    """As `skills/list` names it."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _read(folder: Path) -> Skill:
    files = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.md"))
    }
    head = files[MAIN].split("---\n", 2)[1]
    front = dict(line.split(": ", 1) for line in head.splitlines() if line.strip())
    return Skill(front, files)
