"""Needs of tests beside Python.

A test or fixture names a need: `@pytest.mark.needs("chromium")`, or `require("chromium")`. Without it the test is skipped, and the
end of a run says how many were, and what installs it (`not_tried`). Where CI is true, a skipped test has failed (`conftest`).

`python -m tests.support.needs` prints the Debian packages that lack here; `scripts/setup --for-tests` installs them.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
"""Names of its program, by system."""


class Need(NamedTuple):
    """Something that a machine may lack."""

    what: str
    """As in “needs …”."""
    here: Callable[[], bool]
    packages: tuple[str, ...] = ()
    """Of Debian, that bring it."""


def _programs(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for name in names)


def _files(pattern: str) -> Callable[[], bool]:
    return lambda: any(Path("/").glob(pattern.removeprefix("/")))


NEEDS = {
    "python3.11": Need("/usr/bin/python3.11", _files("/usr/bin/python3.11")),
    "python3.13": Need("/usr/bin/python3.13", _files("/usr/bin/python3.13")),
    "assembler": Need("an assembler", _programs("as", "objcopy"), ("binutils",)),
    "chromium": Need("Chromium", lambda: any(map(shutil.which, CHROMIUM)), ("chromium",)),
    "curl": Need("curl", _programs("curl"), ("curl",)),
    "dovecot": Need("Dovecot", _programs("dovecot"), ("dovecot-imapd",)),
    "ext4": Need("mkfs.ext4 and losetup", _programs("mkfs.ext4", "losetup"), ("e2fsprogs", "mount")),
    "kernel headers": Need("the kernel's headers", _files("/usr/include/asm-generic/unistd.h"), ("linux-libc-dev",)),
    "mmdebstrap": Need("mmdebstrap", _programs("mmdebstrap", "setpriv"), ("mmdebstrap",)),
    "node": Need("Node with npm", _programs("node", "npm"), ("nodejs", "npm")),
    "openssl": Need("openssl", _programs("openssl"), ("openssl",)),
    "postgresql": Need("PostgreSQL", _files("/usr/lib/postgresql/*/bin/initdb"), ("postgresql",)),
    "prometheus": Need("promtool", _programs("promtool"), ("prometheus",)),
    "radosgw": Need("radosgw", _programs("radosgw"), ("radosgw",)),
    "redis": Need("redis-server", _programs("redis-server"), ("redis-server",)),
    "root": Need("root, which may be any user", lambda: os.geteuid() == 0),
    "user-mode linux": Need("user-mode Linux and a C compiler", _programs("linux.uml", "cc"), ("user-mode-linux", "gcc", "libc6-dev")),
}  # fmt: skip


@functools.cache
def is_here(name: str) -> bool:
    """Whether this machine has it. Raises KeyError for a need that `NEEDS` does not list."""
    return NEEDS[name].here()


def require(name: str) -> None:
    """Skip the test that runs, or the tests that use this fixture, where it is not there."""
    if not is_here(name):
        pytest.skip(f"needs {NEEDS[name].what}")


def lacking() -> list[str]:
    """The Debian packages that bring what is not here."""
    return sorted({package for name, need in NEEDS.items() if not is_here(name) for package in need.packages})


if __name__ == "__main__":
    print(*lacking())
