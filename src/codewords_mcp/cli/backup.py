"""`codewords backup | restore`: a home in one file, taken while its runtime serves."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import is_elsewhere, read_settings
from codewords_mcp.cli._container_backup import backup_of_container, in_container, restore_into_container
from codewords_mcp.cli._postgres_backup import PostgresHome
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.common.archives import ArchiveBounds, Member, RefusedArchive, TargetFolder, read_tar
from codewords_mcp.errors import Conflict, InvalidInput, StorageFailed
from codewords_mcp.stdio.home import home_folder

if TYPE_CHECKING:
    from codewords_mcp.settings import Settings

DATABASE = "codewords.db"
KEYS = ("api.key", "master.key", "master.key.next")
FILES = "files"
DATABASES = "databases"
"""The folder of the workflows' own databases."""
DUMP = "codewords.pgdump"
"""Instead of the database's file: the dump of a PostgreSQL."""
RESTORING = "codewords.db.restoring"
STANDARD = "-"
"""Instead of a file's name: stdout, or stdin."""
PART = ".part"
"""The suffix of unfinished uploads."""
MARK = "codewords-backup"
VERSION = b"1\n"
_NAMES = re.compile(
    "|".join(
        (*map(re.escape, (MARK, DATABASE, DUMP, *KEYS)), rf"{DATABASES}/[\w.-]+\.db", rf"{FILES}/[\w.-]+")
    ),
    re.ASCII,
)
"""The names that a backup has."""
_MAX_MEMBERS = 1_000_000
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
    again from the code. PostgreSQL is dumped by its own `pg_dump`, which has to be installed here.
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
    if not _postgres(settings) and not (settings.home / DATABASE).is_file():
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
        _write(archive, settings, files, with_keys=keys)

    if files is None:
        _output.note(f"Uploaded files are in {settings.files}, and not in it.", always=True)
    if keys and settings.master_key:
        _output.note(
            "CODEWORDS_MASTER_KEY is not in it: keep it elsewhere, or no secret can be read.", always=True
        )


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
    them; `codewords resume` lets them go on here. The dump of a PostgreSQL goes into the empty database that
    CODEWORDS_DATABASE_URL names.
    """
    if in_container():
        home = Path(home_folder())
        with _opened(file) as source:
            files = restore_into_container(source)
    else:
        settings = _own_settings()
        home = settings.home
        _require_no_database(settings)
        with _opened(file) as source:
            files = _unpack(settings, file, source)

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


def _unpack(settings: Settings, file: Path, source: IO[bytes]) -> int:
    """Fill this machine's home from a backup. Returns the number of files."""
    home = settings.home
    bounds = ArchiveBounds(members=_MAX_MEMBERS, size=_room(home), names=_NAMES)
    try:
        # Twice, so that nothing of a refused archive is written.
        names = [member.name for member in read_tar(source, bounds)]
        _require_backup(names, DUMP if _postgres(settings) else DATABASE)
        source.seek(0)
        with _locked(home):
            # Again, with the lock: another restore may have been faster.
            _require_no_database(settings)
            _extract(read_tar(source, bounds), settings)
    except RefusedArchive as error:
        raise InvalidInput(
            f"{file} is no backup of a home that fits here: {error}.",
            hint="`codewords backup FILE` makes one.",
        ) from error
    except (OSError, sqlite3.Error) as error:
        (home / RESTORING).unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or "Its database is damaged"
        raise StorageFailed(f"{file} could not be restored: {reason[0].lower()}{reason[1:]}.") from error

    return len(names)


def _room(home: Path) -> int:
    """Bytes that are free where the home is, or will be."""
    there = next(folder for folder in (home, *home.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free


@contextmanager
def _locked(home: Path) -> Generator[None]:
    """Hold the home as a runtime does: another restore, or a runtime that starts, would mix its keys with this database."""
    from codewords_mcp.stdio.home_lock import HomeLock  # needs fcntl, which not every system has

    hold = HomeLock(str(home))
    try:
        yield
    finally:
        hold.release()


def _require_no_database(settings: Settings) -> None:
    """Raises Conflict."""
    home = settings.home
    if address := _postgres(settings):
        PostgresHome(address).require_empty()
    elif (home / DATABASE).exists():
        raise Conflict(
            f"The home {home} has a database already.",
            hint="Move it away, or set CODEWORDS_HOME to another folder.",
        )


@contextmanager
def _opened(file: Path) -> Generator[IO[bytes]]:
    """The backup to read. Raises InvalidInput for one that is not there."""
    if str(file) == STANDARD:
        with tempfile.TemporaryFile() as copy:
            # The archive is read twice, and stdin can't go back.
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


def _extract(members: Iterator[Member], settings: Settings) -> None:
    """Unpack into the home. The database comes last, under its name once it is marked as paused."""
    home = settings.home
    # Replicas that share a folder look for uploads there. Those of a bucket are not in a backup.
    elsewhere = settings.files and _files(settings)
    with TargetFolder(home) as folder, TargetFolder(elsewhere or home) as files:
        for name, _, modified, content in members:
            if name in {DATABASE, DUMP}:
                folder.write(RESTORING, content, modified)
            elif elsewhere and name.startswith(f"{FILES}/"):
                files.write(name.removeprefix(f"{FILES}/"), content, modified)
            elif name != MARK:
                folder.write(name, content, modified)

    if address := _postgres(settings):
        # The first runtime that opens it notices that it was restored, and pauses it.
        PostgresHome(address).restore(home / RESTORING)
        (home / RESTORING).unlink()
        return

    from codewords_mcp.runtime.runs.pausing import mark

    with closing(sqlite3.connect(home / RESTORING)) as database, database:
        # No home has one, and a trigger of a hostile database could take the mark away again.
        if database.execute("SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone():
            raise sqlite3.DatabaseError
        database.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", mark())
    # Last: until here no command takes this folder for a home.
    (home / RESTORING).rename(home / DATABASE)


def _own_settings() -> Settings:
    settings = read_settings()
    if is_elsewhere():
        raise InvalidInput(
            "This terminal's runtime is elsewhere, and its home is not here.",
            hint="Back up on its machine.",
        )
    return settings


def _postgres(settings: Settings) -> str:
    """The address of the home's PostgreSQL; "" where it keeps its data in SQLite."""
    address = settings.database_url or ""
    return "" if address.startswith("sqlite") else address


def _files(settings: Settings) -> Path | None:
    """The folder of uploaded files; None where they are in a bucket."""
    if settings.files is None:
        return settings.home / FILES
    if "://" in settings.files:
        return None
    return Path(settings.files)


def _write(archive: tarfile.TarFile, settings: Settings, files: Path | None, *, with_keys: bool) -> None:
    home = settings.home
    mark = tarfile.TarInfo(MARK)
    mark.size = len(VERSION)
    archive.addfile(mark, io.BytesIO(VERSION))

    # The database first: files that it knows are there then, since a file is written before its row says so.
    if address := _postgres(settings):
        _add_dump(archive, home, PostgresHome(address))
    else:
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


def _add_dump(archive: tarfile.TarFile, home: Path, database: PostgresHome) -> None:
    """Add a dump of the PostgreSQL. An archive has the size of each file before its bytes, so it lies on disk first."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        file = Path(folder) / DUMP
        database.dump(file)
        archive.add(file, DUMP)


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


def _require_backup(names: list[str], database: str) -> None:
    """Raises InvalidInput for the names of no backup, or of one with another kind of `database`."""
    if MARK not in names or (DATABASE in names) == (DUMP in names):
        raise InvalidInput("This file is no backup of a home.", hint="`codewords backup FILE` makes one.")
    if database not in names:
        kind, hint = "PostgreSQL", "Name an empty one by CODEWORDS_DATABASE_URL."
        if database == DUMP:
            kind, hint = "SQLite", "Restore it without CODEWORDS_DATABASE_URL."
        raise InvalidInput(f"This backup is of a home on {kind}.", hint=hint)
