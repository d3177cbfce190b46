"""A wheel of the modules that a workflow shares: the same bytes on each machine for the same modules."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codewords_mcp.common.archives import ArchiveBounds, TargetFolder, read_zip
from codewords_mcp.errors import EnvironmentFailed
from codewords_mcp.runtime.model.modules import (
    MAX_MODULES,
    MODULES_DISTRIBUTION,
    MODULES_FILE,
    SharedModule,
    join_modules,
)

_STAMP = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can hold, so that no clock is in the wheel."""
_WHEEL = "Wheel-Version: 1.0\nGenerator: codewords-mcp\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_BOUNDS = ArchiveBounds(members=MAX_MODULES + 4, size=64 << 20)
"""The modules and the four files of a wheel's metadata. Code has 1 MiB at most."""
_CODE = (".py", ".pyc", ".so", ".pyd")


@dataclass(frozen=True, slots=True)
class ModuleWheel:
    """A wheel in memory. `digest` is the SHA-256 of its bytes in hex, `tops` are the names that it adds at the top."""

    name: str
    data: bytes
    digest: str
    tops: frozenset[str]


def module_wheel(modules: Sequence[SharedModule]) -> ModuleWheel | None:
    """Build the wheel; None for no modules."""
    if not modules:
        return None

    ordered = sorted(modules, key=lambda module: module.path)
    block = join_modules("", ordered)
    # A local version, which no index has: nothing can be mistaken for it.
    version = f"0+{hashlib.sha256(block.encode()).hexdigest()[:16]}"
    info = f"{MODULES_DISTRIBUTION.replace('-', '_')}-{version}.dist-info"
    files = {module.path: module.text for module in ordered}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {MODULES_DISTRIBUTION}\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = _WHEEL
    files[f"{info}/{MODULES_FILE}"] = block
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")

    target = io.BytesIO()
    # Stored, not deflated: another zlib makes other bytes.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path, _STAMP)
            # As on Unix, wherever it is built: rw-r--r-- of a regular file.
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, text.encode())
    data = target.getvalue()
    return ModuleWheel(
        f"{info.removesuffix('.dist-info')}-py3-none-any.whl",
        data,
        hashlib.sha256(data).hexdigest(),
        frozenset(module.top for module in ordered),
    )


def install_modules(wheel: ModuleWheel, site_packages: Path) -> list[Path]:
    """Unpack the wheel beside the packages. Returns its Python files. Blocks.

    Raises EnvironmentFailed where a package brings a module of the same name: an import would get one or the other.
    """
    site_packages.mkdir(parents=True, exist_ok=True)
    for entry in sorted(site_packages.iterdir()):
        if entry.name.partition(".")[0] in wheel.tops and (entry.is_dir() or entry.suffix in _CODE):
            top = entry.name.partition(".")[0]
            raise EnvironmentFailed(
                f"A package of the index brings a module called {top}, and so does the shared module beside the workflow.",
                hint=f"Rename the shared module {top}, or take the package that brings the other one out of the header.",
            )
    sources: list[Path] = []
    # uv links the packages' files from its cache, which other environments share: none is written through.
    with TargetFolder(site_packages, mode=0o644) as folder:
        for member in read_zip(wheel.data, _BOUNDS):
            folder.write(member.name, member.content)
            if member.name.endswith(".py"):
                sources.append(site_packages / member.name)
    return sources


def _record(files: dict[str, str], own: str) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
        rows.writerow((path, f"sha256={digest}", len(content.encode())))
    # The record itself has no hash, by the format of wheels.
    rows.writerow((own, "", ""))
    return text.getvalue()
