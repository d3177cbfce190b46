"""Skills: instructions for working with this server, a folder each with a SKILL.md and its files.

A new folder is a new skill; nothing else is needed. The front matter is plain `key: value` lines.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MAIN = "SKILL.md"


@dataclass(frozen=True, slots=True)
class Skill:
    """A skill: its front matter, and its files by path."""

    front_matter: dict[str, str]
    files: dict[str, str]

    @property
    def name(self) -> str:
        """Return the name, which is also its folder's."""
        return self.front_matter["name"]

    @property
    def uri(self) -> str:
        """Return the URI of its main file."""
        return self.uri_of(MAIN)

    def uri_of(self, path: str) -> str:
        """Return the URI of one of its files."""
        return f"skill://{self.name}/{path}"

    @property
    def body(self) -> str:
        """Return the main file without its front matter."""
        return self.files[MAIN].split("---\n", 2)[2].strip()


@cache
def skills() -> tuple[Skill, ...]:
    """Return all skills, by name."""
    root = Path(__file__).parent
    return tuple(_read(main.parent) for main in sorted(root.glob(f"*/{MAIN}")))


def skill(name: str) -> Skill:
    """Return the skill of this name."""
    return next(candidate for candidate in skills() if candidate.name == name)


def digest(text: str) -> str:
    """Return the digest in the format of `skills/list`."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _read(folder: Path) -> Skill:
    files = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.md"))
    }
    head = files[MAIN].split("---\n", 2)[1]
    front = dict(line.split(": ", 1) for line in head.splitlines() if line.strip())
    return Skill(front, files)
