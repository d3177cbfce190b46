"""A change of one configuration file: worked out first, shown, then written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from codewords_mcp.cli.hosts import jsonc, yaml_block
from codewords_mcp.cli.hosts.hosts import Host
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.code_difference import code_difference

if TYPE_CHECKING:
    from collections.abc import Callable

BACKUP: Final = ".before-codewords"
"""Behind the file's name: the file as it was before this server was first written into it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a file from `old` to `new`; None is no file."""

    file: Path
    old: str | None
    new: str | None

    @property
    def is_none(self) -> bool:
        """Whether there is nothing to do."""
        return self.old == self.new

    @property
    def backup(self) -> Path:
        """Path of the backup of the unchanged file."""
        return self.file.with_name(self.file.name + BACKUP)

    def diff(self) -> str:
        """The drawn difference."""
        return code_difference(self.old or "", self.new or "").text()

    def write(self) -> None:
        """Do it. Raises InvalidInput where the file cannot be written, or is another than the one that was read."""
        target = self.file.resolve()  # dotfiles are often links into a folder of the person's own
        try:
            # The person agreed to a difference from the file as it was read.
            if _read(target) != self.old:
                raise InvalidInput(f"{self.file} has changed meanwhile.", hint="Run the command again.")
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.new is None:
                target.unlink()
            else:
                _replace(target, self.new)
        except OSError as error:
            raise InvalidInput(f"{self.file} cannot be written: {error.strerror}.") from error

    def keep_old(self) -> None:
        """Write a backup of the unchanged file, unless there is one. Raises InvalidInput if it can't be written."""
        # The first backup is the file without this server; a later one would have it.
        if self.old is None or self.backup.exists():
            return
        try:
            _replace(self.backup, self.old)
        except OSError as error:
            raise InvalidInput(f"{self.backup} cannot be written: {error.strerror}.") from error

    def drop_backup(self) -> None:
        """Remove the backup."""
        with contextlib.suppress(FileNotFoundError):
            self.backup.unlink()


def adding(host: Host, file: Path, entry: dict[str, Any]) -> Change:
    """Add this server, or replace its entry. Raises InvalidInput if the file can't be parsed."""
    old = _read(file)
    return Change(file, old, _edited(host, file, partial(_put, host, entry=entry), old or ""))


def removing(host: Host, file: Path) -> Change:
    """Remove this server: restore the backup if nothing else has changed since, else remove the entry. Raises
    InvalidInput if the file can't be parsed.
    """
    old = _read(file)
    if old is None:
        return Change(file, None, None)

    without = _edited(host, file, partial(_take, host), old)
    previous = _read(file.with_name(file.name + BACKUP))
    if previous is not None and _same(host, without, _edited(host, file, partial(_take, host), previous)):
        return Change(file, old, previous)

    return Change(file, old, None if previous is None and _is_empty(host, without) else without)


def _put(host: Host, text: str, entry: dict[str, Any]) -> str:
    if host.shape == "json":
        return jsonc.put(text, list(host.path), entry)
    if host.shape == "yaml":
        return yaml_block.put(text, (host.path[0], host.path[1]), entry)

    # tomlkit keeps the comments and the layout of the person's file; tomllib only reads.
    import tomlkit

    document: Any = tomlkit.parse(text)
    servers: Any = document.setdefault(host.path[0], tomlkit.table(is_super_table=True))
    table: Any = tomlkit.table()
    for name, value in entry.items():
        table.add(name, value)
    servers[host.path[1]] = table
    return tomlkit.dumps(document)


def _take(host: Host, text: str) -> str:
    if host.shape == "json":
        return jsonc.take(text, list(host.path))
    if host.shape == "yaml":
        return yaml_block.take(text, (host.path[0], host.path[1]))

    import tomlkit

    document: Any = tomlkit.parse(text)
    servers: Any = document.get(host.path[0])
    if servers is not None and host.path[1] in servers:
        del servers[host.path[1]]
        if not servers:
            del document[host.path[0]]

    return tomlkit.dumps(document)


def _value(host: Host, text: str) -> dict[str, Any]:
    if host.shape == "toml":
        import tomllib

        return tomllib.loads(text)
    if host.shape == "yaml":
        # Compared as text: an entry that was taken out leaves every other line as it was.
        left = yaml_block.without_empty(text, host.path[0]).rstrip()
        return {"": left} if left else {}
    found: Any = jsonc.loads(text) if text.strip() else None
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    return {}


def _same(host: Host, one: str, other: str) -> bool:
    return _pruned(host, one) == _pruned(host, other)


def _is_empty(host: Host, text: str) -> bool:
    return not _pruned(host, text)


def _pruned(host: Host, text: str) -> dict[str, Any]:
    """Return the file's content, without the list of servers if that is empty."""
    return {name: value for name, value in _value(host, text).items() if name != host.path[0] or value}


def _edited(host: Host, file: Path, edit: Callable[[str], str], text: str) -> str:
    try:
        return edit(text)
    except (ValueError, TypeError, AttributeError) as error:  # tomlkit's errors are ValueErrors
        raise InvalidInput(
            f"{file} could not be understood: {error}.",
            hint=f"Mend it, or write the server in yourself: --print shows what {host.title} needs.",
        ) from error


def _read(file: Path) -> str | None:
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}.") from error


def _replace(file: Path, text: str) -> None:
    """Whole or not at all, with the mode that it had."""
    if file.exists():
        mode = file.stat().st_mode & 0o777
    else:
        mode = 0o600

    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            # Before the rename: after a crash the name must not lead to an empty file.
            os.fsync(out.fileno())

        Path(name).chmod(mode)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
