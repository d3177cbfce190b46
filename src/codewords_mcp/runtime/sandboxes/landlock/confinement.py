"""The Landlock rules of a sandbox, and the description of this isolation level."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from codewords_mcp.runtime.sandboxes.base import SandboxSpec, Tier
from codewords_mcp.runtime.sandboxes.host import descriptors, diagnosis, paths
from codewords_mcp.runtime.sandboxes.landlock.inside import ruleset
from codewords_mcp.runtime.sandboxes.namespaces.inside import syscalls

NEEDED: Final = 4
"""Linux 6.7: TCP. Earlier versions cannot keep a program from the host's loopback."""
SCOPES: Final = 6
"""Linux 6.12: signals and abstract sockets."""
_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC: Final = (
    # Never /etc/ssl or /etc/pki whole: they hold private keys beside the certificates.
    "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust",
    "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf", "/etc/crypto-policies",
    "/etc/ca-certificates", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
    "/etc/mime.types", "/etc/protocols", "/etc/services", "/etc/localtime", "/etc/timezone", "/etc/hosts",
    "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf",
)  # fmt: skip
_PROC: Final = (
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/loadavg", "/proc/version", "/proc/filesystems",
    "/proc/sys/kernel/osrelease", "/proc/sys/kernel/ngroups_max", "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu/online", "/sys/devices/system/cpu/possible",
    "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
)  # fmt: skip
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True, slots=True)
class LandlockProgram:
    """One program to confine. `ports`: the runtime's listeners on 127.0.0.1 that it may reach.

    `exact`: a cgroup holds its memory and counts its processes. `port` is the PORT that it is told.
    """

    spec: SandboxSpec
    folders: paths.Folders
    ports: Sequence[int]
    variables: dict[str, str]
    argv: Sequence[str]
    port: int
    exact: bool


@dataclass(frozen=True, slots=True)
class ProvedFacts:
    """Facts that the self-test proved: connections are judged by address; the kernel holds memory."""

    acts: int
    by_address: bool
    exact: bool


class Landlock:
    """The kernel's Landlock on this machine: whether it suffices, and the rules of one sandbox."""

    def __init__(self) -> None:
        self.abi = ruleset.abi()

    def missing(self) -> str:
        """The reason, in a sentence, why it can't be used here; empty where it can be tried."""
        if not syscalls.numbers():
            return diagnosis.UNKNOWN_MACHINE.format(machine=platform.machine())
        if self.abi == 0:
            return diagnosis.NO_LANDLOCK
        if self.abi < NEEDED:
            return diagnosis.OLD_LANDLOCK.format(version=self.abi)
        return ""

    def key(self) -> Sequence[str]:
        """The facts that a stored self-test result depends on, beside user, Python and version."""
        # The boot counts: an equal kernel can start with other security modules.
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return ("landlock", str(self.abi), boot)

    def describe(self, start: LandlockProgram) -> dict[str, Any]:
        """The supervisor's specification, for JSON: the paths that the program may read and write, ports, limits."""
        environment = start.spec.environment
        limits = asdict(start.spec.limits)
        return {
            "argv": list(start.argv),
            "variables": start.variables,
            "app": str(start.folders.app),
            "port": start.port,
            "ports": list(start.ports),
            "abi": self.abi,
            "counted": start.exact,
            "read": [
                *_SYSTEM,
                *_ETC,
                *_PROC,
                str(environment.base_prefix),
                str(environment.path),
                start.argv[1],
            ],
            "devices": list(_DEVICES),
            "own": [str(start.folders.app), str(start.folders.tmp)],
            "limits": {
                "files": descriptors.of_program(limits["files"]),
                "disk": limits["disk"],
                "processes": limits["processes"],
                # With a control group no rlimit of memory is needed, which would also refuse what
                # is only reserved.
                "memory": None if start.exact else limits["memory"],
            },
        }

    def tier(self, proved: ProvedFacts) -> Tier:
        """The isolation level that these facts prove."""
        facts = [
            diagnosis.C_HOLDS,
            diagnosis.C_NETWORK if proved.by_address else diagnosis.C_NETWORK_BY_PORT,
            diagnosis.C_EXACT if proved.exact else diagnosis.C_BEST_EFFORT,
            diagnosis.C_WEAKER,
        ]
        if self.abi < SCOPES:
            facts.append(diagnosis.C_SIGNALS.format(version=self.abi))
        if os.geteuid() == 0:
            facts.append(diagnosis.C_ROOT)
        facts.append(diagnosis.TRIED.format(count=proved.acts))
        fixes = (diagnosis.better_than_c(), "" if proved.exact else diagnosis.exact_limits())
        fix = " ".join(filter(None, fixes))

        return Tier("C", "Isolation by Landlock, without namespaces", tuple(facts), fix)
