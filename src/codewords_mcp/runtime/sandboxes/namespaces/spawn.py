"""Makes the host's part of a sandbox: folders, socket, code, and the launcher's process. Blocks."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from codewords_mcp.runtime.sandboxes import authorities
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Limits, SandboxSpec
from codewords_mcp.runtime.sandboxes.host import cgroups, descriptors, paths
from codewords_mcp.runtime.sandboxes.host.process_channel import SpawnedLauncher
from codewords_mcp.runtime.sandboxes.namespaces import preloadable
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel, rootfs

_HERE = Path(__file__).parent
_LAUNCH = str(_HERE / "launch.py")
BOOT = str(_HERE / "inside" / "boot.py")
_BACKLOG = 4096
MAIN = "/app/main.py"
# Packages of any name can be plugins of pydantic, which imports them for its first model.
_WITHOUT_PLUGINS = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}


def variables(spec: SandboxSpec, *, own_bundle: bool) -> dict[str, str]:
    """The program's whole environment; values of the workflow replace our defaults, but not PORT.

    `own_bundle`: the authorities that it is to trust are in its own folder, else in its root.
    """
    if own_bundle:
        bundle = f"/app/{authorities.FILE}"
    else:
        bundle = rootfs.AUTHORITIES
    trust = authorities.variables(spec.authority, bundle)
    return defaults(spec.environment.base_prefix) | dict(spec.env) | trust | {"PORT": str(spec.port)}


@functools.lru_cache(maxsize=64)
def _library_path(python: Path) -> str | None:
    """The folder, inside, of an installation's shared library, if it has one."""
    if _python_source(python) is None or not any((python / "lib").glob("libpython*.so*")):
        return None
    return "/python/lib"


def defaults(python: Path) -> dict[str, str]:
    """Variables that every program's environment begins with; `python` is the installation that it runs on."""
    own = {
        "PATH": "/env/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/app",
        "TMPDIR": "/tmp",  # noqa: S108
        "LANG": "C.UTF-8",
        # Any address: connections come by a Unix socket, which has none.
        "FORWARDED_ALLOW_IPS": "*",
        "PYTHONUNBUFFERED": "1",
        # A program has its environment read-only; elsewhere bytecode would only fill its disk limit.
        "PYTHONDONTWRITEBYTECODE": "1",
        # The same order of sets in each run, and in the forks of one server.
        "PYTHONHASHSEED": "0",
    }
    if library_path := _library_path(python):
        own["LD_LIBRARY_PATH"] = library_path
    return own


def launch(
    spec: SandboxSpec,
    folders: paths.Folders,
    uid: int | None,
    *,
    group: cgroups.Group | None,
    outputs: tuple[int, int],
) -> SpawnedLauncher:
    """Write the code, bind the socket and start the launcher. Closes `outputs`. Raises OSError."""
    try:
        folders.make(uid)
        write_script(create_script(folders, uid), spec)
        if spec.authority:
            write_bundle(folders.top, spec.authority)
        own_outputs(outputs, uid)

        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(open_listener(folders))
            ours, theirs = channel.pair()
            stack.enter_context(theirs)
            description = _describe(spec, folders, uid, group)
            # A file without a name: other users can read the arguments of a process.
            memory = memory_file(json.dumps(description).encode())
            stack.callback(os.close, memory)
            groups = stack.enter_context(cgroups.entrances(group))
            process = _start((theirs.fileno(), memory, listener.fileno(), *groups), outputs)

        ours.setblocking(False)
        return SpawnedLauncher(process, os.pidfd_open(process.pid), ours)
    finally:
        for fd in outputs:
            os.close(fd)


def launch_server(description: dict[str, Any], outputs: tuple[int, int]) -> SpawnedLauncher:
    """Start a fork server's launcher. Closes `outputs`. Raises OSError."""
    try:
        ours, theirs = channel.pair()
        with theirs:
            memory = memory_file(json.dumps(description).encode())
            try:
                process = _start((theirs.fileno(), memory), outputs)
            finally:
                os.close(memory)

        ours.setblocking(False)
        return SpawnedLauncher(process, os.pidfd_open(process.pid), ours)
    finally:
        for fd in outputs:
            os.close(fd)


def describe_server(
    environment: EnvironmentRef,
    top: Path,
    sandboxes: Path,
    first_id: int | None,
    ids: int,
    authorities_file: str | None,
    group: cgroups.Group | None,
) -> dict[str, Any]:
    """The specification for a fork server's launcher. `top` has its root's mount point, `sandboxes` its forks' folders;
    `authorities_file` is what `write_bundle` wrote; its sandboxes' groups are beside its own `group`.
    """
    root = str(top / "root")
    packages = Path("lib") / f"python{environment.python_version}" / "site-packages"
    sources = rootfs.Sources(
        root=root + rootfs.SERVER_ROOT,
        app=None,
        tmp=None,
        environment=str(environment.path),
        python=_python_source(environment.base_prefix),
        boot=BOOT,
        authorities=authorities_file,
    )

    return {
        "parent": os.getpid(),
        "first_id": first_id,
        "ids": ids,
        "root": root,
        "sources": sources._asdict(),
        "sandboxes": str(sandboxes),
        "groups": str(group.folder.parent) if group is not None and group.folder is not None else None,
        "packages": f"/env/{packages}" if (environment.path / packages).is_dir() else None,
        "preloadable": preloadable.load(environment, environment.path / packages),
        "variables": defaults(environment.base_prefix)
        | _WITHOUT_PLUGINS
        | _trust_at_import(authorities_file),
    }


def _trust_at_import(authorities_file: str | None) -> dict[str, str]:
    """The list of authorities for TLS contexts that packages make at import."""
    # Not every machine has a list at OpenSSL's own path, where the bundle would cover it.
    if authorities_file is None:
        return {}
    return {"SSL_CERT_FILE": rootfs.AUTHORITIES}


def own_outputs(outputs: tuple[int, int], uid: int | None) -> None:
    """Make the pipes the program's own, so that it can open /dev/stdout by name. Raises OSError."""
    # /dev/stdout opens the pipe anew, which takes permission on it.
    for fd in outputs:
        os.fchown(fd, uid if uid is not None else -1, -1)


def _start(fds: tuple[int, ...], outputs: tuple[int, int]) -> subprocess.Popen[bytes]:
    library_path = os.environ.get("LD_LIBRARY_PATH")
    return subprocess.Popen(
        # -I and -S: no user site, no variables, no .pth files: nothing of the user runs in the
        # launcher.
        [sys.executable, "-I", "-S", _LAUNCH, *map(str, fds)],
        stdin=subprocess.DEVNULL,
        stdout=outputs[0],
        stderr=outputs[1],
        pass_fds=fds,
        cwd="/",
        # The runtime's environment holds keys. Python may need this one to find its own library.
        env={"LD_LIBRARY_PATH": library_path} if library_path else {},
        # Signals of the runtime's terminal (Ctrl-C) end the runtime, which then ends its sandboxes.
        start_new_session=True,
    )


def open_listener(folders: paths.Folders) -> socket.socket:
    """The sandbox's listening socket. Raises OSError."""
    # Bound by way of a file descriptor: the program can ask for the socket's name, which would be a
    # path of the host.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    top = os.open(folders.top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    try:
        listener.bind(f"/proc/self/fd/{top}/sock")
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(top)

    return listener


def create_script(folders: paths.Folders, uid: int | None) -> int:
    """Make /app/main.py, still empty; its descriptor. Raises OSError."""
    return _create(folders.app / "main.py", uid)


def write_script(fd: int, spec: SandboxSpec) -> None:
    """Fill /app/main.py, and close it. Raises OSError."""
    try:
        _write_all(fd, spec.code.encode())
    finally:
        os.close(fd)


def write_own_bundle(folders: paths.Folders, authority: str, uid: int | None) -> None:
    """Make the file of the authorities that one program is to trust, in its own folder. Raises OSError."""
    _write(folders.app / authorities.FILE, authorities.bundle(authority), uid)


def write_bundle(top: Path, authority: str) -> str:
    """Make the file that is mounted in a root; its path. Raises OSError."""
    path = top / authorities.FILE
    _write(path, authorities.bundle(authority), None)
    return str(path)


def _write(path: Path, content: bytes, uid: int | None) -> None:
    fd = _create(path, uid)
    try:
        _write_all(fd, content)
    finally:
        os.close(fd)


def _create(path: Path, uid: int | None) -> int:
    # O_EXCL and O_NOFOLLOW: a program that got there first must not choose where this is written.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o644)
        if uid is not None:
            os.fchown(fd, uid, uid)
    except OSError:
        os.close(fd)
        raise
    return fd


def memory_file(data: bytes) -> int:
    """A file that has no name anywhere, at its beginning. Raises OSError."""
    fd = os.memfd_create("spec", os.MFD_CLOEXEC)
    _write_all(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _write_all(fd: int, data: bytes) -> None:
    # One write call may take less than all.
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _describe(
    spec: SandboxSpec, folders: paths.Folders, uid: int | None, group: cgroups.Group | None
) -> dict[str, Any]:
    sources = rootfs.Sources(
        root=str(folders.root),
        app=str(folders.app),
        tmp=str(folders.tmp),
        environment=str(spec.environment.path),
        python=_python_source(spec.environment.base_prefix),
        boot=BOOT,
        folders=tuple(map(str, spec.folders)),
        authorities=str(folders.top / authorities.FILE) if spec.authority else None,
    )
    return {
        "parent": os.getpid(),
        "uid": uid,
        "group": str(group.folder) if group is not None and group.folder is not None else None,
        "root": str(folders.root),
        "sources": sources._asdict(),
        "network": spec.network,
        "port": spec.port,
        "argv": ["/env/bin/python", rootfs.BOOT, MAIN],
        "variables": variables(spec, own_bundle=False),
        "limits": describe_limits(spec.limits, exact_memory=group is not None),
    }


def describe_limits(limits: Limits, *, exact_memory: bool) -> dict[str, int | bool | None]:
    """The resource limits of a program's process; memory only where no cgroup holds it."""
    return {
        "files": descriptors.of_program(limits.files),
        "disk": limits.disk,
        "processes": limits.processes,
        "memory": None if exact_memory else limits.memory,
        "address_space": limits.address_space,
    }


def _python_source(base_prefix: Path) -> str | None:
    """The installation to show at /python; None where it is /usr, which is there anyway."""
    if base_prefix == Path("/usr"):
        return None
    return str(base_prefix)
