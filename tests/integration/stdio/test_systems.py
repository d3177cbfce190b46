"""The stdio proxy, the commands and `install` need nothing that only Linux has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.paths import PROJECT

from codewords_mcp.errors import RuntimeUnavailable
from codewords_mcp.stdio import engines, locks, runtime_choice
from codewords_mcp.stdio.engines import engines_here, read_state

pytestmark = pytest.mark.requirement("install:systems")

NATIVE = (
    "codewords_mcp.__main__", "codewords_mcp.stdio.proxy", "codewords_mcp.stdio.lifecycle", "codewords_mcp.stdio.spawn",
    "codewords_mcp.stdio.home_lock", "codewords_mcp.stdio.containers", "codewords_mcp.cli.app", "codewords_mcp.cli.install",
    "codewords_mcp.cli.doctor", "codewords_mcp.cli.doctor.machine", "codewords_mcp.cli.hosts.config_change",
)  # fmt: skip
"""Modules that run on a person's machine, whatever runs the workflows."""
AS_WINDOWS = """
import importlib, importlib.abc, sys, types

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in {"fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "uvloop"}:
            raise ImportError(f"{name} is not on Windows")

names = sys.argv[1:]
# Everything else first, as this system has it; then our own modules again, as Windows would.
for name in names:
    importlib.import_module(name)
for name in [name for name in sys.modules if name.startswith("codewords_mcp")]:
    del sys.modules[name]
for name in ("fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "uvloop"):
    sys.modules.pop(name, None)
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
sys.meta_path.insert(0, Refuse())
sys.platform = "win32"
for name in names:
    importlib.import_module(name)
"""


def test_no_module_of_the_native_part_imports_what_windows_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_WINDOWS, *NATIVE],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_the_native_part_is_typed_right_for_other_systems(system: str) -> None:
    checked = ["src/codewords_mcp/stdio", "src/codewords_mcp/__main__.py", "src/codewords_mcp/cli/install.py"]
    checked += [
        "src/codewords_mcp/cli/_runtime_choice.py",
        "src/codewords_mcp/cli/_connect.py",
        "src/codewords_mcp/cli/stop.py",
    ]
    checked += ["src/codewords_mcp/cli/hosts", "src/codewords_mcp/cli/doctor"]
    done = subprocess.run(
        [Path(sys.executable).parent / "pyright", "--pythonplatform", system, *checked], cwd=PROJECT,
        capture_output=True, encoding="utf-8", timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_one_descriptor_holds_a_lock_and_others_see_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w+", encoding="utf-8") as one, path.open("r+", encoding="utf-8") as other:
        assert not locks.is_held(other.fileno())
        assert locks.try_lock(one.fileno())
        assert locks.is_held(other.fileno())
        assert not locks.try_lock(other.fileno())
        one.write("read while locked")
        one.flush()
        assert other.read() == "read while locked"
    with path.open("r+", encoding="utf-8") as later:
        assert not locks.is_held(later.fileno()), "the lock goes with its descriptor"
        assert locks.try_lock(later.fileno())


@pytest.mark.parametrize(
    ("system", "programs", "words"),
    [
        ("linux", {"podman": "/usr/bin/podman"}, [["/usr/bin/podman"]]),
        ("darwin", {"docker": "/d", "container": "/c"}, [["/d"], ["/c"]]),
        ("linux", {"container": "/c"}, []),
        ("win32", {"docker": r"C:\d.exe", "wsl.exe": r"C:\wsl.exe"}, [[r"C:\d.exe"]]),
        (
            "win32",
            {"wsl.exe": r"C:\wsl.exe"},
            [[r"C:\wsl.exe", "--exec", "docker"], [r"C:\wsl.exe", "--exec", "podman"]],
        ),
        ("darwin", {}, []),
    ],
)
def test_engines_are_found_as_each_system_has_them(
    system: str, programs: dict[str, str], words: list[list[str]]
) -> None:
    assert [list(engine.words) for engine in engines_here({}, programs.get, system)] == words


@pytest.mark.parametrize(
    ("line", "system", "kind"),
    [
        ("podman --runtime runc", "linux", "podman"),
        ("sudo /usr/bin/docker", "linux", "docker"),
        (r"C:\Tools\docker.exe", "win32", "docker"),
    ],
)
def test_a_person_names_the_engine_with_its_own_options(line: str, system: str, kind: str) -> None:
    env = {"CODEWORDS_CONTAINER_ENGINE": line, "CODEWORDS_CONTAINER_ARGUMENTS": "--memory 4g"}
    [engine] = engines_here(env, lambda _: None, system)
    assert (engine.kind, engine.arguments) == (kind, ("--memory", "4g"))
    with pytest.raises(RuntimeUnavailable, match="no engine that is known"):
        engines_here({"CODEWORDS_CONTAINER_ENGINE": "systemd-nspawn"})


def test_what_a_container_is_started_with_fits_each_engine() -> None:
    for kind in engines.TITLES:
        engine = engines.ContainerEngine([kind], kind)
        words = engine.run_words(
            "codewords",
            "image",
            version="1.2.3",
            port=8765,
            profile="/p.json",
            variables=["CODEWORDS_API_KEY"],
            volume="v",
        )
        options = {words[at + 1] for at, word in enumerate(words) if word == "--security-opt"}
        assert words[words.index("--publish") + 1] == "127.0.0.1:8765:8765"
        assert not {"--privileged", "--cap-add"} & set(words)
        assert bool(options) == (kind != "container")
        assert ("seccomp=/p.json" in options) == (kind != "container")
        assert words[words.index("image") :] == ["image", "serve", "--host", "0.0.0.0", "--port", "8765"]


def test_both_forms_of_a_containers_description_are_read() -> None:
    usual = [{"State": {"Running": True}, "Config": {"Labels": {"codewords.version": "0.1.0"}}}]
    apples = [{"status": "stopped", "configuration": {"labels": {"codewords.version": "0.2.0"}}}]
    read = [read_state(json.dumps(found)) for found in (usual, apples)]
    assert [(state.is_running, state.version) for state in read if state is not None] == [
        (True, "0.1.0"),
        (False, "0.2.0"),
    ]
    for text in ("", "[]", "{}", "[1]", "null", '[{"State": {}}]'):
        assert read_state(text) is None


def test_the_environment_decides_before_the_home_and_a_broken_file_is_no_choice(tmp_path: Path) -> None:
    home = str(tmp_path)
    assert runtime_choice.read(home, {}).kind == "local"
    runtime_choice.keep(home, runtime_choice.RuntimeChoice("remote", "https://a.example", "secret"))
    kept = runtime_choice.read(home, {})
    assert (kept.kind, kept.url, kept.key) == ("remote", "https://a.example", "secret")
    assert runtime_choice.read(home, {"CODEWORDS_RUNTIME": "container"}).kind == "container"
    other = runtime_choice.read(home, {"CODEWORDS_RUNTIME_URL": "https://b.example"})
    assert (other.url, other.key) == ("https://b.example", ""), "a key goes only where it was made for"
    for text in ("", "[]", '{"runtime": "remote"}', '{"runtime": 1}', "\x00"):
        (tmp_path / runtime_choice.FILE).write_text(text, encoding="utf-8")
        assert runtime_choice.read(home, {}).kind == "local"
