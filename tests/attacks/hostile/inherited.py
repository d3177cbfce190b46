"""Started after a program that changed all that it could reach."""

from __future__ import annotations

import builtins
import glob
import json
import os
import random
import signal
import socket
import sys
import threading

from tests.attacks.hostile.attempts import APP, TMP, Group, gives, in_memory, read, refused, shows

group = Group("inherited", "What later sandboxes inherit")
_LATER = "What one run changes, the next one of anybody would run on."


@group.attempt("modules", "Look for changes to modules of the standard library", _LATER, gives([], "none"))
def _() -> object:
    return [module.__name__ for module in (json, os, builtins, random) if hasattr(module, "poisoned")]


@group.attempt(
    "files",
    "Look for files that were planted anywhere on the module path, in /tmp, /app and /dev/shm",
    _LATER,
    gives([], "none"),
)
def _() -> object:
    folders = [path for path in sys.path if os.path.isdir(path)]
    folders += [
        TMP,
        APP,
        "/tmp",
        "/dev/shm",
        "/var/tmp",
        "/env",
        "/env/bin",
        "/python",
        "/etc",
        "/.codewords",
        "/run",
        "/",
        "/usr/local/lib",
    ]
    return [path for folder in folders for path in glob.glob(f"{folder}/**poisoned*")]


@group.attempt(
    "start-files",
    "Look for sitecustomize, usercustomize and ld.so.preload",
    "Python and the linker run them before any program.",
    gives([], "none"),
)
def _() -> object:
    found = [
        name for name in ("sitecustomize", "usercustomize") if hasattr(sys.modules.get(name), "poisoned")
    ]
    home = os.path.expanduser("~/.local")
    return found + [path for path in ("/etc/ld.so.preload", home) if os.path.exists(path)]


@group.attempt(
    "memory",
    "Search its own memory for what the other had in its variables",
    "What both are forked from must never have seen it.",
    gives([], "it is not there"),
)
def _() -> object:
    return in_memory(rb"pois[o]n-[0-9a-f]{32}")  # does not match itself


@group.attempt("variables", "Look for variables that the other set", _LATER, gives([], "none"))
def _() -> object:
    return sorted(name for name in os.environ if name == "POISONED" or name.startswith("ENV_"))


@group.attempt(
    "random",
    "Draw the numbers that follow from the other's seed",
    "Whoever sets the seed knows the tokens.",
    shows("others", lambda same: same is False),
)
def _() -> object:
    drawn = random.random()
    return drawn == random.Random(1).random()


@group.attempt(
    "process-state",
    "Look at umask, priority, working folder and signal handlers",
    _LATER,
    gives([0o022, 0, True, True], "as for every program"),
)
def _() -> object:
    mask = os.umask(0o022)
    return [
        mask,
        os.nice(0),
        os.getcwd() == APP,
        signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    ]


@group.attempt(
    "leftovers",
    "Reach the child that the other left",
    "A daemon would serve in the next one's name.",
    refused("ECONNREFUSED"),
)
def _() -> object:
    with socket.create_connection(("127.0.0.1", 7777), timeout=2):
        return "it answers"


@group.attempt(
    "abstract", "Reach the abstract socket that the other left", "The same.", refused("ECONNREFUSED")
)
def _() -> object:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect("\0poisoned")


@group.attempt("shared-memory", "Find SysV memory of the other", "It outlives processes.", gives([], "none"))
def _() -> object:
    return read("/proc/sysvipc/shm", 65536).splitlines()[1:]


@group.attempt(
    "threads",
    "Count threads and children",
    "What runs in a fork server runs in every fork.",
    gives([1, 1], "itself alone"),
)
def _() -> object:
    return [threading.active_count(), len(os.listdir("/proc/self/task"))]


if __name__ == "__main__":
    group.run()
