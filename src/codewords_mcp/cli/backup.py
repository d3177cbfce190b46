"""`codewords backup | restore`: a home in one file, taken while its runtime serves."""

from __future__ import annotations

import io
import os
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import OK
from codewords_mcp.cli._connect import read_settings
from codewords_mcp.cli._refs import AsJson
from codewords_mcp.errors import Conflict, InvalidInput, StorageFailed

if TYPE_CHECKING:
    from codewords_mcp.settings import Settings

DATABASE = "codewords.db"
KEYS = ("api.key", "master.key", "master.key.next")
FILES = "files"
MARK = "codewords-backup"
VERSION = b"1\n"


def backup(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Where to; an existing file is not overwritten.", show_default=False
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
    """Write this home's database, uploaded files and keys to one file, readable by you only.

    The runtime may go on: the database is copied as it is at one moment. Environments are left out, since they are built
    again from the code.
    """
    settings = _own_settings()
    home = settings.home
    if not (home / DATABASE).is_file():
        raise InvalidInput(f"There is no database in {home}.", hint="CODEWORDS_HOME names the home.")
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Conflict(f"{file} is there already.", hint="Give another name.") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.") from error
    try:
        with (
            os.fdopen(descriptor, "wb") as out,
            tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive,
        ):
            _write(archive, home, _files(settings), with_keys=keys)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    size = file.stat().st_size
    if as_json:
        _output.print_json({"file": str(file), "bytes": size, "keys": keys})
    else:
        _output.line(f"{file}: {_output.size(size)}.")
        _output.note("It holds secrets and keys: keep it like a password.", always=keys)
        if _files(settings) is None:
            _output.note(f"Uploaded files are in {settings.files}, and not in it.", always=True)
    return OK


def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `codewords backup` wrote.", show_default=False)
    ],
    as_json: AsJson = False,
) -> int:
    """Make this home, which must not have a database yet, what it was when the backup was taken."""
    home = _own_settings().home
    if (home / DATABASE).exists():
        raise Conflict(
            f"The home {home} has a database already.",
            hint="Move it away, or set CODEWORDS_HOME to another folder.",
        )
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with tarfile.open(file, mode="r:gz") as archive:
            names = _checked(archive)
            # the database last: a home without one is one that nothing was restored to
            for member in sorted(archive.getmembers(), key=lambda one: one.name == DATABASE):
                if member.name != MARK:
                    archive.extract(member, home, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        (home / DATABASE).unlink(missing_ok=True)
        raise StorageFailed(f"{file} could not be restored: it is damaged, or the disk is full.") from error
    if as_json:
        _output.print_json({"home": str(home), "files": len(names)})
    else:
        _output.line(f"{home} is restored.")
    return OK


def _own_settings() -> Settings:
    settings = read_settings()
    if settings.runtime_url:
        raise InvalidInput(
            "This terminal uses a remote runtime, whose home is not here.", hint="Back up on its machine."
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
    return None if "://" in settings.files else Path(settings.files)


def _write(archive: tarfile.TarFile, home: Path, files: Path | None, *, with_keys: bool) -> None:
    mark = tarfile.TarInfo(MARK)
    mark.size = len(VERSION)
    archive.addfile(mark, io.BytesIO(VERSION))
    # The database first: files that it knows are there then, since a file is written before its row says so.
    with tempfile.TemporaryDirectory(dir=home) as folder:
        copy = Path(folder) / DATABASE
        with closing(sqlite3.connect(home / DATABASE)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
        archive.add(copy, DATABASE)
    for name in KEYS if with_keys else ():
        if (home / name).exists():
            archive.add(home / name, name)
    if files is not None and files.exists():
        archive.add(files, FILES)


def _checked(archive: tarfile.TarFile) -> list[str]:
    """The names in it. Raises InvalidInput for what is no backup of ours."""
    names = archive.getnames()
    allowed = {MARK, DATABASE, FILES, *KEYS}
    if MARK not in names or DATABASE not in names or any(name.split("/")[0] not in allowed for name in names):
        raise InvalidInput("This file is no backup of a home.", hint="`codewords backup FILE` makes one.")
    return names
