"""Every reader of archives refuses the same hostile ones, and writes nothing of them."""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.hostile_archives import ENTRIES, Entry, damaged_tars, damaged_zips, tar_of, zip_of

from codewords_mcp.cli.backup import restore
from codewords_mcp.common.archives import ArchiveBounds, RefusedArchive, TargetFolder, read_tar, read_zip
from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.recording.content import MAX_UNPACKED, read_content
from codewords_mcp.runtime.workflows.environments.module_wheel import ModuleWheel, install_modules

pytestmark = pytest.mark.requirement("cli:archives")
BOUNDS = ArchiveBounds(members=100, size=1 << 20)


def _database() -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)")
        return database.serialize()


WHOLE = [Entry("codewords-backup", b"1\n"), Entry("codewords.db", _database()), Entry("api.key", b"key")]
TARS = {case: tar_of([*WHOLE, *entries]) for case, entries in ENTRIES.items()} | damaged_tars(WHOLE)
# A zip has no hard links and no contiguous files.
ZIPS = {
    case: zip_of([*WHOLE, *entries])
    for case, entries in ENTRIES.items()
    if case not in {"kind: hard link", "kind: contiguous"}
} | damaged_zips(WHOLE)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that is not there yet."""
    monkeypatch.setenv("CODEWORDS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _all_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_whole_archives_are_read_member_by_member() -> None:
    for members in (read_tar(io.BytesIO(tar_of(WHOLE)), BOUNDS), read_zip(zip_of(WHOLE), BOUNDS)):
        assert [(one.name, one.size, one.content.read()) for one in members] == [
            (entry.name, len(entry.data), entry.data) for entry in WHOLE
        ]


@pytest.mark.parametrize("case", TARS)
def test_a_hostile_tar_is_refused(case: str) -> None:
    with pytest.raises(RefusedArchive) as raised:
        for member in read_tar(io.BytesIO(TARS[case]), BOUNDS):
            member.content.read()
    assert "outside" not in str(raised.value), "no text of the archive"


@pytest.mark.parametrize("case", ZIPS)
def test_a_hostile_zip_is_refused(case: str) -> None:
    with pytest.raises(RefusedArchive):
        for member in read_zip(ZIPS[case], BOUNDS):
            member.content.read()


@pytest.mark.parametrize("case", TARS)
def test_restore_refuses_it_and_writes_nothing(case: str, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "hostile.backup"
    file.write_bytes(TARS[case])
    with pytest.raises(InvalidInput, match="no backup of a home"):
        restore(file)
    assert _all_below(tmp_path) == ["hostile.backup"]


@pytest.mark.parametrize("case", ZIPS)
def test_shared_modules_are_not_installed_from_it(case: str, tmp_path: Path) -> None:
    packages = tmp_path / "a" / "b" / "site-packages"
    with pytest.raises(RefusedArchive):
        install_modules(ModuleWheel("w.whl", ZIPS[case], "", frozenset()), packages)
    outside = [name for name in _all_below(tmp_path) if not name.startswith("a/b/site-packages/")]
    assert outside == ["a", "a/b", "a/b/site-packages"]


@pytest.mark.parametrize("case", ZIPS)
def test_a_recorded_body_like_it_is_compared_by_its_bytes(case: str) -> None:
    if case != "no archive":
        assert set(read_content(ZIPS[case])) == {"bytes", "sha256"}  # type: ignore[arg-type]


def test_too_many_members_and_too_many_bytes_are_refused() -> None:
    entries = [Entry(f"files/{number}", b"a" * 100) for number in range(50)]
    for read, data in ((read_tar, io.BytesIO(tar_of(entries))), (read_zip, zip_of(entries))):
        for bounds, reason in (
            (ArchiveBounds(49, 1 << 20), "49 members"),
            (ArchiveBounds(50, 4999), "4,999 bytes"),
        ):
            if isinstance(data, io.BytesIO):
                data.seek(0)
            with pytest.raises(RefusedArchive, match=reason):
                list(read(data, bounds))  # type: ignore[arg-type]


def test_a_zip_that_unpacks_to_more_than_it_says_is_cut_there() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"0" * (1 << 20))
    data = out.getvalue().replace((1 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    with pytest.raises(RefusedArchive):
        for member in read_zip(data, BOUNDS):
            assert len(member.content.read()) <= 100


def test_links_that_lie_in_the_target_lead_nowhere(tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (outside / "file").write_text("mine", encoding="utf-8")
    (target / "link").symlink_to(outside / "file")
    (target / "hard").hardlink_to(outside / "file")
    (target / "folder").symlink_to(outside)
    os.mkfifo(target / "pipe")
    with TargetFolder(target) as folder:
        for name in ("link", "hard", "pipe"):
            folder.write(name, io.BytesIO(b"new"))
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            folder.write("folder/new", io.BytesIO(b"new"))
        for entry in (entries[0] for case, entries in ENTRIES.items() if case.startswith("name: ")):
            with pytest.raises(RefusedArchive):
                folder.write(entry.name, io.BytesIO(b"new"))
    assert [(target / name).read_text(encoding="utf-8") for name in ("link", "hard", "pipe")] == ["new"] * 3
    assert (outside / "file").read_text(encoding="utf-8") == "mine"
    assert _all_below(outside) == ["file"]


def test_restore_does_not_follow_a_link_in_the_home(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (home / "files").symlink_to(tmp_path / "elsewhere")
    file = tmp_path / "a.backup"
    file.write_bytes(tar_of([*WHOLE, Entry("databases/a.db"), Entry("files/" + "a" * 32)]))
    with pytest.raises(CodewordsError):
        restore(file)
    assert _all_below(tmp_path / "elsewhere") == []
    assert not (home / "codewords.db").exists()
    (home / "files").unlink()
    assert restore(file) == 0
    assert (home / "files" / ("a" * 32)).stat().st_mode & 0o7777 == 0o600


def test_a_database_with_triggers_is_not_restored(home: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(
            "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT);"
            "CREATE TRIGGER unpause AFTER INSERT ON meta BEGIN DELETE FROM meta WHERE name = 'paused'; END;"
        )
        hostile = [WHOLE[0], Entry("codewords.db", database.serialize())]
    file = tmp_path / "a.backup"
    file.write_bytes(tar_of(hostile))
    with pytest.raises(CodewordsError, match="damaged"):
        restore(file)
    assert not [path for path in home.iterdir() if path.name.startswith("codewords.db")]


def test_a_bomb_in_gzip_is_no_body() -> None:
    bomb = gzip.compress(b"0" * (MAX_UNPACKED + 1))
    assert set(read_content(bomb)) == {"bytes", "sha256"}  # type: ignore[arg-type]
