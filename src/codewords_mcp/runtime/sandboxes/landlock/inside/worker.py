"""A worker of the runtime that runs hostile input, confined: its own files, and no process, network or privilege.

The script is loaded first, since nothing can be imported afterwards. Its `main` is called then.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import importlib.util
import json
import os
import resource
import sys

from ...namespaces.inside import linux
from . import ruleset

_NEEDED = 4
"""Landlock's version that knows TCP, as `ruleset` describes its rules."""
_OWN = (
    ruleset.READ_FILE | ruleset.READ_DIR | ruleset.WRITE_FILE | ruleset.REMOVE_FILE | ruleset.MAKE_REG | ruleset.TRUNCATE
)  # fmt: skip
_SYSTEM = ("/dev/urandom", "/etc/localtime", "/usr/share/zoneinfo")
"""SQLite asks for random numbers and the time zone."""
_FILES = 64


def main() -> None:
    """Confine this process and run the script. Arguments: `confinement.confined_command`."""
    script, described, program = sys.argv[1:]
    spec = importlib.util.spec_from_file_location("confined", script)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018  # a file by its path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if program:
        _confine(json.loads(described), base64.b64decode(program))
    module.main()


def _confine(paths: dict[str, list[str]], program: bytes) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    # Of a mounted volume root is not the owner: it reads and writes there by a capability.
    if all(_is_owner(path) for path in paths["read"] + paths["own"]):
        linux.clear_capabilities()
    linux.prctl(linux.PR_SET_DUMPABLE, 0)

    version = ruleset.abi()
    if version >= _NEEDED:
        rules = [(path, ruleset.READ_FILE | ruleset.READ_DIR) for path in (*paths["read"], *_SYSTEM)]
        ruleset.restrict([*rules, *((path, _OWN) for path in paths["own"])], [], version)
    try:
        linux.load_seccomp(program)
    except OSError as error:
        # A kernel without filters.
        if error.errno not in {errno.EINVAL, errno.ENOSYS}:
            raise


def _is_owner(path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path).st_uid == os.geteuid()
    return True
