"""System call numbers of the two machines that sandboxes run on, for the calls that the filter names.

From the kernel's arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. Calls from 424 on have
the same number on both.
"""

from __future__ import annotations

from typing import Final

HIGHEST_KNOWN: Final = 466
"""removexattrat, the last call this table was written with. Later ones are answered with ENOSYS, unseen."""

_COMMON: Final = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447,
    "set_mempolicy_home_node": 450, "statmount": 457, "listmount": 458, "lsm_set_self_attr": 460,
}  # fmt: skip

X86_64: Final = _COMMON | {
    "ptrace": 101, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "swapon": 167, "swapoff": 168,
    "reboot": 169, "sethostname": 170, "setdomainname": 171, "init_module": 175, "finit_module": 313,
    "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320, "iopl": 172, "ioperm": 173, "add_key": 248,
    "request_key": 249, "keyctl": 250, "unshare": 272, "setns": 308, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "lookup_dcookie": 212, "open_by_handle_at": 304, "name_to_handle_at": 303,
    "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "move_pages": 279, "mbind": 237,
    "migrate_pages": 256, "set_mempolicy": 238, "quotactl": 179, "acct": 163, "settimeofday": 164,
    "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159, "syslog": 103, "vhangup": 153, "nfsservctl": 180,
    "personality": 135, "fanotify_init": 300, "fanotify_mark": 301, "vmsplice": 278, "uselib": 134, "ustat": 136,
    "sysfs": 139, "modify_ldt": 154, "_sysctl": 156, "create_module": 174, "query_module": 178,
    "clone": 56, "socket": 41, "socketpair": 53, "ioctl": 16, "mknod": 133, "mknodat": 259,
    "prlimit64": 302, "shmget": 29, "close_range": 436,
}  # fmt: skip

AARCH64: Final = _COMMON | {
    "ptrace": 117, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "swapon": 224, "swapoff": 225,
    "reboot": 142, "sethostname": 161, "setdomainname": 162, "init_module": 105, "finit_module": 273,
    "delete_module": 106, "kexec_load": 104, "kexec_file_load": 294, "add_key": 217, "request_key": 218,
    "keyctl": 219, "unshare": 97, "setns": 268, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282,
    "lookup_dcookie": 18, "open_by_handle_at": 265, "name_to_handle_at": 264, "process_vm_readv": 270,
    "process_vm_writev": 271, "kcmp": 272, "move_pages": 239, "mbind": 235, "migrate_pages": 238,
    "set_mempolicy": 237, "quotactl": 60, "acct": 89, "settimeofday": 170, "clock_settime": 112,
    "clock_adjtime": 266, "adjtimex": 171, "syslog": 116, "vhangup": 58, "nfsservctl": 42, "personality": 92,
    "fanotify_init": 262, "fanotify_mark": 263, "vmsplice": 75,
    "clone": 220, "socket": 198, "socketpair": 199, "ioctl": 29, "mknodat": 33,
    "prlimit64": 261, "shmget": 194, "close_range": 436,
}  # fmt: skip

FILTERED_BY_ARGUMENT: Final = frozenset(
    {
        "clone",
        "clone3",
        "socket",
        "socketpair",
        "ioctl",
        "mknod",
        "mknodat",
        "prlimit64",
        "close_range",
        "shmget",
    }
)
"""Calls that the filter judges by their arguments; every other name above is refused whole."""
