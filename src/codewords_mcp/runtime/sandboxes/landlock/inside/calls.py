"""System call numbers that only this filter names, for both machines. See `local.inside.syscalls` for the sources."""

from __future__ import annotations

import platform
from typing import Final

_X86_64: Final = {
    "socket": 41, "connect": 42, "sendto": 44, "sendmsg": 46, "sendmmsg": 307, "bind": 49, "listen": 50, "socketpair": 53,
    "clone": 56, "fork": 57, "vfork": 58, "kill": 62, "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129,
    "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424, "fcntl": 72, "ioctl": 16, "prctl": 157, "prlimit64": 302,
    "sched_setscheduler": 144, "sched_setparam": 142, "sched_setaffinity": 203, "sched_setattr": 314, "setpriority": 141,
    "ioprio_set": 251, "shmget": 29, "shmat": 30, "shmctl": 31, "shmdt": 67, "semget": 64, "semop": 65, "semctl": 66,
    "semtimedop": 220, "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "mq_open": 240, "mq_unlink": 241,
    "inotify_init": 253, "inotify_add_watch": 254, "inotify_init1": 294, "chmod": 90, "fchmod": 91, "fchmodat": 268,
    "fchmodat2": 452, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260, "utime": 132, "utimes": 235,
    "futimesat": 261, "utimensat": 280, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197,
    "lremovexattr": 198, "fremovexattr": 199, "setxattrat": 463, "removexattrat": 466, "seccomp": 317,
}  # fmt: skip
_AARCH64: Final = {
    "socket": 198, "connect": 203, "sendto": 206, "sendmsg": 211, "sendmmsg": 269, "bind": 200, "listen": 201,
    "socketpair": 199, "clone": 220, "kill": 129, "tkill": 130, "tgkill": 131, "rt_sigqueueinfo": 138,
    "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424, "fcntl": 25, "ioctl": 29, "prctl": 167, "prlimit64": 261,
    "sched_setscheduler": 119, "sched_setparam": 118, "sched_setaffinity": 122, "sched_setattr": 274, "setpriority": 140,
    "ioprio_set": 30, "shmget": 194, "shmat": 196, "shmctl": 195, "shmdt": 197, "semget": 190, "semop": 193, "semctl": 191,
    "semtimedop": 192, "msgget": 186, "msgsnd": 189, "msgrcv": 188, "msgctl": 187, "mq_open": 180, "mq_unlink": 181,
    "inotify_add_watch": 27, "inotify_init1": 26, "fchmod": 52, "fchmodat": 53, "fchmodat2": 452, "fchown": 55,
    "fchownat": 54, "utimensat": 88, "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15,
    "fremovexattr": 16, "setxattrat": 463, "removexattrat": 466, "seccomp": 277,
}  # fmt: skip
TABLES: Final = {"x86_64": _X86_64, "aarch64": _AARCH64}
ARCHITECTURES: Final = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}


def numbers(machine: str | None = None) -> dict[str, int]:
    """The table of a machine (`platform.machine()`); empty where it is not known."""
    return TABLES.get(machine or platform.machine(), {})
