"""A machine's root: everything that the host has, with changes that go to folders of the machine alone (overlayfs).

`layers` are what earlier machines changed, newest first; `upper` takes what this one changes.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from codewords_mcp.runtime.sandboxes.namespaces.inside import linux
else:
    from sandboxes.namespaces.inside import linux

# Made anew for each machine, and not part of a snapshot.
_OWN: Final = ("proc", "sys", "dev", "tmp", "run")
_PLAIN: Final = linux.MS_NOSUID | linux.MS_NODEV


def build(spec: dict[str, Any]) -> None:
    """Mount everything but /proc. Needs a mount namespace of one's own. Raises OSError."""
    top: str = spec["root"]
    # Else what is mounted here would appear on the host too.
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("tmpfs", top, "tmpfs", linux.MS_NODEV, "size=1m,nr_inodes=1024,mode=755")

    for name in sorted(os.listdir("/")):
        path = f"/{name}"
        # Such as /bin, which leads to /usr/bin.
        if os.path.islink(path):
            os.symlink(os.readlink(path), top + path)
        elif os.path.isdir(path) and name not in _OWN and name != "lost+found":
            os.mkdir(top + path)
            _overlay(spec, name)

    for name in _OWN:
        os.mkdir(f"{top}/{name}")
    linux.mount("/sys", f"{top}/sys", None, linux.MS_BIND | linux.MS_REC)
    linux.mount("/dev", f"{top}/dev", None, linux.MS_BIND | linux.MS_REC)
    linux.mount("tmpfs", f"{top}/dev/shm", "tmpfs", _PLAIN, "mode=1777")
    for name in ("tmp", "run"):
        linux.mount(f"{spec['state']}/{name}", f"{top}/{name}", None, linux.MS_BIND)
    for folder in spec["show"]:
        # These two are the machine's own, so what it sees of the host's must be mounted into them.
        if folder.startswith(("/tmp/", "/run/")):
            os.makedirs(top + folder, exist_ok=True)
            linux.bind(folder, top + folder, linux.MS_RDONLY | _PLAIN)

    _settle(top, network=spec["network"])


def _overlay(spec: dict[str, Any], name: str) -> None:
    """One folder of the root; where the kernel cannot lay one thing over it, it is read-only."""
    target = f"{spec['root']}/{name}"
    below = [f"{layer}/{name}" for layer in spec["layers"] if os.path.isdir(f"{layer}/{name}")]
    upper, work = (f"{spec['state']}/{kind}/{name}" for kind in ("upper", "work"))
    os.makedirs(upper, exist_ok=True)
    os.makedirs(work, exist_ok=True)
    # The root of an overlay takes its mode from `upper`.
    os.chmod(upper, os.stat(f"/{name}").st_mode & 0o7777)
    # The leftmost is the uppermost.
    options = f"lowerdir={':'.join([*below, f'/{name}'])},upperdir={upper},workdir={work}"

    try:
        linux.mount(
            "overlay",
            target,
            "overlay",
            0,
            # An ordinary user can set attributes of the kind `user` alone, and then folders cannot
            # be redirected.
            options + (",redirect_dir=on" if os.geteuid() == 0 else ",userxattr"),
        )
    except OSError:
        linux.bind(f"/{name}", target, linux.MS_RDONLY | _PLAIN)


def _settle(top: str, *, network: bool) -> None:
    os.makedirs(f"{top}/home/user", exist_ok=True)
    # /etc may be read-only, see `_overlay`.
    with contextlib.suppress(OSError):
        if os.path.lexists(f"{top}/etc/resolv.conf"):
            os.unlink(f"{top}/etc/resolv.conf")
        with open(f"{top}/etc/resolv.conf", "w", encoding="utf-8") as file:
            file.write("nameserver 127.0.0.1\n" if network else "")
        with open(f"{top}/etc/hosts", "w", encoding="utf-8") as file:
            file.write("127.0.0.1 localhost e2b\n")


def enter(top: str) -> None:
    """As process 1: mount /proc of its namespace, make `top` the root, let the host's go. Raises OSError."""
    linux.mount("proc", f"{top}/proc", "proc", _PLAIN | linux.MS_NOEXEC)
    # pivot_root takes a mount point only.
    linux.mount(top, top, None, linux.MS_BIND | linux.MS_REC)
    os.chdir(top)
    # The old root lies on top of the new one then, and unmounting it uncovers the new one
    # (pivot_root(2)).
    linux.pivot_root(".", ".")
    linux.unmount(".")
    os.chdir("/")
