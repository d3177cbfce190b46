"""The packages of an environment that its fork server may import: those of listed distributions, unchanged.

A server has rights that no program has, so nothing that an author chose may run in it. A distribution is taken if its name is
listed, it comes from an index, and every file of it in the environment is the file of its own wheel, with none beside. The
wheel is the one that uv unpacked by itself in its cache, where no other package can have written. What is found is stored
beside the environment, with the hash of each RECORD, when the environment is built; a server mounts only that (`rootfs`).
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.namespaces.inside import preload

_SUFFIX: Final = ".dist-info"
_BYTECODE: Final = "__pycache__"
_DEPENDENCIES: Final = frozenset(
    {
        "aiohappyeyeballs", "aiohttp", "aiosignal", "annotated-doc", "attrs", "backports-zstd", "bottleneck", "brotli",
        "brotlicffi", "chardet", "charset-normalizer", "colorama", "composio", "distro", "dnspython", "docstring-parser",
        "email-validator", "exceptiongroup", "firecrawl-py", "frozenlist", "h2", "hpack", "html5lib", "httpcore2", "httpx2",
        "hyperframe", "idna", "jiter", "lxml", "markdown-it-py", "markupsafe", "mdurl", "multidict", "nest-asyncio",
        "opentelemetry-api", "orjson", "outcome", "packaging", "perplexityai", "propcache", "pydantic-extra-types", "pyee",
        "pygments", "pysocks", "pytz", "pyyaml", "replicate", "rich", "simplejson", "six", "sniffio", "socksio",
        "sortedcontainers", "soupsieve", "tornado", "tqdm", "trio", "truststore", "typing-inspection", "tzdata", "ujson",
        "urllib3", "watchfiles", "webencodings", "wsproto", "yarl", "zstandard",
    }
)  # fmt: skip
"""What the packages of `preload.PACKAGES` need, or import where it is there."""
LISTED: Final = frozenset(preload.PACKAGES) | _DEPENDENCIES
_BY_INSTALLER: Final = frozenset({"INSTALLER", "RECORD", "REQUESTED", "uv_build.json", "uv_cache.json"})
"""Metadata that uv writes. A distribution from an address or a folder also has direct_url.json, and is not taken."""
_PLUGIN_HOST: Final = "pydantic"
"""It imports the plugins of its own group of entry points: where there are any, each program does that itself."""


def store(venv: Path, site_packages: Path, archives: Path, excluded: frozenset[str] = frozenset()) -> None:
    """Write what a server may import of a new environment beside it. `archives` has the wheels as uv unpacked them.

    `excluded`: names of `.dist-info` folders, without the suffix, whose files are not those of their RECORD. Replaces bytecode
    of listed packages that is not their own. Raises OSError.
    """
    found = _find(site_packages, archives, excluded)
    file_beside(venv).write_text(json.dumps(found, indent=1), encoding="utf-8")


def load(environment: EnvironmentRef, site_packages: Path) -> list[str]:
    """Paths below `site_packages` that a server may see. Nothing of a distribution whose RECORD is another one by now."""
    try:
        found: Any = json.loads(file_beside(environment.path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Built by something else, as the self-test's: its server imports the standard library only.
        return []
    entries: list[str] = []
    for info, known in cast("dict[str, dict[str, Any]]", found).items():
        with contextlib.suppress(OSError):
            if _digest(site_packages / info / "RECORD") == known["record"]:
                entries += known["entries"]
    return entries


def file_beside(venv: Path) -> Path:
    """The file with what was found of an environment."""
    return venv.with_name(f"{venv.name}.preloadable.json")


def _find(site_packages: Path, archives: Path, excluded: frozenset[str]) -> dict[str, dict[str, Any]]:
    installed = {name: _name(name) for name in _names(site_packages) if name.endswith(_SUFFIX)}
    if any(_has_plugins(site_packages / info) for info in installed):
        installed = {info: name for info, name in installed.items() if name != _PLUGIN_HOST}
    candidates = {
        info
        for info, name in installed.items()
        if name in LISTED and info.removesuffix(_SUFFIX) not in excluded
    }
    found: dict[str, dict[str, Any]] = {}
    for archive, info in _wheels(archives, candidates):
        if info not in found and (entries := _entries(archive, site_packages)):
            found[info] = {"record": _digest(site_packages / info / "RECORD"), "entries": entries}
    return dict(sorted(found.items()))


def _wheels(archives: Path, candidates: set[str]) -> Iterator[tuple[Path, str]]:
    """Unpacked wheels of these distributions, of which the cache may hold several for other machines and Pythons."""
    for archive in archives.iterdir() if archives.is_dir() else ():
        infos = [name for name in _names(archive) if name.endswith(_SUFFIX)]
        # A wheel that brings another distribution's metadata along is nobody's we know.
        if len(infos) == 1 and infos[0] in candidates:
            yield archive, infos[0]


def _entries(archive: Path, site_packages: Path) -> list[str]:
    """The wheel's files and folders at the top, as paths below `site_packages`; none unless all are installed as they are."""
    entries: list[str] = []
    for name in _names(archive):
        # uv moves what is in it to other places, and leaves none of it here.
        if name.endswith(".data"):
            continue
        # Python runs these by itself, at its start.
        if name.endswith(".pth") or name.partition(".")[0] in {"sitecustomize", "usercustomize"}:
            return []
        if name == _BYTECODE:
            # One folder for the modules of all packages.
            common = [file for file in _names(archive / name) if (site_packages / name / file).exists()]
            for file in common:
                _own_bytecode(archive / name / file, site_packages / name / file)
            entries += [f"{name}/{file}" for file in common]
        elif not _is_same(archive / name, site_packages / name):
            return []
        else:
            entries.append(name)
    return entries


def _is_same(original: Path, installed: Path) -> bool:
    """Whether a file or folder is the wheel's, with nothing missing and nothing beside."""
    if original.is_symlink() or installed.is_symlink():
        return False
    if not original.is_dir():
        return _is_same_file(original, installed)
    if not installed.is_dir():
        return False
    ours, theirs = _inodes(original), _inodes(installed)
    # Links to one file, found without a look at each: on one disk a number is one file.
    linked = {name for name in theirs if theirs[name] and theirs[name] == ours.get(name)}
    others = theirs.keys() - linked
    if original.name == _BYTECODE:
        # Compiled for more Pythons since, maybe.
        if not others <= ours.keys():
            return False
        for name in others:
            _own_bytecode(original / name, installed / name)
        return True
    missing = ours.keys() - theirs.keys() - {_BYTECODE}
    if original.name.endswith(_SUFFIX):
        missing, others = missing - _BY_INSTALLER, others - _BY_INSTALLER
    # Bytecode that is not installed costs time only.
    return (
        not missing
        and others <= ours.keys()
        and all(_is_same(original / name, installed / name) for name in others)
    )


def _inodes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Names in a folder, with device and inode of each plain file, and nothing for all else."""
    device = folder.stat().st_dev
    with os.scandir(folder) as entries:
        return {
            entry.name: (device, entry.inode()) if entry.is_file(follow_symlinks=False) else ()
            for entry in entries
        }


def _is_same_file(original: Path, installed: Path) -> bool:
    # Links to one file, but where the cache is on another disk.
    with contextlib.suppress(OSError):
        return installed.samefile(original) or filecmp.cmp(original, installed, shallow=False)
    return False


def _own_bytecode(original: Path, installed: Path) -> None:
    """Have the wheel's own bytecode. Python runs it without a look at the source, so another package's would be code."""
    if _is_same_file(original, installed):
        return
    beside = installed.with_name(f".{installed.name}.own")
    beside.write_bytes(original.read_bytes())
    beside.replace(installed)


def _has_plugins(info: Path) -> bool:
    with contextlib.suppress(OSError):
        lines = (info / "entry_points.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        return any(line.strip().replace(" ", "") == f"[{_PLUGIN_HOST}]" for line in lines)
    return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def _name(info: str) -> str:
    return info.partition("-")[0].lower().replace("_", "-").replace(".", "-")
