"""The host's files, from inside."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from tests.attacks.hostile.attempts import (
    APP,
    NOT_THERE,
    UNCHANGED,
    Group,
    fact,
    gives,
    read,
    refused,
    shows,
    system,
    write,
)

group = Group("files", "Files of the host")
_AT_FDCWD, _AT_SYMLINK_FOLLOW, _AT_EMPTY_PATH = -100, 0x400, 0x1000
_HANDLE_BYTES = 128
_SECRETS = "Whoever reads the machine's secrets owns it."
_RUNTIME = "The runtime's folder has the database, the keys and every workflow's files."


@group.attempt(
    "leaked-descriptors",
    "Count what is open besides stdin, stdout, stderr, the server's socket and the way to process 1",
    "A descriptor of the runtime is a door.",
    gives([], "nothing"),
)
def _() -> object:
    listing = os.open("/proc/self/fd", os.O_RDONLY)
    names = {int(name) for name in os.listdir(listing)} - {listing}
    os.close(listing)
    return sorted(number for number in names if number > 4 and _is_open(number))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@group.attempt("shadow", "Read /etc/shadow", "It holds the password hashes of the machine.", NOT_THERE)
def _() -> object:
    return read("/etc/shadow")


@group.attempt("root-home", "List /root", _SECRETS, NOT_THERE)
def _() -> object:
    return os.listdir("/root")


@group.attempt("user-homes", "List /home", _SECRETS, NOT_THERE)
def _() -> object:
    return os.listdir("/home")


@group.attempt(
    "home",
    "Follow $HOME and ~",
    "Programs look for credentials there.",
    shows(
        "the folder of its own program, /app with a root of its own", lambda found: set(found) == {found[-1]}
    ),
)
def _() -> object:
    return [os.environ.get("HOME"), os.path.expanduser("~"), os.getcwd()]


@group.attempt("canary", "Read a file of the host that everybody may read, by its name", _SECRETS, NOT_THERE)
def _() -> object:
    return read(fact("canary"))


@group.attempt("run-folder", "List the folder of the runtime's sandboxes by its name", _RUNTIME, NOT_THERE)
def _() -> object:
    return os.listdir(str(fact("run_dir")))


@group.attempt(
    "proc-root",
    "Reach the canary through /proc/1/root",
    "Links in /proc lead past the root of whoever follows them.",
    NOT_THERE,
)
def _() -> object:
    return read("/proc/1/root" + fact("canary"))


@group.attempt(
    "proc-cwd",
    "Walk up from /proc/1/cwd",
    "A working folder outside of the root leads out of it.",
    refused("EACCES", "EPERM"),
)
def _() -> object:
    return os.listdir("/proc/1/cwd/../../..")


@group.attempt(
    "above-root",
    "Walk up from / as far as it goes",
    "A root that is only a chroot is left that way.",
    shows("the same folder again", lambda same: same),
)
def _() -> object:
    top, above = os.stat("/"), os.stat("/../../../../..")
    return (top.st_dev, top.st_ino) == (above.st_dev, above.st_ino)


@group.attempt(
    "folder-descriptors",
    "Search the inherited descriptors for a folder",
    "openat() from a folder of the host walks the host.",
    gives([], "none is a folder"),
)
def _() -> object:
    found: list[str] = []
    for name in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
        if link.startswith("/") and not link.startswith(("/dev/", APP, "/proc/")):
            found.append(link)
    return found


@group.attempt(
    "private-keys",
    "List /etc/ssl/private and /etc/pki/tls/private",
    "TLS keys lie beside the certificates.",
    gives([], "neither opens"),
)
def _() -> object:
    listed: list[str] = []
    for path in ("/etc/pki/tls/private", "/etc/ssl/private"):
        with contextlib.suppress(OSError):
            listed.append(f"{path}: {len(os.listdir(path))} names")
    return listed


@group.attempt(
    "daemon-sockets",
    "Connect to the sockets of Docker, D-Bus and containerd",
    "Each of them gives root.",
    gives([], "none is there"),
)
def _() -> object:
    names = (
        "/var/run/docker.sock",
        "/run/dbus/system_bus_socket",
        "/run/containerd/containerd.sock",
        "/run/systemd/private",
    )
    return [name for name in names if os.path.exists(name)]


@group.attempt("logs", "List /var/log", "Logs of the host name its people and programs.", NOT_THERE)
def _() -> object:
    return os.listdir("/var/log")


@group.attempt(
    "sys", "List /sys", "It names the hardware, and holds cgroups and other programs' memory.", NOT_THERE
)
def _() -> object:
    return os.listdir("/sys")


@group.attempt("boot", "List /boot and /lib/modules", "Kernel symbols help an exploit.", NOT_THERE)
def _() -> object:
    return os.listdir("/boot")


def _written(folder: str) -> object:
    return write(f"{folder}/canary")


for _name, _folder in (
    ("write-usr", "/usr/local"),
    ("write-bin", "/bin"),
    ("write-etc", "/etc"),
    ("write-env", "/env/bin"),
    ("write-python", "/python"),
    ("write-top", ""),
    ("write-dev", "/dev"),
):
    group.add(
        _name,
        f"Make a file in {_folder or '/'}",
        "It would be there for the host, or for the next sandbox.",
        UNCHANGED,
        lambda folder=_folder: _written(folder),
    )


@group.attempt(
    "write-passwd", "Append a second root to /etc/passwd", "su would take it from there.", UNCHANGED
)
def _() -> object:
    with open("/etc/passwd", "a", encoding="utf-8") as file:
        return file.write("r::0:0::/:/bin/sh\n")


@group.attempt(
    "write-boot",
    "Replace /.codewords/boot.py",
    "Every program is started by it.",
    UNCHANGED,
)
def _() -> object:
    return write("/.codewords/boot.py", "import os")


@group.attempt(
    "write-interpreter",
    "Open the interpreter through /proc/self/exe for writing",
    "So a container once replaced its own runtime (CVE-2019-5736).",
    refused("EROFS", "EACCES", "ETXTBSY"),
)
def _() -> object:
    return write("/proc/self/exe")


@group.attempt(
    "change-modes",
    "chmod, touch and truncate files of the environment",
    "It is shared by all workflows with these packages.",
    shows("refused, or without any effect", lambda found: "done" not in found),
)
def _() -> object:
    target = os.path.realpath(os.__file__)
    acts = (
        lambda: os.chmod(target, 0o777),
        lambda: os.utime(target, (0, 0)),
        lambda: os.truncate(target, 0),
        lambda: os.unlink(target),
        lambda: os.rename(target, target + ".old"),
        lambda: os.setxattr(target, "user.canary", b"x"),
    )
    return sorted({_refusal(act, target) for act in acts})


def _refusal(act: Callable[[], object], target: str) -> str:
    """The reason why the act fails, or whether it has changed the file."""
    before = os.stat(target)
    try:
        act()
    except OSError as error:
        return os.strerror(error.errno or 0)
    after = os.stat(target)
    same = (before.st_mode, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_mode, after.st_mtime_ns, after.st_ctime_ns,
    )  # fmt: skip
    return "without effect" if same else "done"


@group.attempt(
    "hard-link",
    "Hard-link the interpreter's library into /app",
    "A link in a writable folder is a writable name of a shared file.",
    refused("EXDEV", "EPERM"),
)
def _() -> object:
    return os.link(os.path.realpath(os.__file__), f"{APP}/link")


@group.attempt(
    "hard-link-descriptor",
    "Hard-link an open file of the environment into /app by its descriptor",
    "The same, past a check of names.",
    refused("EXDEV", "EPERM", "ENOENT"),
)
def _() -> object:
    descriptor = os.open(os.path.realpath(os.__file__), os.O_RDONLY)
    source = f"/proc/self/fd/{descriptor}".encode()
    return system("linkat", _AT_FDCWD, source, _AT_FDCWD, f"{APP}/link2".encode(), _AT_SYMLINK_FOLLOW)


@group.attempt(
    "handles",
    "Open a forged file handle",
    "Handles name files past every path (CVE-2014-3519, 'shocker').",
    refused("EPERM"),
)
def _() -> object:
    import ctypes

    handle = ctypes.create_string_buffer(_HANDLE_BYTES)
    handle.raw = (2).to_bytes(4, "little").ljust(_HANDLE_BYTES, b"\0")
    root = os.open(APP, os.O_RDONLY)
    return system("open_by_handle_at", root, handle, os.O_RDONLY)


@group.attempt(
    "name-to-handle",
    "name_to_handle_at(/app)",
    "Half of the same attack.",
    refused("EPERM"),
)
def _() -> object:
    return system("name_to_handle_at", _AT_FDCWD, APP.encode(), None, None, _AT_EMPTY_PATH)


@group.attempt(
    "mount-table",
    "Read the names of host folders in /proc/self/mountinfo, and open each",
    "They tell a user's name, and where the runtime keeps its things.",
    gives([], "names are seen (a known limit), none of them opens"),
)
def _() -> object:
    roots = [line.split()[3] for line in read("/proc/self/mountinfo", 1 << 20).splitlines()]
    own = (
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/etc",
        "/sys",
        "/bus",
        "/fs",
        "/irq",
        "/null",
        "/zero",
        "/full",
        "/random",
        "/var/cache/fontconfig",
        "/urandom",
    )
    return [root for root in roots if root != "/" and not root.startswith(own) and os.path.lexists(root)]


@group.attempt(
    "socket-name",
    "Ask the inherited socket for its name",
    "It is bound in a folder of the host.",
    shows("no path of the runtime's folder", lambda name: name is True),
)
def _() -> object:
    import socket

    with socket.socket(fileno=os.dup(3)) as listener:
        return fact("run_dir") not in str(listener.getsockname())


@group.attempt(
    "output-readback",
    "Print a line on stderr and read the pipe back by /proc/self/fd/2",
    "The log of another run, or what the runtime says in this one, could be read.",
    shows("its own line at most", lambda text: text in ("", "its own line\n")),
)
def _() -> object:
    try:
        descriptor = os.open("/proc/self/fd/2", os.O_RDONLY | os.O_NONBLOCK)
    except PermissionError:
        return ""
    os.write(2, b"its own line\n")
    try:
        return os.read(descriptor, 1000).decode()
    except BlockingIOError:
        return ""  # the runtime was quicker
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    group.run()
