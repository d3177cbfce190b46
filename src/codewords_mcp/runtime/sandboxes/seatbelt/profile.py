"""Writes a sandbox's Seatbelt profile: everything is refused but what its rules name.

The language is that of sandbox-exec(1) and of the system's own profiles (/System/Library/Sandbox/Profiles): a rule allows
operations for what its filters match, the last rule that matches wins, and here there are only rules that allow. Paths are
literal, never patterns, and real ones: the kernel judges a file by where it is, not by the link that leads there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

_SYSTEM: Final = (
    "/usr/lib", "/usr/share/zoneinfo", "/usr/share/zoneinfo.default", "/usr/share/icu", "/usr/share/locale",
    "/System/Library/Frameworks", "/System/Library/PrivateFrameworks", "/System/Library/CoreServices/SystemVersion.bundle",
    "/System/Library/dyld", "/System/Cryptexes", "/System/Volumes/Preboot/Cryptexes", "/Library/Apple/System/Library",
    "/private/var/db/dyld", "/private/var/db/timezone", "/private/etc/ssl/certs",
)  # fmt: skip
_SYSTEM_FILES: Final = (
    "/private/etc/ssl/cert.pem", "/private/etc/ssl/openssl.cnf", "/private/etc/hosts", "/private/etc/localtime",
    "/private/etc/protocols", "/private/etc/services", "/System/Library/CoreServices/SystemVersion.plist",
)  # fmt: skip
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/dtracehelper")
_LINKS: Final = ("/etc", "/var", "/tmp", "/dev", "/private/etc/localtime")  # noqa: S108
_PROGRAMS: Final = ("/bin/sh", "/bin/bash", "/usr/bin/env")
"""What subprocess starts for a shell. No other program of the system: some of them have rights of their own."""
_HOMEBREW: Final = ("/opt/homebrew", "/usr/local")
_HOMEBREW_PARTS: Final = ("Cellar", "opt", "lib", "etc/openssl@3", "etc/openssl@1.1", "etc/ca-certificates")
_FACTS: Final = (
    "hw.activecpu", "hw.byteorder", "hw.cachelinesize", "hw.cpufamily", "hw.cpusubtype", "hw.cputype", "hw.logicalcpu",
    "hw.logicalcpu_max", "hw.machine", "hw.memsize", "hw.model", "hw.ncpu", "hw.nperflevels", "hw.pagesize",
    "hw.pagesize_compat", "hw.physicalcpu", "hw.physicalcpu_max", "hw.tbfrequency", "kern.argmax", "kern.hostname",
    "kern.maxfilesperproc", "kern.ngroups", "kern.osproductversion", "kern.osrelease", "kern.ostype", "kern.osversion",
    "kern.usrstack64", "kern.version", "machdep.cpu.brand_string", "sysctl.proc_cputype", "vm.loadavg",
)  # fmt: skip
"""Not kern.proc and kern.procargs2: arguments and variables of the user's other processes."""
_SERVICES: Final = ("com.apple.system.notification_center", "com.apple.system.opendirectoryd.libinfo")
"""localtime and getpwuid; every other service of the system is a way out."""


class UnwritablePath(ValueError):
    """A path that a profile cannot name."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What one sandbox may use. Absolute real paths; `ports` are the runtime's on loopback."""

    python: str
    environment: str
    boot: str
    own: Sequence[str]
    socket: str
    ports: Sequence[int]


def profile(grant: Grant) -> str:
    """The profile's text. Raises UnwritablePath."""
    trees = [*_SYSTEM, *_homebrew(grant.python), grant.python, grant.environment]
    files = [*_SYSTEM_FILES, *_DEVICES, grant.boot]
    paths = [*trees, *files, *grant.own, *_PROGRAMS, grant.socket]
    rules = [
        _rule("process-fork"),
        _rule("process-exec", _literals(_PROGRAMS), _subpaths([grant.python, grant.environment])),
        _rule("process-info*", ["(target self)"]),
        _rule("signal", ["(target same-sandbox)"]),
        _rule("sysctl-read", [*(f"(sysctl-name {_quote(name)})" for name in _FACTS), '(sysctl-name-prefix "hw.optional.")',
                              '(sysctl-name-prefix "hw.perflevel")']),
        _rule("mach-lookup", [f"(global-name {_quote(name)})" for name in _SERVICES]),
        _rule("ipc-posix-shm-read-data", ['(ipc-posix-name "apple.shm.notification_center")']),
        _rule("ipc-posix-sem", ['(ipc-posix-name-regex #"^/mp-")']),
        _rule("file-read-metadata", _literals([*_ancestors(paths), *_LINKS])),
        _rule("file-read-data", _literals(["/"])),
        _rule("file-read*", _subpaths(trees), _literals([*files, *_PROGRAMS])),
        _rule("file-map-executable", _subpaths([*trees, *grant.own]), _literals(_PROGRAMS)),
        _rule("file-write-data", _literals(["/dev/null", "/dev/zero", "/dev/dtracehelper"])),
        _rule("file-ioctl", _literals(["/dev/dtracehelper"])),
        _rule("file-read* file-write*", _subpaths(grant.own)),
        _rule("network-inbound", [f"(literal {_quote(grant.socket)})"]),
        _rule("network-bind network-inbound", ['(local tcp "localhost:*")']),
        *([_rule("network-outbound", [f'(remote tcp "localhost:{int(port)}")' for port in grant.ports])] if grant.ports else []),
    ]  # fmt: skip
    return "\n".join(["(version 1)", "(deny default)", *rules]) + "\n"


def _rule(operations: str, *filters: Iterable[str]) -> str:
    lines = [line for group in filters for line in group]
    return "".join([f"(allow {operations}", *(f"\n  {line}" for line in lines), ")"])


def _subpaths(paths: Iterable[str]) -> list[str]:
    return [f"(subpath {_quote(path)})" for path in dict.fromkeys(paths)]


def _literals(paths: Iterable[str]) -> list[str]:
    return [f"(literal {_quote(path)})" for path in dict.fromkeys(paths)]


def _ancestors(paths: Iterable[str]) -> list[str]:
    """The folders above, whose names and kinds are read on the way; not what is in them."""
    found = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    return sorted(found)


def _homebrew(python: str) -> list[str]:
    """A Python of Homebrew's has its libraries in other packages of Homebrew's."""
    for top in _HOMEBREW:
        if python.startswith(f"{top}/Cellar/"):
            return [f"{top}/{part}" for part in _HOMEBREW_PARTS]
    return []


def _quote(text: str) -> str:
    """A string of the profile's language: only a quote and a backslash have a meaning in it.

    A path that is not absolute, climbs, or holds a control character is refused rather than guessed at.
    """
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F or 0xD800 <= ord(letter) < 0xE000 for letter in text):
        raise UnwritablePath(
            "a path holds a control character or is not UTF-8, which a Seatbelt profile cannot name"
        )
    if "/" in text and (not text.startswith("/") or ".." in text.split("/")):
        raise UnwritablePath("a Seatbelt profile needs absolute, real paths")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
