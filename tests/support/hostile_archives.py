"""Archives that no reader may take: each is a whole one with one fault. What tarfile and zipfile refuse to write is written by hand."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """A member: of a tar with `kind`, of a zip with that kind's bits of a mode."""

    name: str
    data: bytes = b"hostile"
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o600


_NAMES = {
    "absolute": "/tmp/outside", "empty part": "files//tmp/outside", "up": "files/../../outside", "up at once": "../outside",
    "own folder": "files/./outside", "own folder first": "./files/outside", "only up": "..", "control": "files/a\nb",
    "NUL": "files/a\0b", "backslash": "files/..\\..\\outside", "drive": "C:/outside", "long part": "files/" + "a" * 256,
    "long name": "files/" + "a/" * 25 + "b" * 200 + "/" + "c" * 200 + "/" + "d" * 200 + "/" + "e" * 200 + "/" + "f" * 200,
    "deep": "files/" + "a/" * 40 + "b",
}  # fmt: skip
_KINDS = {
    "symbolic link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE, "pipe": tarfile.FIFOTYPE, "contiguous": tarfile.CONTTYPE,
}  # fmt: skip
_MODES = {
    tarfile.SYMTYPE: stat.S_IFLNK, tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO,
}  # fmt: skip
_TWICE = {
    "twice": ("files/one", "files/one"),
    "twice by case": ("files/One", "files/oNE"),
    "twice by normal form": ("files/\u00e9", "files/e\u0301"),
    "twice by compatibility": ("files/\ufb01", "files/FI"),
    "file and folder": ("files/one", "files/one/two"),
    "folder and file": ("files/one/two", "files/One"),
}
ENTRIES: dict[str, Sequence[Entry]] = {
    **{f"name: {case}": [Entry(name)] for case, name in _NAMES.items()},
    **{f"kind: {case}": [Entry("files/one", b"", kind)] for case, kind in _KINDS.items()},
    **{case: [Entry(name) for name in names] for case, names in _TWICE.items()},
    "setuid": [Entry("files/one", mode=0o4755)],
    "setgid": [Entry("files/one", mode=0o2755)],
    "sticky": [Entry("files/one", mode=0o1644)],
}
"""Members that stand behind those of a whole archive."""


def tar_of(entries: Sequence[Entry], *, end: bytes = b"") -> bytes:
    """A tar in gzip of these members, with `end` in the place of the zeros that end it, if that is not empty."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.type, member.mode, member.size = entry.kind, entry.mode, len(entry.data)
            if entry.kind in {tarfile.SYMTYPE, tarfile.LNKTYPE}:
                member.linkname = "/etc/passwd"
            if "\0" in entry.name:
                # Only this extended header can hold it.
                member.name, member.pax_headers = "files/x", {"path": entry.name}
            archive.addfile(member, io.BytesIO(entry.data))
        length = archive.offset
    data = out.getvalue()
    return gzip.compress(data[:length] + end if end else data, 1)


def zip_of(entries: Sequence[Entry]) -> bytes:
    """A zip of these members."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        # zipfile warns of a name that stands twice.
        warnings.simplefilter("ignore")
        for entry in entries:
            member = zipfile.ZipInfo("x")
            # Past what its constructor changes in a name.
            member.filename = member.orig_filename = entry.name
            member.create_system = 3
            member.external_attr = (_MODES.get(entry.kind, stat.S_IFREG) | entry.mode) << 16
            archive.writestr(member, entry.data)
    return out.getvalue()


def damaged_tars(whole: Sequence[Entry]) -> dict[str, bytes]:
    """Tars whose form is the fault, beginning with the members of a whole one."""
    data = tar_of(whole)
    sparse = tarfile.TarInfo("files/sparse")
    sparse.type = tarfile.GNUTYPE_SPARSE
    long = _header("././@LongLink", tarfile.GNUTYPE_LONGNAME, 64 << 20)
    pax = _header("x", tarfile.XHDTYPE, 64 << 20)
    huge = _header("files/huge", tarfile.REGTYPE, 1 << 60)
    negative = bytearray(_header("files/negative", tarfile.REGTYPE, 0))
    negative[124:136] = b"\xff" * 12
    lying = tarfile.TarInfo("files/lying")
    lying.pax_headers = {"size": str(1 << 60)}
    return {
        "no archive": b"not an archive",
        "empty": b"",
        "cut off": data[:-20],
        "other checksum": data[:-8] + bytes([data[-8] ^ 1]) + data[-7:],
        "behind the end": gzip.compress(gzip.decompress(data) + b"more"),
        "damaged header": tar_of(whole, end=b"\x01" * 512),
        "cut content": tar_of(whole, end=_header("files/cut", tarfile.REGTYPE, 1000) + b"a" * 10),
        "sparse file": tar_of(whole, end=sparse.tobuf() + bytes(1024)),
        "endless GNU name": tar_of(whole, end=long + b"a" * (64 << 20) + bytes(1024)),
        "endless PAX header": tar_of(whole, end=pax + b"a" * (64 << 20) + bytes(1024)),
        "endless headers": tar_of(whole, end=_header("x", tarfile.XGLTYPE, 512) * 20_000 + bytes(1024)),
        "huge": tar_of(whole, end=huge + bytes(1024)),
        "huge by PAX": tar_of(whole, end=lying.tobuf(tarfile.PAX_FORMAT) + bytes(1024)),
        "negative size": tar_of(whole, end=_summed(bytes(negative)) + bytes(1024)),
        "no UTF-8": tar_of(whole, end=_header("files/\udcff", tarfile.REGTYPE, 0) + bytes(1024)),
    }


def damaged_zips(whole: Sequence[Entry]) -> dict[str, bytes]:
    """Zips whose form is the fault, beginning with the members of a whole one."""
    data = zip_of(whole)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("files/one", b"hostile")
    encrypted = data.replace(
        b"PK\x01\x02" + data[data.index(b"PK\x01\x02") + 4 :][:4], b"PK\x01\x02\x14\x03\x14\x00", 1
    )
    place = encrypted.index(b"PK\x01\x02") + 8
    return {
        "no archive": b"not an archive",
        "cut off": data[: len(data) // 2],
        "other checksum": data.replace(whole[0].data, b"x" * len(whole[0].data), 1),
        "bzip2": packed.getvalue(),
        "encrypted": encrypted[:place] + b"\x01\x00" + encrypted[place + 2 :],
        "overlapping": _overlapping(),
    }


def _overlapping() -> bytes:
    """A thousand members with one content: a bomb whose ratio nothing bounds."""
    one = zip_of([Entry("files/0000", b"a" * 4096)])
    start = one.index(b"PK\x01\x02")
    record, end = one[start : one.index(b"PK\x05\x06")], one[one.index(b"PK\x05\x06") :]
    records = b"".join(record.replace(b"files/0000", f"files/{number:04}".encode()) for number in range(1000))
    head = struct.pack("<HHLL", 1000, 1000, len(records), start)
    return one[:start] + records + end[:8] + head + end[20:]


def _header(name: str, kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")


def _summed(header: bytes) -> bytes:
    """A header with the checksum of its bytes."""
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + f"{sum(blank):06o}\0 ".encode() + header[156:]
