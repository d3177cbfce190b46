"""Reasons for this machine's isolation level, and the fixes for a person: every sentence of it that `doctor` and a
tool's reply say. docs/guides/isolation.md is the page about it.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import codewords_mcp
from codewords_mcp.runtime.sandboxes.base import Tier

FILTER_PATH: Final = Path(codewords_mcp.__file__).parent / "container" / "seccomp.json"
"""The filter of system calls for a container whose runtime makes sandboxes of namespaces."""

ELSEWHERE: Final = (
    "{use} a Linux virtual machine, E2B (CODEWORDS_SANDBOX=e2b) or a remote runtime (CODEWORDS_RUNTIME_URL); "
    "for development only, CODEWORDS_SANDBOX=process runs workflows without isolation."
)
TRIED: Final = "The self-test tried {count} forbidden acts, and all were refused."

C_HOLDS: Final = (
    "A run can read the Python installation, its environment, system libraries and certificates, write its own two folders, and "
    "reach no other process; Landlock, a system call filter and a supervisor hold it."
)
C_NETWORK: Final = (
    "Its only way out are TCP connections to the runtime and to its proxy; clients that ignore HTTP_PROXY and HTTPS_PROXY reach "
    "nothing."
)
C_NETWORK_BY_PORT: Final = (
    "Its only way out are the port numbers of the runtime and of its proxy, on whatever address: this kernel or container does "
    "not let the supervisor make connections for it (pidfd_getfd), so a listed-hosts policy can be evaded."
)
C_EXACT: Final = "Memory and processes are limited by a cgroup."
C_BEST_EFFORT: Final = (
    "Memory is limited by resource limits and a watchdog, best effort, since no cgroup can be created here."
)
C_WEAKER: Final = (
    "Weaker than with namespaces: a run sees that files exist, their sizes and times, that processes exist, the host's name and "
    "the paths of its own folders; /tmp and /dev/shm are not its own (TMPDIR is), so multiprocessing locks are missing; Unix "
    "sockets, UDP, chmod and inotify do nothing for it."
)
C_SIGNALS: Final = (
    "Landlock version {version} (before Linux 6.12) does not hold back signals: the supervisor judges each of them instead."
)  # fmt: skip
C_ROOT: Final = "The runtime is root, so runs are root without capabilities; an ordinary user would be safer."

NO_LANDLOCK: Final = (
    "The kernel has no Landlock, or it is not among its security modules (the boot option lsm=)."
)
OLD_LANDLOCK: Final = (
    "The kernel's Landlock is version {version}; version 4 (Linux 6.7) is needed, which knows TCP."
)
UNKNOWN_MACHINE: Final = "{machine} machines are not supported yet."

APPARMOR: Final = (
    "AppArmor forbids user namespaces to ordinary programs (the default of Ubuntu 23.10 and later)."
)
CLONE_OFF: Final = "The kernel forbids user namespaces to ordinary users."
NONE_LEFT: Final = "The kernel allows no user namespaces."
CONTAINER: Final = "The runtime is in a container, which by default may not make namespaces."
_PROFILE_OPTIONS: Final = (
    f"--security-opt seccomp=seccomp.json, a filter that lets namespaces be made ({FILTER_PATH} here)"
)
CONTAINER_FIX: Final = (
    f"Start the container without capabilities, but with {_PROFILE_OPTIONS}, --security-opt systempaths=unconfined (Podman: "
    "unmask=ALL) and --security-opt apparmor=unconfined."
)
FILTERED: Final = (
    "A filter of system calls, as containers and some services have, forbids namespaces to the runtime."
)
FILTERED_FIX: Final = (
    f"In a container: start it with {_PROFILE_OPTIONS}. In a systemd service: remove the lines RestrictNamespaces= and "
    "SystemCallFilter=."
)
WSL1: Final = "This is WSL 1, which has no Linux kernel and so no isolation."
WSL1_FIX: Final = "In a Windows terminal: wsl --set-version <distribution> 2 (wsl --list names it)."
WINDOWS: Final = "Windows has no isolation that a workflow could run in; inside WSL2 there is."
WINDOWS_FIX: Final = (
    "In a Windows terminal, once: wsl --install -d Debian. Then install codewords-mcp in Linux and let the chat host start "
    "wsl.exe --exec <path>/codewords-mcp."
)
WSL_HOME: Final = (
    "The home is on a Windows drive, where environments are slow and sockets and file modes do not work."
)
WSL_HOME_FIX: Final = "Set CODEWORDS_HOME to a folder of Linux's own, not below /mnt."
MACOS: Final = "macOS has no local isolation: the sandboxes of this machine's own need Linux."
OTHER_SYSTEM: Final = "Sandboxes need Linux; this is {system}."

DELEGATE: Final = "For exact limits start the runtime under systemd-run --user --scope -p Delegate=yes"
DELEGATE_CONTROLLERS: Final = (
    "For exact limits let systemd give its users the memory and pids controllers: sudo systemctl edit user@.service, with the "
    "lines [Service] and Delegate=cpu memory pids; log in again and start the runtime under "
    "systemd-run --user --scope -p Delegate=yes"
)
NO_SYSTEMD: Final = (
    "For exact limits run the runtime where it may make cgroups: under systemd with Delegate=yes, or as root."
)
WSL_SYSTEMD: Final = (
    "For exact limits turn systemd on in WSL2: the lines [boot] and systemd=true in /etc/wsl.conf, then wsl --shutdown in a "
    "Windows terminal, then start the runtime under systemd-run --user --scope -p Delegate=yes"
)
CONTAINER_LIMITS: Final = (
    "For exact limits give the container a cgroup of its own that it may write: --cgroupns=private, with /sys/fs/cgroup "
    "mounted writable."
)

_CONTAINER_FILES: Final = (
    ".dockerenv", "run/.containerenv", "run/systemd/container", "run/secrets/kubernetes.io", "var/run/secrets/kubernetes.io",
)  # fmt: skip
_ALLOW: Final = "Allow them: echo {} | sudo tee /etc/sysctl.d/60-codewords.conf && sudo sysctl --system"
_PROFILE_PATH: Final = "/etc/apparmor.d/codewords-mcp"
_PROFILE: Final = """abi <abi/4.0>,
include <tunables/global>
profile codewords-mcp "{python}" flags=(unconfined) {{
  userns,
  include if exists <local/codewords-mcp>
}}"""


def _user_id() -> int:
    # Windows has no user ids; doctor reports there too.
    return os.geteuid() if hasattr(os, "geteuid") else -1


def _python_path() -> str:
    # AppArmor matches the file itself, not a link to it.
    return os.path.realpath(sys.executable)


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Reads the facts about a machine. `root` is the file system's root, so that a test can describe another machine."""

    root: Path = Path("/")
    system: str = sys.platform
    architecture: str = field(default_factory=platform.machine)
    user: int = field(default_factory=_user_id)
    python: str = field(default_factory=_python_path)

    def setting(self, name: str) -> str:
        """A file below /proc/sys; empty where it is not."""
        return self.text(f"proc/sys/{name}")

    def text(self, path: str) -> str:
        """A small file; empty where it is not."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return (self.root / path).exists()

    @property
    def in_container(self) -> bool:
        """Whether this is a container: Docker, Podman, Kubernetes, LXC, systemd-nspawn."""
        # With cgroup v1, and without namespaces for it, the path tells; files tell of the others.
        if any(map(self.has, _CONTAINER_FILES)):
            return True
        return any(name in self.text("proc/1/cgroup") for name in ("/docker", "/kubepods", "/lxc", "/libpod"))

    @property
    def filtered(self) -> bool:
        """Whether whoever started this process filters its system calls."""
        return "\nSeccomp:\t2" in self.text("proc/self/status")

    @property
    def wsl(self) -> int:
        """1 or 2 inside the Windows Subsystem for Linux, else 0."""
        release = self.setting("kernel/osrelease")
        if "microsoft" not in release.lower():
            return 0
        # WSL 1 reports kernel 4.4; WSL 2 has a kernel of its own, 4.19 or later.
        if release.startswith("4.4."):
            return 1
        return 2


def none(reason: str, machine: MachineFacts | None = None) -> Tier:
    """Tier D, with the likely cause and its fix."""
    cause, fix = blocked(machine)
    # The reason may be the cause itself: said once.
    facts = tuple(dict.fromkeys(fact for fact in (reason, cause) if fact))
    return Tier("D", "No isolation", facts, f"{fix} {_elsewhere(fix)}".strip())


def _elsewhere(fix: str) -> str:
    """The sentence about other places for sandboxes, after a fix or alone."""
    return ELSEWHERE.format(use="Or use" if fix else "Use")


def exact_limits(machine: MachineFacts | None = None) -> str:
    """The steps to limits by cgroups: from tier B to A, and in C."""
    machine = machine or MachineFacts()
    if machine.in_container:
        return CONTAINER_LIMITS
    if not machine.has("run/systemd/system"):
        if machine.wsl:
            return WSL_SYSTEMD
        return NO_SYSTEMD

    user = (
        f"sys/fs/cgroup/user.slice/user-{machine.user}.slice/user@{machine.user}.service/cgroup.controllers"
    )
    if machine.has(user) and not {"memory", "pids"} <= set(machine.text(user).split()):
        return DELEGATE_CONTROLLERS

    return DELEGATE


def better_than_c(machine: MachineFacts | None = None) -> str:
    """The steps to namespaces where Landlock stands in for them."""
    cause, fix = blocked(machine)
    if fix:
        return f"For namespaces, which hold more: {cause} {fix}"
    return ""


def blocked(machine: MachineFacts | None = None) -> tuple[str, str]:
    """The likely obstacle to isolation by namespaces on this machine, and its fix; empty where it is not known."""
    machine = machine or MachineFacts()
    if machine.system == "win32":
        return WINDOWS, WINDOWS_FIX
    if machine.system == "darwin":
        return MACOS, ""
    if machine.system != "linux":
        return OTHER_SYSTEM.format(system=machine.system), ""
    if machine.architecture not in ("x86_64", "aarch64"):
        return UNKNOWN_MACHINE.format(machine=machine.architecture), ""
    # The order is that of certainty: what is impossible, then what is forbidden, then what may be.
    if machine.wsl == 1:
        return WSL1, WSL1_FIX
    if machine.setting("user/max_user_namespaces") == "0":
        return NONE_LEFT, _ALLOW.format("user.max_user_namespaces=65536")
    # Before the filter: containers have one too, and their fix is another.
    if machine.in_container:
        return CONTAINER, CONTAINER_FIX
    if machine.user != 0 and (found := _forbidden_to_users(machine)):
        return found
    if machine.filtered:
        return (FILTERED, FILTERED_FIX)

    return ("", "")


def _forbidden_to_users(machine: MachineFacts) -> tuple[str, str] | None:
    if machine.setting("kernel/unprivileged_userns_clone") == "0":
        return CLONE_OFF, _ALLOW.format("kernel.unprivileged_userns_clone=1")
    if machine.setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return APPARMOR, _apparmor_fix(machine.python)
    return None


def system(home: str, machine: MachineFacts | None = None) -> tuple[str, str, str]:
    """The finding of `doctor` about the system itself, whether or not a runtime answers: (level, sentence, fix).

    Levels: "ok", "note", "warning", "failed".
    """
    machine = machine or MachineFacts()
    # A note and no failure: a runtime there may well use E2B.
    if machine.system == "darwin":
        return "note", f"macOS on {machine.architecture}. {MACOS}", _elsewhere("")
    if machine.system != "linux":
        return "failed", *blocked(machine)
    if machine.wsl == 1:
        return "failed", WSL1, WSL1_FIX
    if machine.wsl and home.startswith("/mnt/"):
        return "warning", WSL_HOME, WSL_HOME_FIX

    kind = "Linux in WSL2" if machine.wsl else "Linux"
    if machine.in_container:
        where = ", in a container"
    else:
        where = ""

    return "ok", f"{kind} on {machine.architecture}{where}", ""


def apparmor_profile(python: str) -> str:
    """The AppArmor profile that gives user namespaces to one Python, and to nothing else."""
    # Letters that mean something in AppArmor's patterns.
    escaped = "".join(f"\\{letter}" if letter in '\\"*?[]{}^' else letter for letter in python)
    return _PROFILE.format(python=escaped)


def _apparmor_fix(python: str) -> str:
    # One profile for one program: kernel.apparmor_restrict_unprivileged_userns=0 would switch the
    # restriction off for every program of the machine.
    lines = " ".join(shlex.quote(line) for line in apparmor_profile(python).splitlines())
    return (
        f"Allow them to the runtime's Python alone: printf '%s\\n' {lines} | sudo tee {_PROFILE_PATH} "
        f"&& sudo apparmor_parser -r {_PROFILE_PATH}"
    )
