"""Findings of `doctor` about this machine and the home on it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, cast

from codewords_mcp.cli._connect import KEY_FILE, read_settings
from codewords_mcp.cli._output import size
from codewords_mcp.cli.doctor.findings import Finding, Status
from codewords_mcp.errors import RuntimeUnavailable
from codewords_mcp.stdio import home, runtime_choice

LOW_DISK: Final = 2 << 30
"""Bytes under which building environments is likely to fail."""


def machine_findings() -> list[Finding]:
    """Facts of this machine and the home on it."""
    folder = Path(home.home_folder())
    uv = _find_uv()
    return [
        _system(folder),
        _home(folder),
        *_other_homes(folder),
        *_exposed(folder),
        _key(folder),
        _disk(folder),
        *_open_files(),
        _uv(uv),
        *([_pythons(uv, folder)] if uv else []),
    ]


def container_findings() -> list[Finding]:
    """The container engine and the container of this home; empty where the runtime is on another machine."""
    folder = home.home_folder()
    if runtime_choice.read(folder).kind != runtime_choice.CONTAINER:
        return []

    from codewords_mcp.stdio import containers, engines

    try:
        engine = engines.engine_here()
        state = engine.state(containers.container_name(folder))
    except RuntimeUnavailable as error:
        return [Finding("container", "failed", error.message, error.hint or "")]

    name, image = containers.container_name(folder), containers.image_name()
    if state is None:
        return [
            Finding(
                "container",
                "note",
                f"{engine.title} has no container {name}; the next call starts one of {image}.",
            )
        ]
    how = "runs" if state.is_running else "has ended"
    return [
        Finding("container", "ok", f"{name} of {engine.title} {how}, version {state.version or 'unknown'}")
    ]


def _system(folder: Path) -> Finding:
    from codewords_mcp.runtime.sandboxes.host import diagnosis

    level, statement, fix = diagnosis.system(str(folder))
    return Finding("system", cast("Status", level), statement, fix)


def _home(folder: Path) -> Finding:
    """Report the size of the home on disk, and its largest parts. Linked files count once."""
    parts: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()

    for top, folders, files in os.walk(folder):
        name = Path(top).relative_to(folder).parts[:1]
        for entry in (*folders, *files):
            try:
                found = (Path(top) / entry).lstat()
            except OSError:
                continue

            # Environments share files by hard links, which take their space once.
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                part = name[0] if name else "database and the rest"
                parts[part] = parts.get(part, 0) + _size_on_disk(found)

    if not parts:
        return Finding("home", "ok", str(folder))

    largest = sorted(parts.items(), key=lambda item: -item[1])[:3]
    tables_text = ", ".join(f"{name} {size(number)}" for name, number in largest)
    return Finding("home", "ok", f"{folder}, {size(sum(parts.values()))} on the disk ({tables_text})")


def _other_homes(folder: Path) -> list[Finding]:
    """Runtimes of this user that serve other homes: commands without their CODEWORDS_HOME do not see them. Linux only."""
    served: set[Path] = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            opened = link.readlink()
        except OSError:
            # The process has ended, or is another user's.
            continue
        if opened.name == home.LOCK and opened.parent != folder:
            served.add(opened.parent)

    return [
        Finding(
            "homes",
            "note",
            f"another runtime serves {place} at {info.url}, pid {info.pid}",
            f"`CODEWORDS_HOME={shlex.quote(str(place))} codewords status` shows it.",
        )
        for place in sorted(served)
        if (info := home.find_local(str(place))) is not None
    ]


def _size_on_disk(found: os.stat_result) -> int:
    if sys.platform == "win32":
        return found.st_size
    # Blocks and not the size: sparse files and small ones take another amount. 512 bytes are POSIX's unit of st_blocks.
    return found.st_blocks * 512


def _key(folder: Path) -> Finding:
    if read_settings().api_key:
        return Finding("key", "ok", "the admin key is CODEWORDS_API_KEY")
    if not (folder / KEY_FILE).is_file():
        return Finding("key", "note", f"the first start makes the admin key, in {folder / KEY_FILE}")
    return Finding("key", "ok", f"the admin key is in {folder / KEY_FILE}")


def _open_files() -> list[Finding]:
    """A limit of open files that lets few runs go on at once; nothing where it does not."""
    if sys.platform == "win32":
        return []
    from codewords_mcp.runtime.model.shortages import RAISE_OPEN_FILES
    from codewords_mcp.runtime.sandboxes.host import descriptors

    if (few := descriptors.few()) is None:
        return []
    return [Finding("open files", "note", few, RAISE_OPEN_FILES)]


def _exposed(folder: Path) -> list[Finding]:
    """Files of the home that other users of this machine can reach."""
    from codewords_mcp.runtime.store.local_file import exposed

    found = exposed(folder)
    if not found:
        return []
    names = ", ".join(str(path) for path in found)
    fix = f"chmod go= {' '.join(shlex.quote(str(path)) for path in found)}"
    return [Finding("home", "warning", f"Other users of this machine can reach {names}.", fix)]


def _disk(folder: Path) -> Finding:
    # Before the first start the home doesn't exist yet.
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    free = shutil.disk_usage(there).free
    if free < LOW_DISK:
        fix = "Make room, or set CODEWORDS_HOME to a folder on another disk."
        return Finding("disk", "warning", f"{size(free)} free; an environment takes about 100 MB.", fix)
    return Finding("disk", "ok", f"{size(free)} free")


def _find_uv() -> str | None:
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def _uv(uv: str | None) -> Finding:
    if uv is None:
        return Finding(
            "uv", "failed", "The program uv is missing, so no environment can be built.", "pip install uv"
        )
    return Finding("uv", "ok", (_output_of([uv, "--version"]).splitlines() or [uv])[0])


def _pythons(uv: str, folder: Path) -> Finding:
    """Report the pins that scripts may have: the minor releases of Python here, in the places where the runtime looks."""
    own = f"3.{sys.version_info[1]}"
    minors = {own}
    here = dict(os.environ)
    for environment in (here, here | {"UV_PYTHON_INSTALL_DIR": str(folder / "pythons")}):
        # Without a cache: `doctor` must not write anywhere.
        command = [uv, "--no-cache", "python", "list", "--only-installed", "--output-format", "json"]
        try:
            found: list[dict[str, Any]] = json.loads(_output_of(command, environment))
            minors |= {
                "{major}.{minor}".format(**item["version_parts"])
                for item in found
                if item["implementation"] == "cpython"
            }
        except (ValueError, KeyError, TypeError):
            continue

    pins = ", ".join(sorted(minors, key=home.version_key)).replace(own, f"{own} (the runtime's own)")
    if read_settings().python_downloads:
        others = "others are fetched when a script asks for one, if the network allows"
    else:
        others = "`uv python install 3.x` adds another"
    return Finding("python", "ok", f"pins that this machine meets: {pins}; {others}")


def _output_of(command: list[str], environment: dict[str, str] | None = None) -> str:
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=20, check=False, env=environment
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
