"""A fork of the fork server: enters its prepared isolation, locks itself in, and is a program once it is claimed.

It is not a new interpreter: it starts from the server's, made to look new.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

from . import boot, channel, identity, image, init, mapped, prepared, program_code, rootfs, snapshot, warm

MAIN: Final = "/app/main.py"
# The handlers that Python itself sets when it starts: the server may have changed them.
_PROGRAM_SIGNALS: Final = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGPIPE: signal.SIG_IGN,
    signal.SIGXFSZ: signal.SIG_IGN,
}


class ForkTemplate(NamedTuple):
    """State that the server made once for all forks. `filters`: by whether a cgroup holds their memory; `contexts`: of TLS, which
    packages made at import; `hooked`: the environment has code for Python's start (.pth files); `modules`: names of this
    package's; `server`: the server's memory, which all forks have at the same addresses.
    """

    hook: boot.UvicornHook
    packages: str
    filters: dict[bool, bytes]
    contexts: list[ssl.SSLContext]
    hooked: bool
    modules: tuple[str, ...]
    server: list[mapped.MappedArea]


class Claim(NamedTuple):
    """The runtime's description of the program to become. `authority`: to trust beside the server's, in PEM, or "";
    `compiled`: its code (`program_code`), or b""; `code_file`: the descriptor of a file for it, or None; `image`: the same
    for a snapshot; `restores`: what is in it, None where it is to be taken.
    """

    port: int
    variables: dict[str, str]
    authority: str
    compiled: bytes
    code_file: int | None
    image: int | None
    restores: Restored | None


class Restored(NamedTuple):
    """A snapshot to go on from: `files` that are mapped in it, and what its script `wrote` at import, by descriptor."""

    files: list[str]
    wrote: list[tuple[int, str]]


def start(
    template: ForkTemplate,
    message: dict[str, Any],
    entry: prepared.EntryDescriptors,
    inside: socket.socket,
    *,
    entered: bool,
) -> Callable[[], None]:
    """In the new process: isolate it. Returns what it has to run. `inside`: the channel to the prepared isolation's process 1;
    `entered`: it is in its control groups.
    """
    files = entry.files
    # Output goes to the program's pipes from here on: an error below belongs to this run.
    for number, fd in ((1, files["stdout"]), (2, files["stderr"])):
        os.dup2(fd, number)
        os.close(fd)

    try:
        prepared.enter(entry, entered=entered)
        _reseed()
        identity.lock_down(template.filters[message["exact_memory"]])
    except BaseException as error:  # noqa: BLE001
        # Whatever it is: nothing may return into the server's code, which forks for others.
        if isinstance(error, OSError):
            number = error.errno
        else:
            number = None

        with contextlib.suppress(OSError):
            channel.send(inside, {"error": str(error), "errno": number, "step": "isolation"})
        os._exit(1)

    # From here on process 1 may look at it, while it goes on.
    channel.send(inside, {"standing": True})
    fds = [files["listener"], inside.detach()]
    return functools.partial(_program, template, fds, early=message["early"], proxies=not entry.catches_all)


def _program(template: ForkTemplate, fds: list[int], *, early: bool, proxies: bool) -> None:
    """Be the program: at the bottom of the stack, so that it ends as Python ends. Raises SystemExit."""
    init.settle()
    for number, handler in _PROGRAM_SIGNALS.items():
        signal.signal(number, handler)
    _move_fds(fds)
    # An early fork is a warm sandbox: it rehearses while no caller waits for it.
    if early:
        warm.serving(template.hook, loop="auto")
        os.write(init.BOOT_FD, b'{"waiting": true}')

    # Held until the process ends: to free the modules would cost a millisecond.
    _unloaded = _reset_modules(template)
    boot_channel = socket.socket(fileno=init.BOOT_FD)
    claim = _claim(boot_channel, proxies=proxies)
    code = program_code.load(claim.compiled)
    # Before code of the environment's own runs (.pth files), and under the program's limits.
    if claim.code_file is not None:
        code = program_code.compile_script(MAIN)
        program_code.send(boot_channel, code, claim.code_file)
    # It stays open for `boot`.
    boot_channel.detach()

    if claim.image is not None and claim.restores is not None:
        _restore(claim, claim.image, claim.restores)
    template.hook.serve(init.LISTENER_FD, init.BOOT_FD, claim.port)
    _set_variables(template, claim)
    if claim.image is not None and claim.restores is None:
        template.hook.starting = snapshot.Taking(claim.image, template.server, _resume)
    boot.run(MAIN, template.hook, code)


def _restore(claim: Claim, fd: int, restored: Restored) -> None:
    """Go on from a snapshot. Returns only where that could not begin; the script then starts as without."""
    # As `boot` does: a process that the program starts could keep them open.
    for number in (init.LISTENER_FD, init.BOOT_FD):
        os.set_inheritable(number, False)
    # Process 1 then polls the port rarely: uvicorn reports by itself when it serves.
    os.write(init.BOOT_FD, b'{"imported": true}')
    for number, text in restored.wrote:
        os.write(number, text.encode(errors="surrogateescape"))
    with contextlib.suppress(OSError):
        image.enter(fd, restored.files, json.dumps({"variables": claim.variables}).encode())
    os.closerange(image.IMAGE_FD, 1 << 16)


def _resume(variables: dict[str, str]) -> None:
    """Give a run that goes on from a snapshot random numbers and variables of its own."""
    _reseed()
    _replace_variables(variables)


def _replace_variables(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)

    if "TZ" in variables:
        import time

        time.tzset()


def _move_fds(fds: list[int]) -> None:
    """The listener at 3, the channel to process 1 at 4; nothing else stays open."""
    # Moved out of the way first: a source number may be a target of another.
    high = [init.above(fd, init.BOOT_FD) for fd in fds]
    for number, fd in zip((init.LISTENER_FD, init.BOOT_FD), high, strict=True):
        os.dup2(fd, number)
    os.closerange(init.BOOT_FD + 1, 1024)


def _claim(process_1: socket.socket, *, proxies: bool) -> Claim:
    """Wait until process 1 passes on what to run; ends the process where it has ended instead."""
    data, files, _, _ = socket.recv_fds(process_1, channel.MAX_MESSAGE, 3)
    # No claim: the runtime has ended or discarded this sandbox.
    if not data:
        os._exit(0)
    if data == channel.IN_FILE:
        file = files.pop(0)
        data = os.pread(file, os.fstat(file).st_size, 0)
        os.close(file)
    description, _, compiled = data.partition(b"\n")
    claim: dict[str, Any] = json.loads(description)

    variables = cast("dict[str, str]", claim["variables"])
    if proxies:
        variables = init.proxy_variables() | variables
    code_file = files.pop() if claim["send_code"] else None
    restores = claim["restores"]
    # These variables only this sandbox has: its snapshot has not seen them.
    if proxies and restores:
        os.close(files.pop())
    return Claim(
        claim["port"],
        variables,
        claim["authority"],
        compiled,
        code_file,
        files[0] if files else None,
        Restored(restores["files"], restores["wrote"]) if restores else None,
    )


def own_modules() -> tuple[str, ...]:
    """Names of this package's modules; asked for in the server, since going through all modules touches all of them."""
    own = __package__ or ""
    return tuple(name for name in sys.modules if name == own or name.startswith(own + "."))


def _reset_modules(template: ForkTemplate) -> list[object]:
    """Reset this interpreter to a newly started one. Returns the modules that the program must not see."""
    unloaded: list[object] = [sys.modules.pop(name, None) for name in template.modules]
    # A program that restarts itself by orig_argv gets the same command as with exec.
    sys.orig_argv[:] = ["/env/bin/python", rootfs.BOOT, MAIN]
    sys.path[0] = os.path.dirname(MAIN)
    # The server saw another folder there.
    finder: Any = sys.path_importer_cache.get(template.packages)
    if finder is not None:
        finder.invalidate_caches()
    return unloaded


def _set_variables(template: ForkTemplate, claim: Claim) -> None:
    """Set the program's variables, and do what Python does by them when it starts."""
    _replace_variables(claim.variables)

    if claim.authority:
        # They read the server's list of authorities when they were made, not the one that the variables name.
        for context in template.contexts:
            context.load_verify_locations(cadata=claim.authority)

    if template.hooked:
        import site

        # .pth files were not run in the server: their code must not be shared between workflows.
        site.addsitedir(template.packages)
        with contextlib.suppress(ImportError):
            import sitecustomize  # noqa: F401  # pyright: ignore[reportMissingImports, reportMissingTypeStubs, reportUnusedImport]

    template.hook.forget()


def _reseed() -> None:
    """Replace random numbers that the fork would share with its server."""
    # `random` reseeds itself after a fork. OpenSSL does by the process number (`rootfs.skip_pids`)
    # when it is first asked for a number; to make it do so here would cost 1.5 ms.
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.current_process().authkey = os.urandom(32)
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
