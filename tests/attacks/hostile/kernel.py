"""What the kernel shows and takes by /proc and /dev."""

from __future__ import annotations

import os

from tests.attacks.hostile.attempts import (
    NOT_THERE,
    UNCHANGED,
    Group,
    either,
    gives,
    read,
    refused,
    shows,
    write,
)

group = Group("kernel", "/proc, /sys and devices")
_SETTING = "It is a setting of the whole machine."
_LEAK = "It tells addresses of the kernel, or what others do."
_DEVICE = "A device node is the device."
_EMPTY = either(NOT_THERE, refused("EPERM"), shows("nothing in it", lambda text: text == ""))

for _name, _path, _text in (
    ("core-pattern", "/proc/sys/kernel/core_pattern", "|/app/x"),
    ("modprobe", "/proc/sys/kernel/modprobe", "/app/x"),
    ("hotplug", "/proc/sys/kernel/hotplug", "/app/x"),
    ("binfmt", "/proc/sys/fs/binfmt_misc/register", ":x:M::x::/app/x:"),
    ("panic", "/proc/sys/kernel/panic", "1"),
    ("randomize", "/proc/sys/kernel/randomize_va_space", "0"),
    ("ip-forward", "/proc/sys/net/ipv4/ip_forward", "1"),
    ("route-localnet", "/proc/sys/net/ipv4/conf/all/route_localnet", "1"),
    ("ns-last-pid", "/proc/sys/kernel/ns_last_pid", "5"),
    ("pid-max", "/proc/sys/kernel/pid_max", "400"),
    ("shmall", "/proc/sys/kernel/shmall", "1"),
    ("drop-caches", "/proc/sys/vm/drop_caches", "3"),
    ("overcommit", "/proc/sys/vm/overcommit_memory", "1"),
    ("sysrq", "/proc/sysrq-trigger", "h"),
    ("timer-slack", "/proc/1/timerslack_ns", "1000000000"),
):
    group.add(
        f"set-{_name}",
        f"Write {_path}",
        _SETTING,
        UNCHANGED,
        lambda path=_path, text=_text: write(path, text),
    )

for _name in ("kcore", "kmsg", "timer_list", "sched_debug", "keys", "latency_stats", "modules"):
    group.add(
        f"read-{_name.replace('_', '-')}",
        f"Read /proc/{_name}",
        _LEAK,
        _EMPTY,
        lambda name=_name: read(f"/proc/{name}", 64),
    )


@group.attempt(
    "symbols",
    "Read kernel addresses in /proc/kallsyms",
    _LEAK,
    either(_EMPTY, shows("zeros only", lambda text: not text.strip("0 \n"))),
)
def _() -> object:
    return "".join(line[:16] for line in read("/proc/kallsyms").splitlines()[:50])


@group.attempt(
    "devices",
    "List /dev",
    _DEVICE,
    gives([], "null, zero, full, random, urandom, its own memory and streams"),
)
def _() -> object:
    harmless = {"null", "zero", "full", "random", "urandom", "shm", "fd", "stdin", "stdout", "stderr"}
    return sorted(set(os.listdir("/dev")) - harmless)


for _name in (
    "kvm",
    "mem",
    "fuse",
    "net/tun",
    "vhost-vsock",
    "userfaultfd",
    "console",
    "tty",
    "loop-control",
    "sda",
    "vda",
):
    group.add(
        f"open-{_name.replace('/', '-')}",
        f"Open /dev/{_name}",
        _DEVICE,
        NOT_THERE,
        lambda name=_name: read(f"/dev/{name}", 1),
    )


@group.attempt("vsock-device", "Open /dev/vsock", "It leads to the hypervisor.", NOT_THERE)
def _() -> object:
    return read("/dev/vsock", 1)


@group.attempt(
    "change-null",
    "Change, remove and rename /dev/null",
    "They are the host's own nodes.",
    gives(["refused"], "none of it is done"),
)
def _() -> object:
    found: set[str] = set()
    for act in (
        lambda: os.chmod("/dev/null", 0o777),
        lambda: os.unlink("/dev/null"),
        lambda: os.rename("/dev/null", "/dev/x"),
    ):
        before = os.stat("/dev/null")
        try:
            act()
            found.add("refused" if os.stat("/dev/null") == before else "done")
        except OSError:
            found.add("refused")
    return sorted(found)


@group.attempt(
    "net-table",
    "Read connections in /proc/net/tcp",
    "Whom the host talks to.",
    shows("its own namespace only", lambda count: count <= 8),
)
def _() -> object:
    return len(read("/proc/net/tcp", 1 << 20).splitlines())


@group.attempt(
    "net-unix",
    "Read names of the host's sockets in /proc/net/unix",
    "They are ways in.",
    gives([], "none of the host's"),
)
def _() -> object:
    return [
        line.split()[-1]
        for line in read("/proc/net/unix", 1 << 20).splitlines()[1:]
        if "/" in line.split()[-1]
    ]


@group.attempt(
    "host-name", "Ask for the machine's name", "It identifies the host.", gives("sandbox", "it is `sandbox`")
)
def _() -> object:
    return os.uname().nodename


if __name__ == "__main__":
    group.run()
