"""A hostile program finds nothing of the host, and cannot break out."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.support.sandbox_programs import report, running, specification

from codewords_mcp.runtime.sandboxes.base import Driver, EnvironmentRef

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:isolation")]

PRELUDE = """
    import ctypes, errno, json, os, socket, sys
    libc = ctypes.CDLL(None, use_errno=True)

    def refused(act, *arguments):
        try:
            result = act(*arguments)
        except OSError as error:
            return errno.errorcode[error.errno] if error.errno in errno.errorcode else "OSError"
        return "" if result is None or not isinstance(result, int) or result >= 0 else "result"

    def call(name, *arguments):
        if getattr(libc, name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)

    def system(number, *arguments):
        if libc.syscall(ctypes.c_long(number), *arguments) == -1:
            raise OSError(ctypes.get_errno(), str(number))
"""


async def probe(driver: Driver, environment: EnvironmentRef, code: str, **facts: str) -> Any:
    """Run a probe, which prints one JSON value."""
    body = PRELUDE + "\n".join("    " + line for line in code.strip("\n").splitlines()) + "\n"
    return await report(driver, specification(environment, body, env=facts))


async def test_the_host_s_files_are_out_of_sight(
    driver: Driver, environment: EnvironmentRef, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    canary.write_text(secrets.token_hex(), encoding="utf-8")
    canary.chmod(0o666)
    code = """
home = os.path.dirname(os.environ["CANARY"])
paths = [os.environ["CANARY"], "/etc/shadow", "/root", "/home", "/sys", "/boot", "/var/log", "/run/dbus", "/proc/1/root/etc",
         "/proc/1/cwd/..", "/proc/self/root" + os.environ["CANARY"], "/etc/ssl/private", "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/mem"]
print(json.dumps({
    "refused": {path: refused(os.stat, path) for path in paths},
    "top": sorted(os.listdir("/")), "etc": sorted(os.listdir("/etc")), "dev": sorted(os.listdir("/dev")),
    "passwd": open("/etc/passwd").read(), "hostname": socket.gethostname(), "above": os.path.realpath("/../.."),
}))
"""
    found = await probe(driver, environment, code, CANARY=str(canary))
    assert {path: why for path, why in found["refused"].items() if why not in {"ENOENT", "EACCES"}} == {}
    assert set(found["top"]) <= {
        ".codewords", "app", "bin", "dev", "env", "etc", "lib", "lib32", "lib64", "libx32", "proc", "python", "run", "sbin",
        "tmp", "usr", "var",
    }  # fmt: skip
    assert "shadow" not in found["etc"]
    assert set(found["dev"]) == {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "shm",
        "fd",
        "stdin",
        "stdout",
        "stderr",
    }
    assert "1000" in found["passwd"]
    assert len(found["passwd"].splitlines()) == 3
    assert (found["hostname"], found["above"]) == ("sandbox", "/")


async def test_the_host_s_processes_are_out_of_sight(driver: Driver, environment: EnvironmentRef) -> None:
    code = """
print(json.dumps({
    "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()), "me": os.getpid(),
    "init": {name: refused(open, "/proc/1/" + name, "rb") for name in ("mem", "environ", "maps")},
    "fds": refused(os.listdir, "/proc/1/fd"),
    "signal": refused(os.kill, 99999, 0),
    "environ": open("/proc/self/environ").read().count("CANARY"),
}))
"""
    found = await probe(driver, environment, code)
    assert found["pids"] == [1, found["me"]]
    assert set(found["init"].values()) == {"EACCES"}
    assert found["fds"] == "EACCES"
    assert found["signal"] == "ESRCH"
    assert found["environ"] == 0


async def test_process_1_survives_its_program(driver: Driver, environment: EnvironmentRef) -> None:
    code = """
import signal, time
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGINT, signal.SIGHUP):
    os.kill(1, number)
time.sleep(0.05)
print(json.dumps(os.path.exists("/proc/1")))
"""
    assert await probe(driver, environment, code) is True


async def test_only_its_own_folders_can_be_written(driver: Driver, environment: EnvironmentRef) -> None:
    code = """
def write(path):
    with open(path, "w") as file: file.write("x")
folders = ["", "/usr", "/usr/local", "/etc", "/env", "/env/bin", "/python", "/dev", "/proc/sys/kernel", "/.codewords", "/run", "/var"]
files = ["/etc/passwd", "/.codewords/boot.py", "/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/ip_forward",
         "/proc/sysrq-trigger", "/proc/self/exe", "/proc/1/oom_score_adj", "/proc/self/uid_map"]
mine = ["/app/x", "/tmp/x", "/dev/shm/x", "/var/tmp/y"]
print(json.dumps({
    "refused": {path: refused(write, path) for path in [folder + "/canary" for folder in folders if os.path.isdir(folder or "/")] + files},
    "mine": {path: refused(write, path) for path in mine},
}))
"""
    found = await probe(driver, environment, code)
    assert [path for path, why in found["refused"].items() if not why] == []
    assert found["mine"] == dict.fromkeys(found["mine"], "")


async def test_no_privileges_are_left_and_none_can_be_had(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = """
import resource, stat, subprocess
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
os.close(os.open("/app/suid", os.O_CREAT | os.O_WRONLY)); os.chmod("/app/suid", 0o6755)
print(json.dumps({
    "caps": [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "nnp": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(), "uid": [os.getuid(), os.geteuid()], "groups": os.getgroups(),
    "root": [refused(os.setuid, 0), refused(os.setgid, 0), refused(os.setgroups, [0]), refused(os.chown, "/app/suid", 0, 0)],
    "nosuid": bool(os.statvfs("/app").f_flag & os.ST_NOSUID and os.statvfs("/usr").f_flag & os.ST_NOSUID),
    "raise": refused(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))) if False else "",
}))
"""
    found = await probe(driver, environment, code)
    assert found["caps"] == [0] * 5
    assert (found["nnp"], found["seccomp"], found["uid"]) == ("1", "2", [1000, 1000])
    assert set(found["groups"]) <= {1000, 65534}
    assert all(found["root"])
    assert found["nosuid"]


CALLS = {
    "unshare user": 'call("unshare", 0x10000000)',
    "unshare mount": 'call("unshare", 0x20000)',
    "mount": 'call("mount", b"none", b"/tmp", b"tmpfs", 0, None)',
    "remount writable": 'call("mount", b"none", b"/usr", None, 0x1020, None)',
    "umount": 'call("umount2", b"/proc/sys", 2)',
    "chroot": 'os.chroot("/tmp")',
    "pivot_root": 'system(155, b"/app", b"/app")',
    "setns": 'call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0)',
    "ptrace": 'call("ptrace", 16, 1, 0, 0)',
    "process_vm_readv": 'call("process_vm_readv", 1, None, 0, None, 0, 0)',
    "mknod": 'os.mknod("/app/disk", 0o60600, os.makedev(8, 0))',
    "clone3": "system(435, None, 0)",
    "bpf": "system(321, 0, None, 0)",
    "keyctl": "system(250, 0, 0, 0, 0, 0)",
    "io_uring": "system(425, 1, None)",
    "perf": "system(298, None, 0, -1, -1, 0)",
    "userfaultfd": "system(323, 0)",
    "open_tree": 'system(428, -100, b"/", 0)',
    "fsopen": 'system(430, b"tmpfs", 0)',
    "open_by_handle": "system(304, -100, None, 0)",
    "kexec": "system(246, 0, 0, None, 0)",
    "init_module": "system(175, None, 0, None)",
    "reboot": "system(169, 0, 0, 0, None)",
    "syslog": "system(103, 3, None, 0)",
    "settimeofday": "system(164, None, None)",
    "sethostname": 'socket.sethostname("x")',
    "personality": "system(135, 0x0040000)",
    "newer than the filter": "system(499)",
    "vsock": "socket.socket(40, socket.SOCK_STREAM)",
    "alg": "socket.socket(38, socket.SOCK_SEQPACKET)",
    "packet": "socket.socket(17, socket.SOCK_RAW)",
    "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "netfilter": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)",
    "terminal injection": '__import__("fcntl").ioctl(0, 0x5412, b"x")',
}


async def test_no_call_leads_out(driver: Driver, environment: EnvironmentRef) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are of x86_64")
    lines = [f"    {name!r}: lambda: {code}," for name, code in CALLS.items()]
    code = "\n".join(
        ["acts = {", *lines, "}", "print(json.dumps({name: refused(act) for name, act in acts.items()}))"]
    )
    found = await probe(driver, environment, code)
    assert [name for name, why in found.items() if not why] == []
    assert found["clone3"] == found["newer than the filter"] == "ENOSYS"


async def test_clone_makes_no_namespaces_and_threads_still_start(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = """
import threading, subprocess
ran = []
thread = threading.Thread(target=lambda: ran.append(1)); thread.start(); thread.join()
number = 56 if os.uname().machine == "x86_64" else 220
print(json.dumps([refused(system, number, ctypes.c_ulong(0x10000000 | 17), None, None, None, None), ran,
                  subprocess.check_output([sys.executable, "-c", "print(1)"]).decode()]))
"""
    assert await probe(driver, environment, code) == ["EPERM", [1], "1\n"]


async def test_the_host_s_network_is_out_of_reach(driver: Driver, environment: EnvironmentRef) -> None:
    abstract = f"canary-{secrets.token_hex(8)}"
    accepted: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0" + abstract)
        unix.listen()
        for listener in (tcp, unix):
            listener.setblocking(False)
        code = """
def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as client:
        client.settimeout(2)
        client.connect(address)
        if kind == socket.SOCK_DGRAM:
            client.send(b"x"); client.recv(1)
port = int(os.environ["CANARY_PORT"])
targets = {"loopback": (2, ("127.0.0.1", port)), "loopback 2": (2, ("127.0.0.2", port)), "v6 loopback": (10, ("::1", port)),
           "metadata": (2, ("169.254.169.254", 80)), "private": (2, ("10.0.0.1", 80)), "public": (2, ("192.0.2.1", 443)),
           "v6": (10, ("2001:db8::1", 443)), "abstract": (1, "\\0" + os.environ["CANARY_NAME"])}
found = {name: refused(connect, *target) for name, target in targets.items()}
found["interfaces"] = [name for _, name in socket.if_nameindex()]
print(json.dumps(found))
"""
        found = await probe(
            driver, environment, code, CANARY_PORT=str(tcp.getsockname()[1]), CANARY_NAME=abstract
        )
        for listener in (tcp, unix):
            try:
                accepted.append(listener.accept())
            except BlockingIOError:
                continue
    assert found.pop("interfaces") == ["lo"]
    assert [name for name, why in found.items() if not why] == []
    assert accepted == []


async def test_two_sandboxes_share_nothing(driver: Driver, environment: EnvironmentRef) -> None:
    waiting = """
    import os, socket, time
    open("/tmp/mine", "w").write("x"); open("/dev/shm/mine", "w").write("x")
    s = socket.create_server(("127.0.0.1", 7000)); u = socket.socket(socket.AF_UNIX); u.bind("\\0mine"); u.listen()
    print("ready", flush=True); time.sleep(60)
    """
    code = """
def connect(family, address):
    with socket.socket(family) as client: client.connect(address)
print(json.dumps([refused(os.stat, "/tmp/mine"), refused(os.stat, "/dev/shm/mine"), refused(connect, 2, ("127.0.0.1", 7000)),
                  refused(connect, 1, "\\0mine"), refused(os.kill, int(os.environ["OTHER"]), 9)]))
"""
    async with running(driver, specification(environment, waiting)) as other:
        await other.until_printed("ready")
        pid = other.init
        found = await probe(driver, environment, code, OTHER=str(pid))
        assert found == ["ENOENT", "ENOENT", "ECONNREFUSED", "ECONNREFUSED", "ESRCH"]


async def test_no_path_of_the_host_is_in_the_program_s_descriptors(
    driver: Driver, environment: EnvironmentRef, tmp_path: Path
) -> None:
    code = """
names = [socket.socket(fileno=os.dup(3)).getsockname()] + [os.readlink(f"/proc/self/fd/{fd}") for fd in range(5)]
print(json.dumps([name if isinstance(name, str) else name.decode() for name in names]))
"""
    names = await probe(driver, environment, code)
    assert [name for name in names if str(tmp_path) in name] == []


@pytest.mark.needs("root")
async def test_as_root_each_sandbox_is_another_user_of_the_host(
    driver: Driver, environment: EnvironmentRef
) -> None:
    code = "import time; print('ready', flush=True); time.sleep(60)"
    async with (
        running(driver, specification(environment, code)) as one,
        running(driver, specification(environment, code)) as two,
    ):
        await asyncio.gather(one.until_printed("ready"), two.until_printed("ready"))
        users = {os.stat(f"/proc/{program.init}/task").st_uid for program in (one, two)}
        owners = {program.local.resources.uid or 0 for program in (one, two)}
    assert len(owners) == 2
    assert min(owners) >= 10_000
    assert users <= owners | {0}  # process 1 hides behind root, since it cannot be traced
