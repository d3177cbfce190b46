"""The lock of what is installed in a folder."""

from __future__ import annotations

from pathlib import Path

from codewords_mcp.errors import EnvironmentFailed


def lock_of(site_packages: Path) -> str:
    """One `name==version` a line, normalised and sorted. Raises EnvironmentFailed where a package does not tell its own."""
    return "".join(f"{line}\n" for line in sorted(map(_pin, site_packages.glob("*.dist-info/METADATA"))))


def _pin(metadata: Path) -> str:
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    fields: dict[str, str] = {}
    with metadata.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or {"name", "version"} <= fields.keys():
                break
            fields.setdefault(name.lower(), value.strip())

    try:
        return f"{canonicalize_name(fields['name'])}=={Version(fields['version'])}"
    except (KeyError, InvalidVersion) as error:
        raise EnvironmentFailed(
            f"The metadata of {metadata.parent.name.removesuffix('.dist-info')} do not tell its name and version.",
            hint="Take another version of the package.",
        ) from error
