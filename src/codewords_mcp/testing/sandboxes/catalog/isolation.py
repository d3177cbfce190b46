"""Two sandboxes, side by side or one after the other, that know nothing of each other, nor of the host."""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.runtime.sandboxes.base import Capability
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.expecting import expect, same, together
from codewords_mcp.testing.sandboxes.model import Need
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context

NONE: list[str] = []

_PROCESSES = """
def processes(known):
    "Arguments and variables of every process that is listed, or whose number is known."
    import os, subprocess
    if not os.path.isdir("/proc/self"):
        return subprocess.run(["ps", "axewww"], capture_output=True, encoding="utf-8").stdout
    seen = []
    try:
        listed = set(filter(str.isdigit, os.listdir("/proc")))
    except OSError:
        listed = set()
    for pid in listed | known:
        for name in ("cmdline", "environ"):
            try:
                seen.append(open(f"/proc/{pid}/{name}", errors="replace").read())
            except OSError:
                pass
    return " ".join(seen)
"""


@check("isolation.files", Need.ISOLATION)
async def files(context: Context) -> None:
    """Two sandboxes at once do not see each other's files."""
    mark = secrets.token_hex(8)
    write = f"""
    import os
    for folder in ("/app", "/tmp", "/var/tmp", "/dev/shm"):
        if os.path.isdir(folder):
            try:
                open(f"{{folder}}/{mark}", "w").close()
            except OSError:
                pass
    print("written", flush=True)
    import time; time.sleep(600)
    """
    look = f"""
    import json, os
    tops = ["/app", "/tmp", "/var", "/dev", "/run", "/home", "/root", "/mnt", "/srv", "/opt", "/media"]
    print(json.dumps([folder for top in tops for folder, _, names in os.walk(top) if {mark!r} in names]))
    """

    # The first sandbox runs on while the second looks.
    async with context.running(write) as program:
        await program.until_printed(b"written")
        same(await context.report(look), [], "Folders where another sandbox's file is seen")


@check("isolation.processes", Need.ISOLATION)
async def processes(context: Context) -> None:
    """A sandbox sees no process of another one, nor of the host."""
    mark = secrets.token_hex(8)
    code = f"""
    import subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {mark!r}])
    print("started", child.pid, flush=True)
    time.sleep(600)
    """
    look = """
    import json
    print(json.dumps(processes(set(os.environ["KNOWN"].split()))))
    """

    async with context.running(code, env={"OTHERS": mark}) as program:
        await program.until_printed(b"\n")
        child = program.stdout.split()[1].decode()
        # A process of the host's with the mark in its arguments: it must not be seen either.
        host = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "input()", mark, stdin=asyncio.subprocess.PIPE
        )

        try:
            seen = await context.report(_PROCESSES, "import os", look, env={"KNOWN": f"{child} {host.pid}"})
        finally:
            await host.communicate(b"\n")

    expect(mark not in seen, "A process of another sandbox, or of the host, is seen.")


@check("isolation.ports", Need.ISOLATION)
async def ports(context: Context) -> None:
    """Two sandboxes listen on the same ports, each reached by itself alone."""
    await _reached_by_itself(
        context,
        """
    server = socket.create_server(("127.0.0.1", 7000))
    client = lambda: socket.create_connection(("127.0.0.1", 7000))
    """,
    )


@check("isolation.unix-sockets", Need.ISOLATION, Capability.UNIX_SOCKETS)
async def unix_sockets(context: Context) -> None:
    """Two sandboxes listen on Unix sockets of the same name, each reached by itself alone."""
    await _reached_by_itself(
        context,
        """
    server = socket.socket(socket.AF_UNIX)
    server.bind("\\0conformance" if os.path.isdir("/proc") else "/tmp/conformance")
    server.listen()
    def client():
        link = socket.socket(socket.AF_UNIX)
        link.connect(server.getsockname())
        return link
    """,
    )


async def _reached_by_itself(context: Context, sockets: str) -> None:
    """`sockets` is code that makes `server` and a function `client`. Each sandbox's client meets its own server."""
    serve = """
    name = os.environ["NAME"]
    def answer():
        while True:
            server.accept()[0].sendall(name.encode())
    threading.Thread(target=answer, daemon=True).start()
    serve(json.dumps(client().recv(99).decode()))
    """
    parts = (programs.LITTLE, "import json, os, socket, threading", sockets, serve)

    async def run_program(name: str, others: asyncio.Barrier) -> JsonValue:
        async with context.running(*parts, env={"NAME": name}) as program:
            await program.ready()
            # All of them hold the ports now.
            await others.wait()
            return await program.ask_json(b"/")

    barrier = asyncio.Barrier(3)
    names = ("one", "two", "three")
    answers = await together(*(run_program(name, barrier) for name in names))
    same(answers, list(names), "The sandbox that answered each of them")


@check("isolation.host-loopback", Need.ISOLATION)
async def host_loopback(context: Context) -> None:
    """The host's loopback and its abstract sockets are out of reach."""
    name = f"conformance-{secrets.token_hex(8)}"
    code = """
    import json, os, socket
    reached = []
    port, name = int(os.environ["TARGET"]), os.environ["NAME"]
    for family, address in ((socket.AF_INET, ("127.0.0.1", port)), (socket.AF_UNIX, "\\0" + name)):
        try:
            link = socket.socket(family)
            link.settimeout(5)
            link.connect(address)
            reached.append(link.recv(100).decode())
        except OSError:
            pass
    print(json.dumps(reached))
    """

    # Where there are no abstract sockets, a path takes their part.
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0" + name if sys.platform == "linux" else str(context.folder / name))
        unix.listen()
        for listener in (tcp, unix):
            # In the event loop: a sandbox that got through must not block the suite.
            listener.setblocking(False)
            asyncio.get_running_loop().add_reader(listener, _greet, listener)

        try:
            env = {"TARGET": str(tcp.getsockname()[1]), "NAME": name}
            same(await context.report(code, env=env), [], "What the host's services said")
        finally:
            for listener in (tcp, unix):
                asyncio.get_running_loop().remove_reader(listener)


def _greet(listener: socket.socket) -> None:
    link, _ = listener.accept()
    with link:
        link.sendall(b"host")


@check("isolation.identity", Need.ISOLATION)
async def identity(context: Context) -> None:
    """A program has no capabilities, and cannot gain privileges."""
    code = """
    import json, os
    status = open("/proc/self/status").read() if os.path.isdir("/proc/self") else ""
    fields = dict(line.split(":\\t") for line in status.splitlines() if ":\\t" in line)
    names = ("CapEff", "CapPrm", "CapInh", "CapAmb")  # not CapBnd: without new privileges nothing comes of it
    print(json.dumps([[name for name in names if int(fields.get(name, "0"), 16)], fields.get("NoNewPrivs", "1")]))
    """
    same(await context.report(code), [NONE, "1"], "Capabilities, and no new privileges")


@check("isolation.user", Need.ISOLATION, Capability.UNPRIVILEGED_USER)
async def user(context: Context) -> None:
    """A program is not root, and cannot become root."""
    code = """
    import json, os
    became = []
    for name in ("setuid", "setgid"):
        try:
            getattr(os, name)(0)
            became.append(name)
        except OSError:
            pass
    print(json.dumps([os.getuid() == 0, became]))
    """
    same(await context.report(code), [False, NONE], "Whether it is root, and what it became")


_POISON = """
import builtins, json, os, random, socket, sys, tempfile, time, uuid
folder, temporary = os.path.dirname(__file__), tempfile.gettempdir()
seen = [
    getattr(json, "poison", None), getattr(builtins, "poison", None), os.environ.get("POISON"),
    os.path.exists(os.path.join(temporary, "poison")), os.umask(0o022) == 0o022, time.tzname[0], sys.getrecursionlimit(),
    "poison" in sys.modules, os.path.samefile(os.getcwd(), folder), len(sys.path) == len(set(sys.path)), os.listdir(folder),
]
names = tempfile._get_candidate_names()
unique = [random.random(), random.getrandbits(64), str(uuid.uuid4()), os.urandom(8).hex(), next(names)]
json.poison = builtins.poison = sys.modules["poison"] = os.environ["POISON"] = "yes"
os.umask(0o077)
os.environ["TZ"] = "Asia/Tokyo"
time.tzset()
sys.setrecursionlimit(5000)
sys.path.append(sys.path[0])
open(os.path.join(temporary, "poison"), "w").close()
open(os.path.join(folder, "json.py"), "w").close()
os.chdir("/")
random.seed(1)
print(sys.modules["json"].dumps([seen, unique, os.getpid()]))
"""


@check("isolation.no-state")
async def no_state(context: Context) -> None:
    """The same program, run again and again from one environment, finds nothing of its earlier runs."""
    # Four runs: some drivers reuse a process only from the second or third on.
    runs = [await context.report(_POISON) for _ in range(4)]
    # The first run's findings are what a fresh interpreter shows.
    first = runs[0][0]
    same(
        first[:5],
        [None, None, None, False, True],
        "Traces that the first run found, and whether its umask is 022",
    )
    # Each later run must find the same as the first.
    for number, run in enumerate(runs[1:], 2):
        same(run[0], first, f"What run {number} found, beside the first")
    # Equal random numbers would let one run guess another's tokens.
    for number, what in enumerate(("random()", "getrandbits()", "uuid4()", "urandom()", "a temporary name")):
        values = [run[1][number] for run in runs]
        same(len(set(values)), len(values), f"How many different values of {what} there were")


@check("isolation.imports")
async def imports(context: Context) -> None:
    """A module that one sandbox imported and changed is whole in the next one."""
    code = """
    import json, fastapi, uvicorn, starlette.routing
    seen = [getattr(module, "poison", None) for module in (fastapi, uvicorn, starlette.routing)] + [callable(fastapi.FastAPI)]
    fastapi.poison = uvicorn.poison = starlette.routing.poison = "yes"
    fastapi.FastAPI = None
    print(json.dumps(seen))
    """
    # Twice: the second one shows what the first changed.
    for _ in range(2):
        same(await context.report(code), [None, None, None, True], "The modules")
