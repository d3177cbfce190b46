"""Event source: files that come into a folder of this machine, or change there."""

from __future__ import annotations

import asyncio
import fnmatch
import mimetypes
import os
import stat
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from pydantic import Field
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.errors import BodyTooLarge, InvalidInput, NotFound, StorageFailed
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.triggers.sources.base import EventSource, Polled, SourceEvent, SourceTools
from codewords_mcp.runtime.triggers.sources.listed_items import ListedItem, ListedItems
from codewords_mcp.runtime.triggers.sources.seen_keys import SeenKeys

MAX_FILES = 50_000
"""Files and folders of a watched folder."""
MAX_DEPTH = 50
"""Levels of folders; the library walks them by recursion."""
MAX_PENDING = 500
"""New files that are looked at a second time before they are events."""
PAGE, MAX_PAGE_BYTES = 100, 100 << 20
"""Files of one look, and their bytes."""
MAX_COPY = 32 << 20
"""Bytes of a file that is kept with its event."""
_UNFINISHED = ("*.part", "*.partial", "*.tmp", "*.crdownload", "*.download", "*~")
"""Names that programs give to a file until it is whole."""


class FolderOptions(Model):
    """Options of the source `folder`."""

    path: str = Field(min_length=1, max_length=4096, description="The whole path of the folder.")
    pattern: str = Field(
        default="*", min_length=1, max_length=200, description="Names of files, such as *.csv."
    )
    recursive: bool = Field(default=False, description="Also watch the folders within it.")


@dataclass(frozen=True, slots=True)
class _FoundFile:
    """A file in one version. `path` is relative to the watched folder."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int

    @property
    def item(self) -> ListedItem:
        # A time of change can't be set by hand, unlike that of the last modification: it orders what is copied in.
        return ListedItem(f"{self.path}:{self.size}:{self.modified_ns}", self.changed_ns)


class FolderSource(EventSource[FolderOptions]):
    """A file is an event once two looks found it unchanged, so that half of a file is none."""

    kind = "folder"
    title = "Files in a folder of this machine"
    interval_s = 30.0
    Options = FolderOptions

    def __init__(self) -> None:
        # Of its own: a network drive that hangs must not take the threads of everything else.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="watched-folder")

    @override
    async def poll(self, options: FolderOptions, state: JsonValue | None, tools: SourceTools) -> Polled:
        folder, found = await self._list(options, tools)
        before = cast("JsonObject", state or {})
        known = ListedItems(before)
        if state is None:
            return Polled([], known.after([file.item for file in found]) | {"pending": ""})

        new = [file for file in found if file.item not in known]
        unchanged_since = SeenKeys(before.get("pending"))
        settled = [file for file in new if file.item.key in unchanged_since]
        page = _page(settled)
        events = [event for file in page if (event := await self._event(folder, file, tools)) is not None]

        more = len(page) < len(settled)
        done = set(page)
        # Of a page that is not the last one, no file counts as looked at twice that was found just now.
        pending = [file.item.key for file in (settled if more else new) if file not in done]
        items = [file.item for file in found if file.item in known or file in done]
        after = known.after(items) | {"pending": SeenKeys("").with_shown(pending[:MAX_PENDING])}
        return Polled(events, after, more=more)

    @override
    async def sample(self, options: FolderOptions, tools: SourceTools) -> SourceEvent | None:
        folder, found = await self._list(options, tools)
        if not found:
            return None
        return await self._event(folder, found[-1], tools)

    async def _list(self, options: FolderOptions, tools: SourceTools) -> tuple[Path, list[_FoundFile]]:
        """Return (the folder, its files by the time of their change)."""

        def work() -> tuple[Path, list[_FoundFile]]:
            folder = tools.watched_folder(options.path)
            try:
                return folder, sorted(_files(folder, options), key=_order)
            except FileNotFoundError:
                raise NotFound(
                    "The watched folder is not there.", hint="Make it, or correct `path`."
                ) from None
            except OSError as error:
                raise StorageFailed(
                    f"The watched folder can't be read ({error.strerror}).", hint="Check its permissions."
                ) from error

        # In threads of its own: a network drive that hangs would take those of everything else.
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _event(self, folder: Path, file: _FoundFile, tools: SourceTools) -> SourceEvent | None:
        """Return the event of a file; None if it has changed or vanished meanwhile."""
        loop, readable = asyncio.get_running_loop(), True
        try:
            content = await loop.run_in_executor(self._threads, _read, folder, file)
        except PermissionError:
            # It must not hold up the others.
            content, readable = b"", False
        if content is None:
            return None

        name = file.path.rpartition("/")[2]
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        url = None
        if readable and file.size <= MAX_COPY:
            try:
                url = await tools.keep_file(name, content, kind)
            except BodyTooLarge:
                url = None

        modified = _time(file.modified_ns)
        data: JsonObject = {
            "path": file.path,
            "name": name,
            "size": file.size,
            "content_type": kind,
            "modified_at": None if modified is None else modified.isoformat(),
            "url": url,
        }
        return SourceEvent(file.item.key, data, modified)


def _page(settled: list[_FoundFile]) -> list[_FoundFile]:
    """Return the first files that one look reads; at least one."""
    page: list[_FoundFile] = []
    room = MAX_PAGE_BYTES
    for file in settled[:PAGE]:
        room -= min(file.size, MAX_COPY)
        if room < 0 and page:
            break
        page.append(file)
    return page


def _order(file: _FoundFile) -> tuple[int, str]:
    return file.changed_ns, file.path


def _files(folder: Path, options: FolderOptions) -> Iterator[_FoundFile]:
    """Yield the files that match. Links are not followed. Raises OSError, InvalidInput."""
    count = 0
    top = os.fspath(folder)
    # By open folders, so that none can be replaced by a link to another place meanwhile.
    for where, folders, names, descriptor in os.fwalk(top, onerror=_raise_at(top)):
        deep = where.count("/") - top.count("/") >= MAX_DEPTH
        folders[:] = [name for name in folders if options.recursive and not deep and not name.startswith(".")]
        count += len(names) + len(folders)
        if count > MAX_FILES:
            raise InvalidInput(
                f"The watched folder has more than {MAX_FILES} files.", hint="Watch one of those within it."
            )

        for name in names:
            if not _is_watched(name, options.pattern):
                continue
            try:
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode):
                path = os.path.relpath(os.path.join(where, name), top)  # noqa: PTH118  # texts, thousands of them
                yield _FoundFile(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _raise_at(top: str) -> Callable[[OSError], None]:
    """Return the handler of folders that can't be read: the watched one is a fault, one within it may have vanished."""

    def handle(error: OSError) -> None:
        if error.filename == top:
            raise error

    return handle


def _is_watched(name: str, pattern: str) -> bool:
    if name.startswith(".") or not name.isprintable():
        return False
    return fnmatch.fnmatchcase(name, pattern) and not any(
        fnmatch.fnmatchcase(name, end) for end in _UNFINISHED
    )


def _read(folder: Path, file: _FoundFile) -> bytes | None:
    """Return the content, empty for a file that is too large to be kept; None if it is another one by now.

    Raises PermissionError, StorageFailed.
    """
    try:
        with _opened(folder, file.path) as descriptor:
            if not _is_same(descriptor, file):
                return None
            if file.size > MAX_COPY:
                return b""
            # A duplicate, since closing this file must leave the descriptor for the look below.
            with os.fdopen(os.dup(descriptor), "rb") as opened:
                content = opened.read(MAX_COPY + 1)
            if not _is_same(descriptor, file):
                return None
            return content
    except FileNotFoundError:
        return None
    except PermissionError:
        raise
    except OSError as error:
        raise StorageFailed(
            f"A file of the watched folder can't be read ({error.strerror}).", hint="Check its permissions."
        ) from error


@contextmanager
def _opened(folder: Path, path: str) -> Generator[int]:
    """Open a file below a folder. No part of the path may be a link. Raises OSError."""
    *folders, name = path.split("/")
    with ExitStack() as stack:

        def enter(part: str | Path, flags: int, parent: int | None) -> int:
            descriptor = os.open(part, flags | os.O_RDONLY | os.O_CLOEXEC, dir_fd=parent)
            stack.callback(os.close, descriptor)
            return descriptor

        parent = enter(folder, os.O_DIRECTORY, None)
        for part in folders:
            parent = enter(part, os.O_DIRECTORY | os.O_NOFOLLOW, parent)
        # A pipe would wait for somebody to write into it.
        yield enter(name, os.O_NOFOLLOW | os.O_NONBLOCK, parent)


def _is_same(descriptor: int, file: _FoundFile) -> bool:
    found = os.fstat(descriptor)
    return stat.S_ISREG(found.st_mode) and (found.st_size, found.st_mtime_ns) == (file.size, file.modified_ns)


def _time(ns: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(ns / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return None
