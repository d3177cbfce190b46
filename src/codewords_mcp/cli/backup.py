"""`codewords backup | restore`: a home in one file, taken while its runtime serves."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import is_elsewhere, read_settings
from codewords_mcp.cli._container_backup import backup_of_container, in_container, restore_into_container
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.errors import Conflict, InvalidInput, StorageFailed
from codewords_mcp.stdio.home import home_folder

if TYPE_CHECKING:
    from codewords_mcp.settings import Settings

DATABASE = "codewords.db"
KEYS = ("api.key", "master.key", "master.key.next")
FILES = "files"
DATABASES = "databases"
"""The folder of the workflows' own databases."""
RESTORING = "codewords.db.restoring"
STANDARD = "-"
"""Instead of a file's name: stdout, or stdin."""
PART = ".part"
"""The suffix of unfinished uploads."""
MARK = "codewords-backup"
VERSION = b"1\n"
_HOLDS_KEYS = "It holds secrets and keys: keep it like a password."


def backup(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Where to; an existing file is not overwritten. - writes to stdout.",
            show_default=False,
        ),
    ],
    keys: Annotated[
        bool,
        typer.Option(
            help="With the home's keys. Without them secrets can only be opened by a copy of yours."
        ),
    ] = True,
    as_json: AsJson = False,
) -> int:
    """Write this home's database, workflows' own databases, uploaded files and keys to one file, readable by you only.

    The runtime may go on: the database is copied as it is at one moment. Environments are left out, since they are built
    again from the code.
    """
    if in_container():
        write = partial(backup_of_container, keys=keys)
    else:
        write = partial(_pack, _settings_with_database(), keys=keys)
    if str(file) == STANDARD:
        return _to_stdout(write, keys=keys, as_json=as_json)

    try:
        # O_EXCL: never overwrite. 0600: the file holds keys.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Conflict(f"{file} is there already.", hint="Give another name.") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.") from error

    try:
        with os.fdopen(descriptor, "wb") as out:
            write(out)
    except BaseException:
        # Also after Ctrl-C: half a backup must not be taken for a whole one.
        file.unlink(missing_ok=True)
        raise

    size = file.stat().st_size
    if as_json:
        _output.print_json({"file": str(file), "bytes": size, "keys": keys})
    else:
        _output.line(f"{file}: {_output.size(size)}.")
        _output.note(_HOLDS_KEYS, always=keys)

    return OK


def _to_stdout(write: Callable[[IO[bytes]], None], *, keys: bool, as_json: bool) -> int:
    """Write the backup to stdout, which takes no other words then. Raises InvalidInput for a terminal."""
    if as_json:
        raise InvalidInput(
            "stdout has the backup itself, so that it can't have JSON too.", hint="Leave --json out."
        )
    if sys.stdout.isatty():
        raise InvalidInput(
            "A backup holds secrets and is no text for a terminal.",
            hint="Give a file's name, or pass it on: codewords backup - | age -r KEY > FILE.",
        )

    write(sys.stdout.buffer)
    sys.stdout.buffer.flush()
    _output.note(_HOLDS_KEYS, always=keys)
    return OK


def _settings_with_database() -> Settings:
    """The settings of this machine's home. Raises InvalidInput where it has no database."""
    settings = _own_settings()
    if not (settings.home / DATABASE).is_file():
        raise InvalidInput(f"There is no database in {settings.home}.", hint="CODEWORDS_HOME names the home.")
    return settings


def _pack(settings: Settings, out: IO[bytes], *, keys: bool) -> None:
    """Write the backup of this machine's home."""
    files = _files(settings)
    with (
        # tarfile's own compression needs a file that can seek. The fastest level: a home may have gigabytes of files.
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        _write(archive, settings.home, files, with_keys=keys)

    if files is None:
        _output.note(f"Uploaded files are in {settings.files}, and not in it.", always=True)


def restore(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="What `codewords backup` wrote. - reads stdin.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> int:
    """Make this home, which must not have a database yet, what it was when the backup was taken.

    It starts with its schedules, triggers and waiting runs paused, since the home of the backup may have gone on with
    them; `codewords resume` lets them go on here.
    """
    if in_container():
        home = Path(home_folder())
        with _opened(file) as source:
            files = restore_into_container(source)
    else:
        home = _own_settings().home
        _require_no_database(home)
        with _opened(file) as source:
            files = _unpack(home, file, source)

    if as_json:
        _output.print_json({"home": str(home), "files": files, "paused": True})
    else:
        _output.line(f"{home} is restored.")
        _output.note(
            "Its schedules, triggers and waiting runs are paused: the home of the backup may have done since what waits here."
            " `codewords resume` goes on with them, `codewords doctor` says what waits.",
            always=True,
        )

    return OK


def _unpack(home: Path, file: Path, source: IO[bytes]) -> int:
    """Fill this machine's home from a backup. Returns the number of files."""
    try:
        with tarfile.open(fileobj=source, mode="r:gz") as archive:
            names = _checked(archive)
            with _locked(home):
                # Again, with the lock: another restore may have been faster.
                _require_no_database(home)
                _extract(archive, home)
    except (tarfile.TarError, zlib.error, EOFError, OSError, sqlite3.Error) as error:
        (home / RESTORING).unlink(missing_ok=True)
        raise StorageFailed(f"{file} could not be restored: it is damaged, or the disk is full.") from error

    return len(names)


@contextmanager
def _locked(home: Path) -> Generator[None]:
    """Hold the home as a runtime does: another restore, or a runtime that starts, would mix its keys with this database."""
    from codewords_mcp.stdio.home_lock import HomeLock  # needs fcntl, which not every system has

    hold = HomeLock(str(home))
    try:
        yield
    finally:
        hold.release()


def _require_no_database(home: Path) -> None:
    """Raises Conflict."""
    if (home / DATABASE).exists():
        raise Conflict(
            f"The home {home} has a database already.",
            hint="Move it away, or set CODEWORDS_HOME to another folder.",
        )


@contextmanager
def _opened(file: Path) -> Generator[IO[bytes]]:
    """The backup to read. Raises InvalidInput for one that is not there."""
    if str(file) == STANDARD:
        with tempfile.TemporaryFile() as copy:
            # tarfile reads the names first and then again, and stdin can't go back.
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.seek(0)
            yield copy

        return

    try:
        source = file.open("rb")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {(error.strerror or 'unknown').lower()}.") from error

    with source:
        yield source


def _extract(archive: tarfile.TarFile, home: Path) -> None:
    """Unpack into the home. The database comes last, under its name once it is marked as paused."""
    from codewords_mcp.runtime.runs.pausing import mark

    home.mkdir(mode=0o700, parents=True, exist_ok=True)

    for member in archive.getmembers():
        if member.name == DATABASE:
            _extract_file(archive, member, home / RESTORING)
        elif member.name != MARK:
            _extract_file(archive, member, home / member.name)

    with closing(sqlite3.connect(home / RESTORING)) as database, database:
        database.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", mark())
    # Last: until here no command takes this folder for a home.
    (home / RESTORING).rename(home / DATABASE)


def _extract_file(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Write one file of a backup, readable by its owner only. Raises TarError for what a backup has not."""
    # By hand: the filters of `tarfile` against links and paths that lead out came with Python 3.11.4.
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or ".." in Path(member.name).parts:
        raise tarfile.TarError(member.name)

    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with content, os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(content, file)
    os.utime(target, (member.mtime, member.mtime))


def _own_settings() -> Settings:
    settings = read_settings()
    if is_elsewhere():
        raise InvalidInput(
            "This terminal's runtime is elsewhere, and its home is not here.",
            hint="Back up on its machine.",
        )
    if settings.database_url and not settings.database_url.startswith("sqlite"):
        raise InvalidInput(
            "This home keeps its data in PostgreSQL.",
            hint="Back it up by pg_dump, and what CODEWORDS_FILES names beside it.",
        )

    return settings


def _files(settings: Settings) -> Path | None:
    """The folder of uploaded files; None where they are in a bucket."""
    if settings.files is None:
        return settings.home / FILES
    if "://" in settings.files:
        return None
    return Path(settings.files)


def _write(archive: tarfile.TarFile, home: Path, files: Path | None, *, with_keys: bool) -> None:
    mark = tarfile.TarInfo(MARK)
    mark.size = len(VERSION)
    archive.addfile(mark, io.BytesIO(VERSION))

    # The database first: files that it knows are there then, since a file is written before its row says so.
    _add_database(archive, home, home / DATABASE, DATABASE)
    for path in sorted((home / DATABASES).glob("*.db")):
        # One that was deleted meanwhile went with its workflow.
        if path.exists():
            _add_database(archive, home, path, f"{DATABASES}/{path.name}")

    for name in KEYS if with_keys else ():
        if (home / name).exists():
            archive.add(home / name, name)

    if files is not None and files.exists():
        _add_files(archive, files)


def _add_database(archive: tarfile.TarFile, home: Path, path: Path, name: str) -> None:
    """Add a copy of an SQLite file as it is at one moment."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        copy = Path(folder) / path.name
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            # SQLite's own backup: a copy of the file would miss what is in its log.
            source.backup(target)
            # One file, without a log beside it.
            target.execute("PRAGMA journal_mode=DELETE")

        archive.add(copy, name)


def _add_files(archive: tarfile.TarFile, folder: Path) -> None:
    """Add what is uploaded. The folder lives on: uploads that have not ended are left out, as is a file that expires."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == PART:
            continue
        try:
            with path.open("rb") as file:
                # By the open file, so that its size stays right if the name is removed
                # meanwhile.
                entry = archive.gettarinfo(arcname=f"{FILES}/{path.relative_to(folder)}", fileobj=file)
                if entry.isreg():
                    archive.addfile(entry, file)
        except (FileNotFoundError, IsADirectoryError):
            continue


def _checked(archive: tarfile.TarFile) -> list[str]:
    """The names in it. Raises InvalidInput for what is no backup of ours."""
    names = archive.getnames()
    allowed = {MARK, DATABASE, DATABASES, FILES, *KEYS}
    # Only names that a backup has: nothing else is unpacked into a home, not even harmless
    # files.
    if MARK not in names or DATABASE not in names or any(name.split("/")[0] not in allowed for name in names):
        raise InvalidInput("This file is no backup of a home.", hint="`codewords backup FILE` makes one.")
    return names
