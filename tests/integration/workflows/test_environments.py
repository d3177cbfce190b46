"""Environments by the real uv from the real index."""

from __future__ import annotations

import asyncio
import errno
import json
import marshal
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.workflows.helpers import open_environments
from tests.support.needs import require
from tests.support.runtime import warm_folder

from codewords_mcp.errors import EnvironmentFailed, StorageFailed
from codewords_mcp.runtime.workflows.environments import bytecode
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.environments.installed import Environment
from codewords_mcp.runtime.workflows.environments.pythons import own_python
from codewords_mcp.runtime.workflows.environments.uv import Uv
from codewords_mcp.runtime.workflows.script import Script, parse_script

pytestmark = pytest.mark.anyio
SMALL = "idna==3.10"
OWN = own_python().short
OWN_PIN = f"=={OWN}.*"


def script(*dependencies: str, python: str = OWN_PIN, more: str = "") -> Script:
    listed = ", ".join(f'"{one}"' for one in dependencies)
    return parse_script(
        f'# /// script\n# requires-python = "{python}"\n# dependencies = [{listed}]\n{more}# ///\n'
    )


def imports(environment: Environment, code: str) -> str:
    """What the base Python prints with the environment's packages on its path."""
    python = environment.base_prefix / "bin" / f"python{environment.python_version}"
    env = {"PYTHONPATH": str(environment.site_packages), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath}
    return subprocess.run(
        [python, "-c", code], env=env, check=True, capture_output=True, encoding="utf-8"
    ).stdout.strip()


def leftovers(root: Path) -> list[str]:
    return [path.name for path in (root / "environments").glob(".tmp-*")]


@pytest.mark.requirement("environments:build")
async def test_an_environment_holds_the_locked_packages_and_is_built_once(
    environments: Environments, tmp_path: Path
) -> None:
    said: list[str] = []

    async def progress(done: float, total: float, message: str) -> None:
        said.append(message)

    first = await environments.ensure(script(SMALL), progress)
    again = await environments.ensure(script(SMALL.replace("idna", "IDNA").replace("==", " == ")), progress)
    assert (first.built, again.built) == (True, False)
    assert first.lock == "idna==3.10\n"
    assert (again.hash, again.path, again.lock) == (first.hash, first.path, first.lock)
    assert imports(first, "import idna; print(idna.__version__)") == "3.10"
    assert said[0] == "Resolving dependencies"
    assert said.count("Environment ready") == 1
    assert {"python", "install", "check", "total"} <= set(first.timings_ms)
    assert leftovers(tmp_path) == []


@pytest.mark.requirement("environments:build")
async def test_a_script_without_dependencies_has_an_empty_environment(environments: Environments) -> None:
    environment = await environments.ensure(script())
    assert environment.lock == ""
    assert imports(environment, "print(1)") == "1"


@pytest.mark.requirement("environments:bytecode")
async def test_packages_come_with_bytecode_that_needs_no_time_stamp(environments: Environments) -> None:
    environment = await environments.ensure(script(SMALL))
    compiled = next((environment.site_packages / "idna" / "__pycache__").glob("core.*.pyc"))
    assert (
        int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01
    )  # a hash that is not checked (PEP 552)
    assert compiled.stat().st_nlink > 1  # shared with the cache and every other environment


@pytest.mark.requirement("environments:sandbox_paths")
async def test_nothing_in_an_environment_names_a_folder_of_this_machine(
    environments: Environments, tmp_path: Path
) -> None:
    environment = await environments.ensure(script("uvicorn==0.34.2"))
    target = os.readlink(environment.path / "bin" / "python")
    assert target in {
        f"/python/bin/python{environment.python_version}",
        f"/usr/bin/python{environment.python_version}",
    }
    for file in [
        environment.path / "pyvenv.cfg",
        environment.path / "bin" / "uvicorn",
        *environment.site_packages.glob("*/RECORD"),
    ]:
        assert str(tmp_path) not in file.read_text(encoding="utf-8")
        assert (
            str(environment.base_prefix) not in file.read_text(encoding="utf-8")
            or str(environment.base_prefix) == "/usr"
        )
    ref = environment.ref
    assert (ref.path, ref.base_prefix, ref.python_version) == (
        environment.path,
        environment.base_prefix,
        "3.11",
    )


@pytest.mark.requirement("environments:sandbox_paths")
async def test_a_script_of_a_package_runs_by_the_python_beside_it(
    environments: Environments, tmp_path: Path
) -> None:
    environment = await environments.ensure(script("uvicorn==0.34.2"))
    here = tmp_path / "elsewhere" / "bin"
    here.mkdir(parents=True)
    shutil.copy(environment.path / "bin" / "uvicorn", here)
    (here / "python").symlink_to(
        environment.base_prefix / "bin" / f"python{environment.python_version}"
    )  # as a sandbox has it
    env = {"PYTHONPATH": str(environment.site_packages), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath}
    told = subprocess.run(
        [here / "uvicorn", "--version"], env=env, check=True, capture_output=True, encoding="utf-8"
    )
    assert "uvicorn 0.34.2" in told.stdout


@pytest.mark.requirement("environments:disk")
async def test_environments_share_every_file_that_is_equal(environments: Environments) -> None:
    first = await environments.ensure(script("uvicorn==0.34.2"))
    second = await environments.ensure(script("uvicorn==0.34.2", SMALL))

    def files(environment: Environment) -> dict[str, tuple[int, int]]:
        return {
            str(path.relative_to(environment.path)): (path.stat().st_ino, path.stat().st_size)
            for path in environment.path.rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    one, two = files(first), files(second)
    assert set(one) - {"pyvenv.cfg"} < set(two)
    assert {name for name in one if one[name] != two[name]} == {"pyvenv.cfg"}
    await environments.collect({first.hash, second.hash}, older_than=0)
    assert files(first) == one


@pytest.mark.requirement("environments:progress")
async def test_what_is_fetched_is_told_while_it_is_fetched(tmp_path: Path) -> None:
    said: list[tuple[float, str]] = []

    async def progress(done: float, total: float, message: str) -> None:
        said.append((done / total, message))

    # A cache of its own: nothing is there yet.
    await open_environments(tmp_path).ensure(script("pydantic-core==2.33.1"), progress)
    assert [message for _, message in said if message.startswith("Downloading pydantic-core (")]
    assert [done for done, _ in said] == sorted(done for done, _ in said)


@pytest.mark.slow
@pytest.mark.requirement("workflows:client")
async def test_any_pin_of_the_client_gets_ours_and_pypi_gets_the_registrys(
    environments: Environments,
) -> None:
    for pin in ("==0.2.4", "==0.4.11", ">=0.1", ""):
        ours = await environments.ensure(script(f"codewords-client{pin}"))
        assert "codewords-client==0.4.11+codewords.mcp\n" in ours.lock
    theirs = await environments.ensure(
        script("codewords-client==0.2.4", more='# [tool.codewords]\n# client = "pypi"\n')
    )
    assert "codewords-client==0.2.4\n" in theirs.lock
    assert theirs.hash != ours.hash


@pytest.mark.requirement("environments:reasons")
@pytest.mark.parametrize(
    ("dependencies", "reason"),
    [
        (["this-package-does-not-exist-anywhere-1"], "No package called this-package-does-not-exist-anywhere-1 is in the index."),
        (["idna==999.0"], "No version of idna matches idna==999.0."),
        (["idna>=999,<1000"], "No version of idna matches idna<1000,>=999; the newest is 3."),
        (["idna>3", "idna<2.5"], "The script asks for idna<2.5 and for idna>3 at once."),
        (["fastapi==0.115.12", "starlette==0.20.0"], "fastapi==0.115.12 needs starlette>=0.40.0,<0.47.0, but the script asks for starlette==0.20.0."),
        (["pandas==2.2.3", "numpy<1.20"], "pandas==2.2.3 needs numpy>=1.23.2, but the script asks for numpy<1.20."),
        (["langchain==0.1.0", "langchain-core==0.3"], "langchain==0.1.0 needs langsmith>=0.0.77,<0.1.0, but langchain-core==0.3.0 needs langsmith>=0.1.117,<0.2.0."),
        (["httpx==0.25.0", "httpcore==1.0.9", "h11==0.9"], "httpcore>=1.0.9 needs h11>=0.16, but the script asks for h11==0.9."),
        pytest.param(["django==6.0"], "django==6.0 needs Python >=3.12, and the script runs on 3.11.", marks=pytest.mark.skipif(OWN != "3.11", reason="its Python is new enough")),
        (["tensorflow==1.15"], f"tensorflow==1.15.0 has no wheel for Python {OWN} on this machine, and building"),
        (["docopt==0.6.2"], f"docopt==0.6.2 has no wheel for Python {OWN} on this machine, and building"),
    ],
)  # fmt: skip
async def test_what_cannot_be_installed_is_told_in_a_sentence(
    environments: Environments, tmp_path: Path, dependencies: list[str], reason: str
) -> None:
    with pytest.raises(EnvironmentFailed) as caught:
        await environments.ensure(script(*dependencies))
    assert caught.value.message.startswith(reason)
    assert len(caught.value.message) < 250
    assert caught.value.hint
    assert leftovers(tmp_path) == []


@pytest.mark.requirement("environments:reasons")
@pytest.mark.parametrize(
    ("index", "told"),
    [
        ("http://127.0.0.1:9/simple", "127.0.0.1:9 cannot be reached: the connection was refused."),
        ("http://me:pass-9@[::1]:9/simple", "[::1]:9 cannot be reached: the connection was refused."),
        (
            "https://me:pass-9@index.invalid/s",
            "index.invalid cannot be reached: its name cannot be resolved.",
        ),
    ],
)
async def test_an_index_that_cannot_be_reached_is_named_with_the_cause_and_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str, told: str
) -> None:
    for name in ("UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(EnvironmentFailed) as caught:
        await open_environments(tmp_path).ensure(script(SMALL))
    assert caught.value.message == f"The package index {told}"
    assert "pass-9" not in str(caught.value)


@pytest.mark.requirement("environments:join")
async def test_calls_at_the_same_time_share_one_build(environments: Environments) -> None:
    together = await asyncio.gather(*(environments.ensure(script("idna==3.9")) for _ in range(8)))
    assert len({one.path for one in together}) == 1
    assert len({one.timings_ms["install"] for one in together}) == 1


@pytest.mark.requirement("environments:join")
async def test_one_caller_that_gives_up_or_breaks_does_not_take_the_build_from_another(
    environments: Environments,
) -> None:
    building = asyncio.Event()

    async def deaf(done: float, total: float, message: str) -> None:
        building.set()
        raise RuntimeError("nobody listens")

    leaves = asyncio.create_task(environments.ensure(script("idna==3.8"), deaf))
    stays = asyncio.create_task(environments.ensure(script("idna==3.8")))
    await building.wait()
    leaves.cancel()
    assert (await stays).built
    assert leaves.cancelled()


@pytest.mark.requirement("environments:join")
async def test_who_comes_while_a_given_up_build_is_ending_gets_one_of_its_own(
    environments: Environments,
) -> None:
    building = asyncio.Event()

    async def progress(done: float, total: float, message: str) -> None:
        building.set()

    leaves = asyncio.create_task(environments.ensure(script("idna==3.6"), progress))
    await building.wait()
    leaves.cancel()
    await asyncio.sleep(0)  # the build has been told to end, and has not ended
    assert (await environments.ensure(script("idna==3.6"))).built
    assert leaves.cancelled()


@pytest.mark.requirement("environments:atomic")
async def test_a_build_that_everybody_gave_up_leaves_nothing(
    environments: Environments, tmp_path: Path
) -> None:
    building = asyncio.Event()

    async def progress(done: float, total: float, message: str) -> None:
        if message == "Installing packages":
            building.set()

    task = asyncio.create_task(environments.ensure(script("idna==3.7"), progress))
    await building.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert leftovers(tmp_path) == []
    assert not [path for path in (tmp_path / "environments").iterdir() if path.name != "locks"]
    assert (await environments.ensure(script("idna==3.7"))).built


def _build_in_another_process(home: str, started: object, dependency: str) -> None:
    async def run() -> None:
        async def progress(done: float, total: float, message: str) -> None:
            if message == "Installing packages":
                started.set()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

        await open_environments(Path(home)).ensure(script(dependency), progress)

    asyncio.run(run())


@pytest.mark.requirement("environments:atomic")
async def test_a_runtime_killed_while_it_builds_leaves_nothing_that_is_taken_for_an_environment(
    environments: Environments, tmp_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    started = spawn.Event()
    process = spawn.Process(target=_build_in_another_process, args=(str(tmp_path), started, "idna==3.6"))
    process.start()
    assert await asyncio.to_thread(started.wait, 60)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert leftovers(tmp_path)
    environment = await environments.ensure(script("idna==3.6"))
    assert imports(environment, "import idna; print(idna.__version__)") == "3.6"
    await environments.collect({environment.hash}, older_than=0)
    assert leftovers(tmp_path) == []
    assert environment.path.is_dir()


@pytest.mark.requirement("environments:join")
async def test_two_runtimes_may_build_the_same_environment(
    environments: Environments, tmp_path: Path
) -> None:
    other = open_environments(tmp_path)
    one, two = await asyncio.gather(
        environments.ensure(script("idna==3.4")), other.ensure(script("idna==3.4"))
    )
    assert one.path == two.path
    assert imports(one, "import idna; print(idna.__version__)") == "3.4"
    assert leftovers(tmp_path) == []


@pytest.mark.requirement("environments:collect")
async def test_unused_environments_go_and_come_back_with_the_same_versions(
    environments: Environments, tmp_path: Path
) -> None:
    kept, unused = (
        await environments.ensure(script("idna==3.10")),
        await environments.ensure(script("idna>=3")),
    )
    assert await environments.collect({kept.hash}, older_than=3600) == 0
    assert await environments.collect({kept.hash}, older_than=0) == 1
    assert kept.path.is_dir()
    assert not unused.path.exists()
    lock = tmp_path / "environments" / "locks" / f"{unused.hash}.txt"
    lock.write_text("idna==3.4\n", encoding="utf-8")  # as if the index had moved on since
    assert (await environments.ensure(script("idna>=3"))).lock == "idna==3.4\n"


@pytest.mark.requirement("environments:collect")
async def test_asking_for_an_environment_keeps_it(environments: Environments) -> None:
    environment = await environments.ensure(script(SMALL))
    old = time.time() - 7200
    os.utime(environment.path.parent, (old, old))
    await environments.ensure(script(SMALL))
    assert await environments.collect(set(), older_than=3600) == 0


@pytest.mark.requirement("environments:storage")
async def test_a_full_disk_is_an_error_of_storage_and_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    require("root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", small], check=True)
    try:
        (small / "cache").symlink_to(warm_folder() / "cache")
        with pytest.raises(StorageFailed, match="cannot be written"):
            await open_environments(small).ensure(script("pydantic==2.11.3"))
        assert leftovers(small) == []
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.requirement("environments:storage")
def test_bytecode_that_does_not_fit_is_told_and_none_is_left_half_written(tmp_path: Path) -> None:
    """A half would be imported, in vain, by every environment that shares the package."""
    (tmp_path / "large.py").write_text(f"x = {list(range(1000, 9000))}", encoding="utf-8")
    command = [sys.executable, "-I", "-S", str(Path(bytecode.__file__)), "-qq", "-j", "2", str(tmp_path)]

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    full = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", preexec_fn=no_room)
    assert full.returncode
    assert os.strerror(errno.EFBIG) in full.stderr
    assert list((tmp_path / "__pycache__").iterdir()) == []
    subprocess.run(command, check=True)
    (whole,) = (tmp_path / "__pycache__").iterdir()
    assert marshal.loads(whole.read_bytes()[16:])


@pytest.mark.requirement("environments:storage")
async def test_a_home_that_is_a_file_is_an_error_of_storage(tmp_path: Path) -> None:
    (tmp_path / "environments").write_text("", encoding="utf-8")
    (tmp_path / "cache").symlink_to(warm_folder() / "cache")
    with pytest.raises(StorageFailed, match="cannot be written"):
        await open_environments(tmp_path).ensure(script(SMALL))


@pytest.mark.requirement("environments:storage")
async def test_a_damaged_description_says_what_to_remove(environments: Environments) -> None:
    environment = await environments.ensure(script(SMALL))
    (environment.path.parent / "environment.json").write_text("{", encoding="utf-8")
    with pytest.raises(StorageFailed, match="damaged"):
        await environments.ensure(script(SMALL))


@pytest.mark.requirement("environments:closed")
async def test_uv_sees_neither_the_homes_credentials_nor_switches_that_change_what_it_builds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (
        "OPENAI_API_KEY",
        "UV_OVERRIDE",
        "UV_CONSTRAINT",
        "UV_LINK_MODE",
        "PYTHONPATH",
        "VIRTUAL_ENV",
    ):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("UV_INDEX_PRIVATE_USERNAME", "somebody")
    environment = Uv(Path("uv"), Path("cache")).environment()
    assert not {
        "OPENAI_API_KEY",
        "UV_OVERRIDE",
        "UV_CONSTRAINT",
        "UV_LINK_MODE",
        "PYTHONPATH",
        "VIRTUAL_ENV",
    } & set(environment)
    assert {"UV_CACHE_DIR", "UV_INDEX_PRIVATE_USERNAME", "PATH"} <= set(environment)


@pytest.mark.requirement("environments:storage")
async def test_environments_on_another_disk_than_the_cache_are_copied(tmp_path: Path) -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("needs a second disk: /dev/shm")
    home = Path(f"/dev/shm/{tmp_path.name}-{os.getpid()}")
    home.mkdir()
    try:
        (home / "cache").symlink_to(warm_folder() / "cache")
        environment = await open_environments(home).ensure(script(SMALL))
        assert imports(environment, "import idna; print(idna.__version__)") == "3.10"
        assert next((environment.site_packages / "idna" / "__pycache__").glob("core.*.pyc")).is_file()
        facts = json.loads((environment.path.parent / "environment.json").read_text(encoding="utf-8"))
        assert facts["hash"] == environment.hash
    finally:
        shutil.rmtree(home)
