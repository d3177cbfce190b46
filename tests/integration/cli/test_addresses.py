"""Addresses last: a home keeps its port, says when it cannot have it, and what starts its runtime again."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.terminal import FEW, Shell
from tests.support.runtime import make_home

from codewords_mcp.cli._address import HomePorts, listen, read_ports
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.availability import Hosting, availability
from codewords_mcp.settings import Settings
from codewords_mcp.stdio import home as homes


@pytest.fixture
def free() -> Iterator[int]:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[Shell]:
    """A shell with a home of its own, whose runtime is ended."""
    shell = Shell(make_home(tmp_path / "home", FEW))
    yield shell
    shell("codewords", "stop")


def settings(home: Path, **given: object) -> Settings:
    home.mkdir(exist_ok=True)
    return Settings().model_copy(update={"home": home, **given})


@pytest.mark.requirement("home:address-lasts")
def test_a_free_port_that_a_home_got_is_its_port_from_then_on(tmp_path: Path) -> None:
    with listen(settings(tmp_path, port=0), any_port=False).socket as first:
        port = first.getsockname()[1]
    for given in ({}, {"port": 0}):
        again = listen(settings(tmp_path, **given), any_port=True)
        with again.socket:
            assert (again.port, again.missed_port) == (port, None)


@pytest.mark.requirement("home:address-lasts")
def test_a_port_that_is_given_is_kept_and_replaces_the_one_before(tmp_path: Path, free: int) -> None:
    listen(settings(tmp_path, port=0), any_port=False).socket.close()
    listen(settings(tmp_path, port=free), any_port=False).socket.close()
    assert read_ports(tmp_path).own == free


@pytest.mark.requirement("home:address-lasts")
def test_a_taken_port_is_missed_and_its_substitute_is_the_same_each_time(tmp_path: Path, free: int) -> None:
    listen(settings(tmp_path, port=free), any_port=False).socket.close()
    with socket.create_server(("127.0.0.1", free)):
        seen: set[int] = set()
        for _ in range(2):
            listener = listen(settings(tmp_path), any_port=True)
            with listener.socket:
                assert listener.missed_port == free
                seen.add(listener.port)
        assert len(seen) == 1
        with pytest.raises(InvalidInput, match="It is the port of this home"):
            listen(settings(tmp_path), any_port=False)
    with listen(settings(tmp_path), any_port=True).socket as own:
        assert own.getsockname()[1] == free


@pytest.mark.requirement("home:address-lasts")
def test_a_home_that_never_had_the_usual_port_misses_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        usual = settings(tmp_path).model_copy(update={"port": other.getsockname()[1]})
        usual.model_fields_set.discard("port")
        listener = listen(usual, any_port=True)
        with listener.socket:
            assert listener.missed_port is None
            assert read_ports(tmp_path) == HomePorts(listener.port)


@pytest.mark.requirement("home:address-lasts")
@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"own": "8"}', '{"own": true}', '{"own": 70000}', "\x00"]
)
def test_a_damaged_port_file_is_no_port(tmp_path: Path, content: str) -> None:
    (tmp_path / "port.json").write_text(content, encoding="utf-8")
    assert read_ports(tmp_path) == HomePorts()


@pytest.mark.requirement("home:address-lasts")
@pytest.mark.slow
def test_a_runtime_whose_port_another_program_has_says_so_wherever_it_gives_an_address(
    ended: Shell, free: int, tmp_path: Path
) -> None:
    ended.extra["CODEWORDS_PORT"] = str(free)
    assert ended("codewords", "list", "--json").code == 0
    first = homes.read_info(str(ended.home))
    assert first is not None
    assert first.url.endswith(f":{free}")
    assert ended("codewords", "stop").code == 0
    del ended.extra["CODEWORDS_PORT"]
    with socket.create_server(("127.0.0.1", free)):
        listed = ended("codewords", "list", "--json")
        assert listed.json == []
        assert f"Another program has port {free} of this home" in listed.err
        address = {one["id"]: one for one in ended("codewords", "doctor", "--json").json["checks"]}["address"]
        assert address["status"] == "warning"
        assert f"port {free}" in address["detail"]
        assert "`codewords stop`" in address["fix"]
        log = Path(homes.log_path(str(ended.home))).read_text(encoding="utf-8")
        assert "another program has the port of this home" in log
        done = ended("codewords", "deploy", "--template", "greeting", "--json")
        assert done.json["availability"]["missed_port"] == free
        assert ended("codewords", "stop").code == 0
    ended("codewords", "list")
    again = homes.read_info(str(ended.home))
    assert again is not None
    assert again.url == first.url
    assert ended("codewords", "doctor", "--json").json["status"]["availability"]["missed_port"] is None


@pytest.mark.requirement("home:address-lasts")
@pytest.mark.parametrize(
    ("hosting", "awaits", "ends", "starts", "words"),
    [
        (Hosting("detached", 1800), False, True, False, "ends after 30 min without use"),
        (Hosting("detached", 1800), True, False, False, "stays up for its schedules"),
        (Hosting("detached", 0), False, False, False, "does not end by itself"),
        (Hosting("detached", 1800, service_installed=lambda: True), False, True, True, "starts with your session"),
        (Hosting("service"), False, False, True, "starts with your session"),
        (Hosting("terminal"), True, False, None, "until the command in its terminal ends"),
        (Hosting("supervisor"), True, False, None, "after a reboot that has to start it again"),
    ],
)  # fmt: skip
def test_a_runtime_says_what_ends_it_and_what_starts_it_again(
    hosting: Hosting, *, awaits: bool, ends: bool, starts: bool | None, words: str
) -> None:
    told = availability(hosting, "http://127.0.0.1:1", awaits_events=awaits)
    assert (told.ends_when_idle, told.starts_with_session) == (ends, starts)
    assert words in told.sentence
    installs = told.remedy is not None and told.remedy.action == "install_service"
    assert installs == (starts is not True and hosting.started_by != "supervisor")


@pytest.mark.requirement("cli:settings-conflict")
@pytest.mark.slow
def test_settings_that_a_running_runtime_was_not_started_with_are_told(ended: Shell) -> None:
    ended.extra = {"CODEWORDS_PORT": "0", "CODEWORDS_CONCURRENCY": "7"}
    assert ended("codewords", "list").err == ""
    assert ended("codewords", "list").err == ""
    published = (ended.home / "runtime.json").read_text(encoding="utf-8")
    assert json.loads(published)["settings"]["concurrency"] != "7"
    ended.extra |= {
        "CODEWORDS_CONCURRENCY": "8",
        "CODEWORDS_MEMORY_LIMIT": "1000000",
        "CODEWORDS_LOG_LEVEL": "ERROR",
    }
    told = ended("codewords", "list", "--json")
    assert told.json == []
    assert "CODEWORDS_CONCURRENCY, CODEWORDS_MEMORY_LIMIT are ignored" in told.err
    assert "`codewords stop`" in told.err
    checks = {one["id"]: one for one in ended("codewords", "doctor", "--json").json["checks"]}
    assert checks["settings"]["status"] == "warning"
    assert ended("codewords", "stop").code == 0
    assert "ignored" not in ended("codewords", "list").err


SYSTEMCTL = """\
#!{python}
import os, subprocess, sys
with open({record!r}, "a") as record:
    record.write(" ".join(sys.argv[1:]) + "\\n")
if "fail" in os.environ.get("SYSTEMCTL", ""):
    sys.exit("no bus")
unit = {unit!r}
if "restart" in sys.argv:
    command = [line for line in open(unit) if line.startswith("ExecStart=")][0].partition("=")[2]
    subprocess.Popen(command, shell=True, start_new_session=True, stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, CODEWORDS_HOME={home!r}))
if "--now" in sys.argv:
    subprocess.run([{python!r}, "-m", "codewords_mcp", "stop"], env=dict(os.environ, CODEWORDS_HOME={home!r}))
"""


@pytest.mark.requirement("service:install")
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_a_service_is_installed_told_and_taken_out_again(ended: Shell, tmp_path: Path) -> None:
    config, tools, record = tmp_path / "config", tmp_path / "bin", tmp_path / "record"
    ended.extra = {"CODEWORDS_PORT": "0", "XDG_CONFIG_HOME": str(config), "WSL_DISTRO_NAME": ""}
    shown = ended("codewords-mcp", "service", "install", "--print", "--json").json
    unit = Path(shown["file"])
    assert unit.is_relative_to(config)
    tools.mkdir()
    systemctl = tools / "systemctl"
    systemctl.write_text(
        SYSTEMCTL.format(python=sys.executable, record=str(record), unit=str(unit), home=str(ended.home)),
        encoding="utf-8",
    )
    systemctl.chmod(0o755)
    ended.extra["PATH"] = f"{tools}{os.pathsep}{ended.env['PATH']}"

    ended.extra["SYSTEMCTL"] = "fail"
    failed = ended("codewords-mcp", "service", "install")
    assert failed.code == 3
    assert "no bus" in failed.err
    assert not unit.exists()
    del ended.extra["SYSTEMCTL"]

    assert ended("codewords-mcp", "service", "status").code == 1
    assert ended("codewords", "list").code == 0  # a detached one has the home now
    installed = ended("codewords-mcp", "service", "install", "--json")
    assert installed.code == 0, installed.err
    assert unit.read_text(encoding="utf-8") == shown["content"]
    assert record.read_text(encoding="utf-8").splitlines()[-3:] == [
        "--user daemon-reload", f"--user enable {unit.name}", f"--user restart {unit.name}",
    ]  # fmt: skip
    assert ended("codewords-mcp", "service", "status", "--json").json["installed"] is True
    address = {one["id"]: one for one in ended("codewords", "doctor", "--json").json["checks"]}["address"]
    assert (address["status"], address["detail"]) == ("ok", "It starts with your session.")

    assert ended("codewords-mcp", "service", "uninstall").code == 0
    assert not unit.exists()
    assert not (ended.home / "service.json").exists()
    assert "no service" in ended("codewords-mcp", "service", "uninstall").out


@pytest.mark.requirement("service:install")
@pytest.mark.slow
def test_a_service_waits_for_a_runtime_that_a_command_started_before(ended: Shell) -> None:
    ended.extra = {"CODEWORDS_PORT": "0"}
    assert ended("codewords", "list").code == 0
    before = homes.find(str(ended.home))
    service = ended.start("codewords-mcp", "serve", "--service")
    assert before is not None
    assert service.stderr is not None
    assert f"waiting: Another runtime (pid {before.pid})" in service.stderr.readline()
    assert ended("codewords", "stop").code == 0
    while homes.find(str(ended.home)) is None:
        assert service.poll() is None
    after = homes.find(str(ended.home))
    assert after is not None
    assert after.pid == service.pid
    assert after.url == before.url
    service.terminate()
    service.communicate()
