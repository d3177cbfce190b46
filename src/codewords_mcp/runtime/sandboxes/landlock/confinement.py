"""What Landlock allows a sandbox of this tier, and what is said about it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from codewords_mcp.runtime.sandboxes.base import Tier
from codewords_mcp.runtime.sandboxes.confined.confinement import ConfinedProgram, SelfTestFacts
from codewords_mcp.runtime.sandboxes.landlock.inside import ruleset
from codewords_mcp.runtime.sandboxes.local import diagnosis, watchdog
from codewords_mcp.runtime.sandboxes.local.inside import syscalls

NEEDED: Final = 4
"""Linux 6.7: TCP. Earlier versions cannot keep a program from the host's loopback."""
SCOPES: Final = 6
"""Linux 6.12: signals and abstract sockets."""
_WARDEN: Final = str(Path(__file__).with_name("launch.py"))
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


class Landlock:
    """Implements `Confinement`. `most` keeps to an older version of Landlock than the kernel's, to see what it holds."""

    name = "landlock"

    def __init__(self, most: int | None = None) -> None:
        found = ruleset.abi()
        if most is None:
            self.abi = found
        else:
            self.abi = min(found, most)
        self.memory_over: Callable[[tuple[int, ...], int], bool] = watchdog.memory_over

    def missing(self) -> str:
        """See `Confinement`."""
        if not syscalls.numbers():
            return diagnosis.UNKNOWN_MACHINE.format(machine=platform.machine())
        if self.abi == 0:
            return diagnosis.NO_LANDLOCK
        if self.abi < NEEDED:
            return diagnosis.OLD_LANDLOCK.format(version=self.abi)
        return ""

    def key(self) -> Sequence[str]:
        """See `Confinement`; a kernel may be the same and its security modules not, so the boot counts."""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return ("landlock", str(self.abi), boot)

    def warden(self) -> str:
        """See `Confinement`."""
        return _WARDEN

    def describe(self, start: ConfinedProgram) -> dict[str, Any]:
        """See `Confinement`; what the program may read and write, by path."""
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
                "files": limits["files"],
                "disk": limits["disk"],
                "processes": limits["processes"],
                "memory": None if start.exact else limits["memory"],
            },
        }

    def tier(self, kept: SelfTestFacts) -> Tier:
        """See `Confinement`."""
        facts = [
            diagnosis.C_HOLDS,
            diagnosis.C_NETWORK if kept.by_address else diagnosis.C_NETWORK_BY_PORT,
            diagnosis.C_EXACT if kept.exact else diagnosis.C_BEST_EFFORT,
            diagnosis.C_WEAKER,
        ]
        if self.abi < SCOPES:
            facts.append(diagnosis.C_SIGNALS.format(version=self.abi))
        if os.geteuid() == 0:
            facts.append(diagnosis.C_ROOT)
        facts.append(diagnosis.TRIED.format(count=kept.acts))
        fixes = (diagnosis.better_than_c(), "" if kept.exact else diagnosis.exact_limits())
        fix = " ".join(filter(None, fixes))

        return Tier("C", "Isolation by Landlock, without namespaces", tuple(facts), fix)
