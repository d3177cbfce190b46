"""A sandbox's own root: a small read-only tmpfs with what a Python program needs, at neutral paths.

/usr and its links, the Python installation at /python, the environment at /env, certificates and the caches of the linker and
of fonts are read-only binds; /app and /tmp are the run's own folders on disk; /dev, /proc and the files of /etc are made anew.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from . import linux

BOOT: Final = "/.codewords/boot.py"
AUTHORITIES: Final = "/.codewords/authorities.pem"
"""The bundle of `sandboxes.authorities`, in a root that has one."""
SERVER_ROOT: Final = "/root"
SERVER_SANDBOXES: Final = "/sandboxes"
_SERVER_GROUPS: Final = "/groups"
_SERVER_SETTINGS: Final = SERVER_ROOT + "/proc/sys/kernel"
_PIDS_BELOW_MAX: Final = 512
_SERVER_SELF: Final = "/self"
_SERVER_SIZE: Final = "size=64k,nr_inodes=16,mode=755"
_COVER_SIZE: Final = "size=1m,nr_inodes=4096,mode=755"

_NODE_FLAGS: Final = linux.MS_NOSUID | linux.MS_NOEXEC
_READONLY: Final = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV
_TMPFS: Final = linux.MS_NOSUID | linux.MS_NODEV
_DEVICES: Final = ("null", "zero", "full", "random", "urandom")
_DEVICE_LINKS: Final = {
    "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
}  # fmt: skip
_TOP_LEVEL: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC_BINDS: Final = (
    # Never /etc/ssl or /etc/pki whole: they hold private keys beside the certificates.
    "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust",
    "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies",
    "/etc/ca-certificates", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
    "/etc/mime.types", "/etc/protocols", "/etc/services", "/etc/localtime",
)  # fmt: skip
SYSTEM_BUNDLES: Final = (
    "etc/ssl/certs/ca-certificates.crt", "etc/ssl/cert.pem", "etc/ssl/ca-bundle.pem", "etc/pki/tls/certs/ca-bundle.crt",
)  # fmt: skip
_PACKAGED_BUNDLES: Final = (
    # Packages that bring a list of authorities along read it by their own path, whatever a variable says.
    "certifi/cacert.pem", "pip/_vendor/certifi/cacert.pem", "botocore/cacert.pem", "httplib2/cacerts.txt",
    "stripe/data/ca-certificates.crt", "grpc/_cython/_credentials/roots.pem",
)  # fmt: skip
_PACKAGES: Final = "env/lib/{}/site-packages/{}"
_ETC_FILES: Final = {
    "passwd": "root:x:0:0:root:/:/bin/sh\nsandbox:x:1000:1000:sandbox:/app:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/:/bin/false\n",
    "group": "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "hostname": "sandbox\n",
    "resolv.conf": "nameserver 127.0.0.1\noptions timeout:5 attempts:3\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}
_FONT_CACHE: Final = "/var/cache/fontconfig"
_PROC_READONLY: Final = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_PROC_MASKED: Final = (
    "kcore",
    "keys",
    "timer_list",
    "sched_debug",
    "latency_stats",
    "kmsg",
    "kallsyms",
    "modules",
)
_PROC_EMPTIED: Final = ("acpi", "asound", "scsi", "driver")


class Sources(NamedTuple):
    """Host paths that go into the root. `python` is None where the installation is /usr itself; `app` and `tmp` are None
    for a root that many sandboxes are made from.
    """

    root: str
    app: str | None
    tmp: str | None
    environment: str
    python: str | None
    boot: str
    folders: tuple[str, ...] = ()
    authorities: str | None = None
    """A file with everything that programs are to trust, in place of every such list."""


def build(sources: Sources) -> None:
    """Mount everything but /proc below `sources.root`. Needs a mount namespace of one's own."""
    root = sources.root
    # Private first: else every mount below would show on the host, and the host's here.
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    # Memory bounds: the tmpfs counts as the machine's memory before the sandbox has a cgroup.
    linux.mount("tmpfs", root, "tmpfs", _TMPFS, "size=2m,nr_inodes=4096,mode=755")
    _bind_folder("/usr", root + "/usr")

    for name in _TOP_LEVEL:
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), f"{root}/{name}")
        elif os.path.isdir("/" + name):
            _bind_folder("/" + name, f"{root}/{name}")

    # Neutral paths: the program learns neither the host's user nor its folder layout.
    _bind_folder(sources.environment, root + "/env")
    if sources.python is not None:
        _bind_folder(sources.python, root + "/python")
    for folder in sources.folders:
        os.makedirs(os.path.dirname(root + folder), exist_ok=True)
        _bind_folder(folder, root + folder)

    _make_etc(root)
    _make_dev(root)
    for name in ("proc", "app", "tmp", "run", "var", "var/tmp", ".codewords"):
        os.mkdir(f"{root}/{name}")
    # Without it a program that draws text reads every font of /usr first: 0.2 s where there are forty.
    if os.path.isdir(_FONT_CACHE):
        os.mkdir(root + os.path.dirname(_FONT_CACHE))
        _bind_folder(_FONT_CACHE, root + _FONT_CACHE)
    _copy(sources.boot, root + BOOT)
    if sources.authorities is not None:
        _cover_bundles(root, sources.authorities)
    if sources.app is not None and sources.tmp is not None:
        bind_own(root, sources.app, sources.tmp)


def enter(root: str) -> int:
    """Mount /proc of this process's pid namespace, make `root` the root, and let the host's go.

    Returns a descriptor for `identity.become`: the last writable way to the counters of a user namespace.
    """
    # Before pivoting: the kernel allows a new /proc only where a fully visible one is still in sight.
    _mount_proc(root)
    counters = _open_counters(root)
    restrict_proc(root)
    linux.mount(root, root, None, linux.MS_BIND | linux.MS_REC)  # this namespace's own, to pivot to
    _pivot_to(root)
    linux.mount("none", "/", None, linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | _TMPFS)

    return counters


def build_server(outer: str, sources: Sources, sandboxes: str, groups: str | None) -> None:
    """A fork server's own tree at `outer`: the folder of its sandboxes' folders, the one of their cgroups in v2, and what each
    sandbox's root is made of.

    Needs a mount namespace of one's own. Makes it the working folder: as the user that it will be, the server may not
    walk there.
    """
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("tmpfs", outer, "tmpfs", _TMPFS, _SERVER_SIZE)
    for name in (SERVER_ROOT, SERVER_SANDBOXES, _SERVER_GROUPS, _SERVER_SELF):
        os.mkdir(outer + name)
    linux.bind(sandboxes, outer + SERVER_SANDBOXES)
    if groups is not None:
        # A fork into a group takes a right on its files, but no way to write to them.
        linux.bind(groups, outer + _SERVER_GROUPS, _READONLY | linux.MS_NOEXEC)
    build(sources)
    os.chdir(outer)


def enter_server() -> None:
    """Make what is in the working folder the root and let the host's go; /proc is left unrestricted."""
    _mount_proc("." + SERVER_ROOT)
    own = "." + _SERVER_SELF
    linux.mount("tmpfs", own, "tmpfs", _TMPFS, _SERVER_SIZE)

    for name in (SERVER_ROOT, SERVER_SANDBOXES, _SERVER_GROUPS):
        # Mounts of this namespace's own: sandboxes could not pivot to one that came with it.
        os.mkdir(own + name)
        linux.mount("." + name, own + name, None, linux.MS_BIND | linux.MS_REC)

    _pivot_to(own)
    # Read-only last: mount points had to be made in them first.
    for root in ("/", SERVER_ROOT):
        linux.mount("none", root, None, linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | _TMPFS)


def cover_environment(packages: str | None, preloadable: list[str]) -> list[str]:
    """Show the calling process no more of the environment than its Python and, of `packages`, what is `preloadable`.

    For the server alone, in a mount namespace of its own: prepared isolations have the whole environment, and a fork sees it
    when it enters one. Whatever an author installed, such as a module, a `.pth` file or a `python._pth` beside the interpreter,
    can then be neither found nor run by the server. Returns the names in `packages` that only programs see.
    """
    environment = SERVER_ROOT + "/env"
    # The way to what is covered: the folder stays the working folder below the mount.
    os.chdir(environment)
    linux.mount("tmpfs", environment, "tmpfs", _TMPFS, _COVER_SIZE)
    os.mkdir(environment + "/bin")
    os.symlink(os.readlink("bin/python"), environment + "/bin/python")
    if os.path.exists("pyvenv.cfg"):
        _copy("pyvenv.cfg", environment + "/pyvenv.cfg")
    hidden: list[str] = []
    if packages is not None:
        source = os.path.relpath(packages, "/env")
        os.makedirs(SERVER_ROOT + packages)
        installed = os.listdir(source)
        # Metadata of the others too: it is no code, and what a package finds out about it would be remembered.
        seen = {*preloadable, *(name for name in installed if name.endswith(".dist-info"))}
        for name in seen:
            _bind_entry(f"{source}/{name}", f"{SERVER_ROOT}{packages}/{name}")
        hidden = sorted(set(installed) - {name.partition("/")[0] for name in seen})
    os.chdir("/")
    linux.mount("none", environment, None, linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | _TMPFS)
    return hidden


def cover_own_folder() -> None:
    """Give the calling process, a server, an empty /.codewords with the authorities in it. Programs keep theirs."""
    folder = SERVER_ROOT + os.path.dirname(BOOT)
    name = os.path.basename(AUTHORITIES)
    os.chdir(folder)
    linux.mount("tmpfs", folder, "tmpfs", _TMPFS, "size=1m,nr_inodes=64,mode=755")
    if os.path.exists(name):
        _bind_entry(name, f"{folder}/{name}")
    os.chdir("/")


def _bind_entry(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.mkdir(target)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(target, "")
    linux.bind(source, target, _READONLY)


def open_groups() -> int:
    """The folder of the cgroups that the server's forks begin in; an empty one where they move there. Raises OSError."""
    # From here no path leads to the host's files, as it would from a folder that the runtime had opened.
    return os.open(_SERVER_GROUPS, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def enter_prepared(name: str, *, high_pids: bool) -> int:
    """In a fork of the supervisor: a root like the server's, with a /proc, /app, /tmp and /dev/shm of its own.

    `high_pids`: see `skip_pids`. Returns what `enter` returns.
    """
    own = f"{SERVER_SANDBOXES}/{name}"
    _mount_proc(SERVER_ROOT)
    if high_pids:
        skip_pids()
    counters = _open_counters(SERVER_ROOT)
    restrict_proc(SERVER_ROOT)
    bind_own(SERVER_ROOT, own + "/app", own + "/tmp")
    mount_shared_memory(SERVER_ROOT)
    _pivot_to(SERVER_ROOT)

    return counters


def skip_pids() -> None:
    """Let the next process of this pid namespace have a number that no program will have in its own.

    OpenSSL 3 and others reseed their random numbers after a fork only where getpid() gives another number than before.
    Takes the server's root, with a /proc that is not restricted yet. Raises FileNotFoundError on a kernel without
    CONFIG_CHECKPOINT_RESTORE.
    """
    number = high_pid()
    with open(f"{_SERVER_SETTINGS}/ns_last_pid", "w", encoding="utf-8") as file:
        file.write(str(number - 1))


def high_pid() -> int:
    """A process number that no program has in its own pid namespace, where it counts from 1."""
    with open(f"{_SERVER_SETTINGS}/pid_max", encoding="utf-8") as file:
        return int(file.read()) - _PIDS_BELOW_MAX + 1


def _pivot_to(root: str) -> None:
    """Make a mount the root and detach the old one, which for a moment lies on top of it (pivot_root(2))."""
    os.chdir(root)
    linux.pivot_root(".", ".")
    linux.unmount(".")
    os.chdir("/")


def bind_own(root: str, app: str, tmp: str) -> None:
    """Mount the folders that belong to one run alone."""
    linux.bind(app, root + "/app")
    linux.bind(tmp, root + "/tmp")
    linux.bind(tmp, root + "/var/tmp")


def _mount_proc(root: str) -> None:
    """This process's pid namespace at /proc of a root."""
    linux.mount("proc", root + "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)


def _open_counters(root: str) -> int:
    return os.open(root + "/proc/sys/user", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def mount_shared_memory(root: str) -> None:
    """A /dev/shm of one's own, of 64 MiB."""
    # noexec: memory shared between processes needs no code, and a file here would escape the disk's
    # limit.
    flags = _TMPFS | linux.MS_NOEXEC
    linux.mount("tmpfs", root + "/dev/shm", "tmpfs", flags, "size=64m,nr_inodes=16384,mode=1777")


def _bind_folder(source: str, target: str) -> None:
    os.mkdir(target)
    linux.bind(source, target, _READONLY)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _copy(source: str, target: str) -> None:
    with open(source, encoding="utf-8") as file:
        _write(target, file.read())


def _make_etc(root: str) -> None:
    os.mkdir(root + "/etc")
    for name, text in _ETC_FILES.items():
        _write(f"{root}/etc/{name}", text)
    for path in _ETC_BINDS:
        if not os.path.exists(path):
            continue

        target = root + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(path):
            _bind_folder(path, target)
        else:
            # A bind needs a target of the same kind: an empty file for a file.
            _write(target, "")
            linux.bind(path, target, _READONLY)


def _cover_bundles(root: str, bundle: str) -> None:
    """Mount a list of authorities where programs look for one."""
    _write(root + AUTHORITIES, "")
    linux.bind(bundle, root + AUTHORITIES, _READONLY)
    libraries = f"{root}/env/lib"
    versions = os.listdir(libraries) if os.path.isdir(libraries) else []
    packaged = [_PACKAGES.format(version, name) for version in versions for name in _PACKAGED_BUNDLES]
    for name in (*SYSTEM_BUNDLES, *packaged):
        target = f"{root}/{name}"
        # A link may lead out of the root.
        if os.path.isfile(target) and os.path.realpath(target) == target:
            linux.bind(bundle, target, _READONLY)


def _make_dev(root: str) -> None:
    os.mkdir(root + "/dev")
    for name in _DEVICES:
        target = f"{root}/dev/{name}"
        _write(target, "")
        # Bound and not made: in a user namespace mknod(2) makes no devices.
        linux.bind("/dev/" + name, target, _NODE_FLAGS)
    for name, destination in _DEVICE_LINKS.items():
        os.symlink(destination, f"{root}/dev/{name}")
    os.mkdir(root + "/dev/shm")
    mount_shared_memory(root)


def restrict_proc(root: str) -> None:
    """As container engines do: kernel settings read-only, kernel internals out of sight. Absent entries are fine."""
    proc = root + "/proc"
    present = set(os.listdir(proc))
    for name in present.intersection(_PROC_READONLY):
        # Bound over itself: read-only is a property of a mount, not of a folder.
        linux.bind(f"{proc}/{name}", f"{proc}/{name}", _READONLY | linux.MS_NOEXEC)

    for name in present.intersection(_PROC_MASKED):
        # Files are hidden by /dev/null, which may be read; folders below by an empty tmpfs.
        linux.mount(root + "/dev/null", f"{proc}/{name}", None, linux.MS_BIND)

    for name in present.intersection(_PROC_EMPTIED):
        linux.mount(
            "tmpfs", f"{proc}/{name}", "tmpfs", linux.MS_RDONLY | _TMPFS, "size=4k,nr_inodes=2,mode=555"
        )
