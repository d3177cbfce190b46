"""The one reader of archives: tar in gzip, and zip, made by anybody.

A member is checked before its reader sees it. Only plain files with plain names pass: no link, device or pipe, no way out
of the folder, no two names that a file system takes for the same. `TargetFolder` writes them, past all links that are there.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NamedTuple, Self

from typing_extensions import override

MAX_NAME: Final = 1000
"""Bytes of a name."""
MAX_PART: Final = 255
"""Bytes between two slashes: the limit of Linux, NAME_MAX."""
MAX_DEPTH: Final = 32
MAX_HEADERS: Final = 1 << 20
"""Bytes of a tar between two contents. A header has 512; the names of GNU and PAX stand in further ones of any length."""
_LATEST: Final = 1 << 33
"""Seconds since 1970: the year 2242."""
_PIECE: Final = 256 << 10
_SPECIAL_BITS: Final = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_UNREADABLE: Final = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, OverflowError, struct.error,
)  # fmt: skip


class RefusedArchive(ValueError):
    """An archive that is not read. The message is the reason, a clause without any text of the archive."""


@dataclass(frozen=True, slots=True)
class ArchiveBounds:
    """The most that an archive may hold: members, and bytes of all contents together. `names` are those of its format."""

    members: int
    size: int
    names: re.Pattern[str] | None = None


class Member(NamedTuple):
    """A file of an archive. `content` is read before the next member is asked for.

    `modified` is in seconds since 1970; a zip, which has no time zone, tells 0.
    """

    name: str
    size: int
    modified: float
    content: io.RawIOBase


@dataclass(slots=True)
class _Checker:
    """The members of one archive that passed so far."""

    bounds: ArchiveBounds
    count: int = 0
    size: int = 0
    files: set[str] = field(default_factory=set[str])
    folders: set[str] = field(default_factory=set[str])

    def take(self, name: str, size: int, mode: int, *, is_folder: bool) -> None:
        """Raises RefusedArchive."""
        self.count += 1
        if self.count > self.bounds.members:
            raise RefusedArchive(f"it has more than {self.bounds.members:,} members")
        self.size += size
        if size < 0 or self.size > self.bounds.size:
            raise RefusedArchive(f"it unpacks to more than {self.bounds.size:,} bytes")
        if mode & _SPECIAL_BITS:
            raise RefusedArchive("a member has a setuid, setgid or sticky bit")
        # Names of folders may end with one slash.
        plain = name[: len(name) - (is_folder and name.endswith("/"))]
        _require_plain(plain)
        if self.bounds.names is not None and not self.bounds.names.fullmatch(plain):
            raise RefusedArchive("it has a member that this format does not have")
        self._require_new(plain, is_folder=is_folder)

    def _require_new(self, name: str, *, is_folder: bool) -> None:
        # File systems of macOS and Windows take two spellings for one file.
        parts = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split("/")
        paths = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        if paths[-1] in self.files or not self.files.isdisjoint(paths[:-1]):
            raise RefusedArchive("it has a name twice")
        if not is_folder:
            if paths[-1] in self.folders:
                raise RefusedArchive("it has a name twice")
            self.files.add(paths.pop())
        self.folders.update(paths)


def _require_plain(name: str) -> None:
    """Raises RefusedArchive for a name that is not the relative path of a file."""
    try:
        long = len(name.encode()) > MAX_NAME or any(len(part.encode()) > MAX_PART for part in name.split("/"))
    except UnicodeEncodeError:
        raise RefusedArchive("a name is not UTF-8") from None
    if long or name.count("/") >= MAX_DEPTH:
        raise RefusedArchive("a name is too long")
    # A backslash and a drive's colon lead elsewhere on Windows.
    if any(ord(letter) < 32 or letter in "\x7f\\" for letter in name) or name[1:2] == ":":
        raise RefusedArchive("a name has a character that names of files do not have")
    if any(part in {"", ".", ".."} for part in name.split("/")):
        raise RefusedArchive("a name leads out of its folder")


@contextmanager
def _readable() -> Generator[None]:
    """Turn the errors of the standard library's readers into RefusedArchive."""
    try:
        yield
    except RefusedArchive:
        raise
    # RuntimeError: a password is asked for. ValueError: a number of a header is none.
    except (*_UNREADABLE, RuntimeError, ValueError) as error:
        raise RefusedArchive("it is damaged") from error


class _Content(io.RawIOBase):
    """The content of a member."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source

    @override
    def read(self, size: int = -1, /) -> bytes:
        """Raises RefusedArchive."""
        with _readable():
            return self._source.read(size)


class _Metered(io.RawIOBase):
    """A stream that ends an archive whose headers do not end: tarfile reads a long name whole, whatever its length.

    `left` is the number of bytes that may be read, `last` what was read last.
    """

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source = source
        self._at = 0
        self.left = MAX_HEADERS
        self.last = b""

    @override
    def read(self, size: int = -1, /) -> bytes:
        """Raises RefusedArchive."""
        if self.left <= 0:
            raise RefusedArchive("its headers are too long")
        self.last = self._source.read(min(size, self.left))
        self._at += len(self.last)
        self.left -= len(self.last)
        return self.last

    @override
    def tell(self) -> int:
        return self._at

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go on to a later position. Raises RefusedArchive for an earlier one, which tarfile asks for of damaged ones only."""
        if offset < self._at:
            raise RefusedArchive("it is damaged")
        while self._at < offset and self.read(min(offset - self._at, _PIECE)):
            pass
        return self._at


def read_tar(source: IO[bytes], bounds: ArchiveBounds) -> Iterator[Member]:
    """The files of a tar in gzip, in one pass. Raises RefusedArchive, OSError of `source`."""
    checker = _Checker(bounds)
    with _readable(), gzip.GzipFile(fileobj=source, mode="rb") as unpacked:
        metered = _Metered(unpacked)
        with tarfile.open(fileobj=metered, mode="r:", errors="surrogateescape") as archive:
            for entry in archive:
                # tarfile remembers each member, for names that are asked for later.
                archive.members = []  # pyright: ignore[reportAttributeAccessIssue]
                if entry.type not in {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE} or entry.sparse:
                    raise RefusedArchive("a member is a link, a device or another special file")
                checker.take(entry.name, entry.size, entry.mode, is_folder=entry.isdir())
                metered.left = entry.size + MAX_HEADERS
                if content := archive.extractfile(entry):
                    # A header can hold infinity, and what no file system takes.
                    modified = min(max(0.0, float(entry.mtime)), _LATEST)
                    yield Member(entry.name, entry.size, modified, _Content(content))
        # tarfile takes a damaged header for the end, which is a block of zeros. Behind the zeros is gzip's checksum.
        if metered.last != bytes(tarfile.BLOCKSIZE):
            raise RefusedArchive("it is damaged")
        metered.left = MAX_HEADERS
        while rest := metered.read(_PIECE):
            if rest.strip(b"\0"):
                raise RefusedArchive("it is damaged")


def read_zip(data: bytes, bounds: ArchiveBounds) -> Iterator[Member]:
    """The files of a zip in the order of its directory. Raises RefusedArchive."""
    checker = _Checker(bounds)
    packed = 0
    with _readable(), zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            packed += entry.compress_size
            if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise RefusedArchive("a member is a link, a device or another special file")
            # Others need memory without a bound; bit 0 marks an encrypted member.
            if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} or entry.flag_bits & 1:
                raise RefusedArchive("a member is encrypted, or packed in an unusual way")
            if packed > len(data):
                raise RefusedArchive("members overlap")
            # `filename` ends where a NUL stands.
            checker.take(entry.orig_filename, entry.file_size, mode, is_folder=entry.is_dir())
            if entry.is_dir():
                continue
            with archive.open(entry) as content:
                yield Member(entry.orig_filename, entry.file_size, 0.0, _Content(content))
                # The checksum is compared at the end.
                while content.read(_PIECE):
                    pass


class TargetFolder:
    """A folder that files are written to. `mode` is that of its files; folders get the right to enter them besides.

    Every part of a name is opened relative to its folder and no link is followed. A file that is there is removed first:
    opened, a hard link of it elsewhere would change too.
    """

    def __init__(self, path: Path, *, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        self._folder_mode = mode | (mode & 0o444) >> 2
        self._fd = -1

    def __enter__(self) -> Self:
        self._path.mkdir(mode=self._folder_mode, parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def write(self, name: str, content: io.IOBase, modified: float | None = None) -> None:
        """Write a file at this relative path. Raises RefusedArchive for another path, OSError where a link is in the way."""
        _require_plain(name)
        *folders, last = name.split("/")
        parent = os.dup(self._fd)
        try:
            for part in folders:
                parent = self._enter(parent, part)
            with suppress(FileNotFoundError):
                os.unlink(last, dir_fd=parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(last, flags, self._mode, dir_fd=parent), "wb") as file:
                shutil.copyfileobj(content, file, _PIECE)
                file.flush()
                if modified is not None:
                    os.utime(file.fileno(), (modified, modified))
        finally:
            os.close(parent)

    def _enter(self, parent: int, part: str) -> int:
        """Open a folder of `parent`, which is closed."""
        with suppress(FileExistsError):
            os.mkdir(part, self._folder_mode, dir_fd=parent)
        inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        os.close(parent)
        return inner
