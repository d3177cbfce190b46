"""Packages whose import does what none should: their environment has no fork server, and programs start all the same."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from tests.integration.sandboxes.helpers import Opened
from tests.support.processes import alive, descendants
from tests.support.sandbox_programs import HELLO, report, running, specification
from tests.support.waiting import PATIENT_TIMEOUT, until_async

from codewords_mcp.errors import SandboxFailed
from codewords_mcp.runtime.egress.intercept.authority import CertificateAuthority
from codewords_mcp.runtime.sandboxes import authorities
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Exit, Limits
from codewords_mcp.runtime.sandboxes.forkserver import fork_server as forking
from codewords_mcp.runtime.sandboxes.forkserver.fork_isolation import ForkIsolation
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.sandboxes.namespaces.inside import rootfs

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:hostile-import")]

IMPORTS = {
    "threads": ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "thread"),
    "forks": ("import os, time\nif os.fork() == 0: time.sleep(600)", "a package started a process"),
    "stdin": ("input()", "tenacity: EOFError"),
    "exit": ("import sys; sys.exit(3)", "tenacity: SystemExit"),
    "exit-at-once": ("import os; os._exit(3)", "it ended"),
    "crash": ("import os; os.kill(os.getpid(), 11)", "it ended"),
    "a-minute": ("import time; time.sleep(600)", "takes longer than"),
    "files": ("import os; kept = [open(os.devnull) for _ in range(5)]", "a package keeps 5 file"),
    "signals": ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); raise KeyboardInterrupt", "KeyboardInterrupt"),
}  # fmt: skip
"""What tenacity, a name that fork servers import, does when it is imported; and what is said of it."""


@pytest.fixture
def others() -> set[int]:
    """Processes that outlive a test: of drivers, of a database server. Each starts more whenever it likes."""
    return set(descendants(os.getpid()))


@pytest.fixture
async def driver(
    others: set[int],  # looked for before the driver has any
    proved: Path,
    opened: Opened,
    tmp_path: Path,
) -> AsyncIterator[LocalDriver]:
    """One that forks, and has no fork server yet."""
    if not proved.exists():
        async with opened(tmp_path / "first", False):
            pass
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "tier.json").write_bytes(proved.read_bytes())
    driver = await LocalDriver.open(None, run_dir, max_warm=0)
    yield driver
    await driver.close()


async def refused(driver: LocalDriver, environment: EnvironmentRef) -> str:
    """Wait until an environment has no fork server for good, and say why."""

    def answer() -> str:
        (state,) = (
            str(one["starts"])
            for one in driver.forks.describe()
            if one["environment"] == str(environment.path)
        )
        assert state != "forks"
        return "" if "being made" in state else state

    return await until_async(answer)


def nothing_is_left(run_dir: Path, others: set[int]) -> None:
    assert [path.name for path in run_dir.iterdir()] == ["tier.json"]
    assert [pid for pid in descendants(os.getpid(), without=others)[1:] if alive(pid)] == []


async def test_a_driver_closed_while_a_fork_server_boots_leaves_nothing(
    driver: LocalDriver, environment: EnvironmentRef, tmp_path: Path, others: set[int]
) -> None:
    await driver.prepare(environment)
    await asyncio.sleep(0)  # it has begun
    async with asyncio.timeout(120):
        await driver.close()
    nothing_is_left(tmp_path / "run", others)


@pytest.mark.parametrize(("spoilt", "why"), IMPORTS.values(), ids=IMPORTS, indirect=["spoilt"])
async def test_a_package_that_misbehaves_at_import_costs_its_environment_the_fork_server_only(
    driver: LocalDriver,
    spoilt: EnvironmentRef,
    tmp_path: Path,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    others: set[int],
) -> None:
    if why == "takes longer than":
        monkeypatch.setattr(forking, "BOOT_SECONDS", 1.0)
    await driver.prepare(spoilt)
    assert why in await refused(driver, spoilt)
    async with running(driver, specification(spoilt, HELLO)) as program:
        assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
    await driver.close()
    nothing_is_left(tmp_path / "run", others)


@pytest.mark.parametrize(
    ("spoilt", "exit_"),
    [(IMPORTS["exit"][0], Exit("exited", code=3)), (IMPORTS["stdin"][0], Exit("exited", code=1)), (IMPORTS["crash"][0], Exit("signaled", signal=11))],
    ids=["exit", "stdin", "crash"], indirect=["spoilt"],
)  # fmt: skip
async def test_a_program_that_imports_it_ends_as_it_would_anywhere(
    driver: LocalDriver, spoilt: EnvironmentRef, exit_: Exit
) -> None:
    await driver.prepare(spoilt)
    async with running(driver, specification(spoilt, "import tenacity")) as program:
        assert await program.ended() == exit_


SUBVERTED = {
    "no lock-down": "identity.lock_down = lambda program: None",
    "capabilities": "linux.drop_capabilities = lambda: None",
    "no filter": "identity.lock_down = lambda program: (linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1), linux.drop_capabilities())",
    "a thread": "import _thread, time\nidentity.lock_down = lambda program: (old(program), _thread.start_new_thread(time.sleep, (600,)))",
    "a process": "import os, time\nidentity.lock_down = lambda program: (os.fork() or time.sleep(600), old(program))",
    "silent": "import time\nidentity.lock_down = lambda program: time.sleep(600)",
}  # fmt: skip
"""What a server would be if code of others ran in it: its forks lock themselves down otherwise."""
SUBVERTS = "import sys\nidentity, linux = sys.modules['inside.identity'], sys.modules['inside.linux']\nold = identity.lock_down\n"


@pytest.mark.requirement("sandbox:fork-checked")
@pytest.mark.parametrize(
    "spoilt", [SUBVERTS + how for how in SUBVERTED.values()], ids=SUBVERTED, indirect=True
)
async def test_a_fork_that_is_not_locked_down_gets_no_program(
    driver: LocalDriver, spoilt: EnvironmentRef
) -> None:
    await until_it_forks(driver, spoilt)
    (pool,) = driver.forks._pools.values()  # pyright: ignore[reportPrivateUsage]
    server = await pool.server(network=True)
    assert server is not None
    isolation = server.new_isolation(network=True)
    isolation.setup_seconds = 3.0
    try:
        with pytest.raises(SandboxFailed, match=r"could not isolate|did not stand|ended before"):
            await isolation.set_up()
            await isolation.run(specification(spoilt, "print('ran')"))
        assert not isolation.program_started
    finally:
        await isolation.discard()


@pytest.mark.requirement("sandbox:fork-checked")
async def test_the_limits_of_a_program_are_set_by_process_1(
    opened: Opened, environment: EnvironmentRef, tmp_path: Path
) -> None:
    limits = "import json, resource; print(json.dumps([resource.getrlimit(n) for n in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_CORE)]))"
    async with opened(tmp_path / "run", True) as driver:
        spec = replace(
            specification(environment, limits), limits=Limits(files=333, processes=44, start_timeout=90)
        )
        assert await report(driver, spec) == [[333, 333], [45, 45], [0, 0]]


IMPORTS_ANOTHER = """
    import hypercorn
    print("imported", flush=True)
"""
SLOW = "import time; time.sleep(3)"
SLOW_AND_REFUSED = "import sys, time; time.sleep(3); sys.exit(3)"


@pytest.fixture
async def crowded(
    others: set[int], opened: Opened, tmp_path: Path
) -> AsyncIterator[LocalDriver]:  # `others`: looked for before the driver has any
    """One whose first programs wait for their server, since all processors have work."""
    async with opened(tmp_path / "run", False):  # leaves the self-test's finding
        pass
    driver = await LocalDriver.open(None, tmp_path / "run", max_warm=0, busy=lambda: True)
    yield driver
    await driver.close()


def _prepared(driver: LocalDriver) -> list[int]:
    """The isolations that wait for each server, which must not fork yet."""
    states = driver.forks.describe()  # none before the first start is under way
    assert "forks" not in [state["starts"] for state in states]
    return [state["prepared"] for state in states]


@pytest.mark.requirement("sandbox:prepared-early")
@pytest.mark.parametrize("spoilt", [SLOW], ids=["slow"], indirect=True)
async def test_isolations_of_programs_that_wait_are_made_while_their_server_still_imports(
    crowded: LocalDriver, spoilt: EnvironmentRef
) -> None:
    specs = [replace(specification(spoilt, IMPORTS_ANOTHER), id=f"run-early-{number}") for number in range(6)]
    starting = [asyncio.create_task(crowded.start(spec)) for spec in specs]

    await until_async(lambda: _prepared(crowded) == [len(specs)], "prepared isolations", PATIENT_TIMEOUT)
    for sandbox in await asyncio.gather(*starting):
        output = b"".join([chunk.data async for chunk in sandbox.output()])
        assert (output, await sandbox.wait()) == (b"imported\n", Exit("exited", code=0))
    assert forks_of(crowded, spoilt) == len(specs) + 4  # a few are kept ready


@pytest.mark.requirement("sandbox:prepared-early")
@pytest.mark.parametrize("spoilt", [SLOW_AND_REFUSED], ids=["refused"], indirect=True)
async def test_isolations_whose_server_is_refused_go_and_their_programs_start_by_exec(
    crowded: LocalDriver, spoilt: EnvironmentRef, tmp_path: Path, others: set[int]
) -> None:
    async with running(crowded, specification(spoilt, HELLO)) as program:
        assert not isinstance(program.local.isolation, ForkIsolation)
        assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
    (state,) = crowded.forks.describe()
    assert (state["prepared"], "SystemExit" in state["starts"]) == (0, True)
    await crowded.close()
    nothing_is_left(tmp_path / "run", others)


@pytest.mark.requirement("sandbox:prepared-early")
@pytest.mark.parametrize("spoilt", [SLOW], ids=["slow"], indirect=True)
async def test_a_start_that_is_cancelled_while_its_server_imports_leaves_nothing(
    crowded: LocalDriver, spoilt: EnvironmentRef, tmp_path: Path, others: set[int]
) -> None:
    starting = asyncio.create_task(crowded.start(specification(spoilt, HELLO)))
    await until_async(lambda: _prepared(crowded) == [1], "a prepared isolation", PATIENT_TIMEOUT)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await crowded.close()
    nothing_is_left(tmp_path / "run", others)


NUMBERS = """
    import os
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/")
    async def number():
        if child := os.fork():
            os.waitpid(child, 0)
            return child
        os._exit(0)

    import uvicorn
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""


@pytest.mark.requirement("sandbox:isolation")
async def test_a_server_makes_no_process_among_those_of_its_programs(
    opened: Opened, environment: EnvironmentRef, tmp_path: Path
) -> None:
    async with opened(tmp_path / "run", True) as driver:
        (state,) = driver.forks.describe()
        before = {pid: faults_of_children(pid) for pid in descendants(state["pid"])}
        async with running(driver, specification(environment, NUMBERS)) as program:
            first = int((await program.ask("GET"))[1])

            def has_learnt() -> bool:
                """A child of the server has ended, by which it learns what its forks write to."""
                return any(faults_of_children(pid) > faults for pid, faults in before.items())

            await until_async(has_learnt, "a fork of the server's own", PATIENT_TIMEOUT)
            assert int((await program.ask("GET"))[1]) == first + 1


def faults_of_children(pid: int) -> int:
    """Of children that a process has waited for."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return int(stat.rpartition(")")[2].split()[8])


@pytest.mark.requirement("sandbox:busy-processors")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_a_first_program_waits_for_its_fork_server_where_the_processors_have_work_anyway(
    opened: Opened, environment: EnvironmentRef, tmp_path: Path, busy: bool
) -> None:
    async with opened(tmp_path / "run", False):  # leaves the self-test's finding
        pass
    driver = await LocalDriver.open(None, tmp_path / "run", max_warm=0, busy=lambda: busy)
    try:
        async with running(driver, specification(environment, HELLO)) as program:
            assert await program.ask(data={"name": "Ada"}) == (200, b'{"greeting":"Hello, Ada!"}')
            assert isinstance(program.local.isolation, ForkIsolation) is busy
    finally:
        await driver.close()


READS_LISTS = """
    import json, os, pathlib
    named = os.environ.get("SSL_CERT_FILE", "")
    systems = [path for path in PATHS if os.path.isfile(path)]
    lists = {path: pathlib.Path(path).read_text()[-6:] for path in {named, *systems} if path}
    print(json.dumps([named, systems, lists]))
""".replace("PATHS", repr([f"/{name}" for name in rootfs.SYSTEM_BUNDLES]))


def forks_of(driver: LocalDriver, environment: EnvironmentRef) -> int | None:
    """How often the environment's server has forked; None before it can."""
    states = [one for one in driver.forks.describe() if one["environment"] == str(environment.path)]
    return next((int(one["forks"]) for one in states if one["starts"] == "forks"), None)


async def until_it_forks(driver: LocalDriver, environment: EnvironmentRef) -> None:
    async def forks() -> bool:
        await driver.prepare(environment)  # also after a server was given up
        return forks_of(driver, environment) is not None

    await until_async(forks, "a fork server", PATIENT_TIMEOUT)


@pytest.fixture
def shared() -> Iterator[None]:
    """Puts back the authority that sandboxes of this process share."""
    before = authorities.shared()
    yield
    authorities.share(before)


@pytest.mark.requirement("recording:bundles")
async def test_programs_trust_the_shared_authority_by_every_list_and_another_by_a_file_of_their_own(
    driver: LocalDriver, environment: EnvironmentRef, shared: None
) -> None:
    authorities.share("shared")
    await until_it_forks(driver, environment)
    spec = specification(environment, READS_LISTS)
    named, systems, ends = await report(driver, replace(spec, id="run-shared", authority="shared"))
    assert (named, ends) == (rootfs.AUTHORITIES, dict.fromkeys([named, *systems], "shared"))
    named, systems, ends = await report(driver, replace(spec, id="run-others", authority="others"))
    assert named == f"/app/{authorities.FILE}"
    assert ends == dict.fromkeys(systems, "shared") | {named: "others"}
    named, _, _ = await report(driver, spec)
    assert named == ""


@pytest.mark.requirement("recording:bundles")
async def test_a_server_whose_authority_was_renewed_gives_way_to_one_with_the_new_one(
    driver: LocalDriver, environment: EnvironmentRef, shared: None
) -> None:
    authorities.share("before")
    await until_it_forks(driver, environment)
    authorities.share("after")
    spec = replace(specification(environment, READS_LISTS), authority="after")
    named, _, ends = await report(driver, replace(spec, id="run-first"))
    assert (named, ends[named][-5:]) == (f"/app/{authorities.FILE}", "after")

    async def succeeded() -> bool:
        # A server that comes up too slowly on a busy machine is given up, and another is made when a program asks for it.
        await driver.prepare(environment)
        (pool,) = driver.forks._pools.values()  # pyright: ignore[reportPrivateUsage]
        server = pool._server  # pyright: ignore[reportPrivateUsage]
        return server is not None and server.ready and server.authority == "after"

    await until_async(succeeded, "the next server", PATIENT_TIMEOUT)
    named, _, ends = await report(driver, replace(spec, id="run-second"))
    assert named == rootfs.AUTHORITIES
    assert {text[-5:] for text in ends.values()} == {"after"}


CONTEXT_AT_IMPORT = """
import ssl

class Own(ssl.SSLContext):
    pass

VERIFIED, UNVERIFIED, OWN = ssl.create_default_context(), ssl.create_default_context(), Own(ssl.PROTOCOL_TLS_CLIENT)
OWN.load_default_certs()
UNVERIFIED.check_hostname, UNVERIFIED.verify_mode = False, ssl.CERT_NONE

class Lazy:
    @property
    def __class__(self):
        raise RuntimeError("somebody asked for what it stands for")

LAZY = Lazy()
"""
TRUSTS = """
    import json, ssl, tenacity
    contexts = [tenacity.VERIFIED, tenacity.OWN, tenacity.UNVERIFIED, ssl.create_default_context()]
    print(json.dumps([[one["serialNumber"] for one in context.get_ca_certs()] for context in contexts]))
"""


@pytest.mark.requirement("recording:bundles")
@pytest.mark.parametrize("sharing", [True, False], ids=["shared", "none shared"])
@pytest.mark.parametrize("spoilt", [CONTEXT_AT_IMPORT], ids=["context"], indirect=True)
async def test_a_context_that_a_package_made_at_import_trusts_what_one_of_the_program_does(
    driver: LocalDriver, spoilt: EnvironmentRef, shared: None, sharing: bool
) -> None:
    ours, own = CertificateAuthority(None), CertificateAuthority({"api.example.com"})
    authorities.share(ours.pem if sharing else "")
    await until_it_forks(driver, spoilt)
    spec = specification(spoilt, TRUSTS)
    for authority in (own, ours) if sharing else (own,):
        serial = f"{x509.load_pem_x509_certificate(authority.pem.encode()).serial_number:X}"
        at_import, own_kind, _, fresh = await report(
            driver, replace(spec, id=f"run-{serial}", authority=authority.pem)
        )
        assert serial in {one.lstrip("0") for one in at_import}
        assert set(fresh) <= set(at_import) == set(own_kind)
    at_import, _, unverified, fresh = await report(driver, spec)
    assert at_import == unverified
    assert set(fresh) <= set(at_import)
    assert (forks_of(driver, spoilt) or 0) >= (3 if sharing else 2)


@pytest.mark.requirement("recording:bundles")
@pytest.mark.parametrize("spoilt", [CONTEXT_AT_IMPORT], ids=["context"], indirect=True)
async def test_a_program_with_a_list_of_its_own_has_an_interpreter_of_its_own(
    driver: LocalDriver, spoilt: EnvironmentRef, tmp_path: Path
) -> None:
    await until_it_forks(driver, spoilt)
    spec = replace(
        specification(spoilt, TRUSTS), env={"SSL_CERT_FILE": "/app/none.pem", "SSL_CERT_DIR": "/app"}
    )
    assert await report(driver, spec) == [[], [], [], []]
