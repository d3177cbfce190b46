"""The runtime as a service of a session: the files for each manager, and what is kept for it in the home."""

from __future__ import annotations

import json
import os
import plistlib
import shutil
import stat
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from codewords_mcp.cli.hosts import session_service as services
from codewords_mcp.cli.hosts.session_service import MANAGERS, SessionService
from codewords_mcp.errors import InvalidInput

pytestmark = pytest.mark.requirement("service:files")
ODD = Path('/srv/a home/100% $HOME "quoted" é')


@pytest.fixture
def service() -> SessionService:
    """A home whose path has every character that a unit, a plist or a command line gives a meaning of its own."""
    return SessionService(
        ODD, "codewords-test", ("/opt/a b/python", "-P", "-m", "codewords_mcp", "serve", "--service")
    )


def test_a_systemd_unit_with_an_odd_path_passes_systemds_own_check(
    service: SessionService, tmp_path: Path
) -> None:
    checker = shutil.which("systemd-analyze")
    unit = tmp_path / "codewords-test.service"
    real = SessionService(ODD, "codewords-test", ("/bin/sh", *service.command[1:], "100% $HOME"))
    unit.write_bytes(MANAGERS["systemd"].content(real))
    text = unit.read_text(encoding="utf-8")
    assert 'Environment="CODEWORDS_HOME=/srv/a home/100%% $HOME \\"quoted\\" é"' in text
    assert '"100%% $$HOME"' in text
    assert {"Restart=on-failure", "Delegate=yes", "WantedBy=default.target"} <= set(text.splitlines())
    if checker:
        done = subprocess.run(
            [checker, "--user", "--man=no", "verify", str(unit)], capture_output=True, encoding="utf-8", check=False,
            env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        )  # fmt: skip
        assert (done.returncode, str(unit) in done.stderr) == (0, False), done.stderr


def test_a_launchd_agent_starts_at_sign_in_and_again_after_a_failure_only(service: SessionService) -> None:
    agent = plistlib.loads(MANAGERS["launchd"].content(service))
    assert agent["ProgramArguments"] == list(service.command)
    assert agent["EnvironmentVariables"] == {"CODEWORDS_HOME": str(ODD)}
    assert (agent["RunAtLoad"], agent["KeepAlive"]) == (True, {"SuccessfulExit": False})


def test_a_windows_task_starts_the_runtime_inside_wsl_at_sign_in(
    service: SessionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSL_DISTRO_NAME", "Debian")
    task = ET.fromstring(MANAGERS["windows"].content(service).decode("utf-16").partition("?>")[2])
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    assert task.find(f"{space}Triggers/{space}LogonTrigger") is not None
    assert task.findtext(f"{space}Actions/{space}Exec/{space}Command") == "wsl.exe"
    arguments = task.findtext(f"{space}Actions/{space}Exec/{space}Arguments") or ""
    assert arguments.startswith("-d Debian --exec /usr/bin/env ")
    assert '\\"quoted\\"' in arguments
    assert arguments.endswith("serve --service")


def test_settings_and_keys_are_kept_for_the_owner_only_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = 'a "b" $c %d \\ é'
    for name in ("CODEWORDS_CONSENT_TEST", "OPENAI_API_KEY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CODEWORDS_RUNTIME_URL", "http://elsewhere")
    monkeypatch.setenv("UNRELATED_PASSWORD", "x")
    services.write_variables(tmp_path)
    assert stat.S_IMODE((tmp_path / services.VARIABLES).stat().st_mode) == 0o600
    kept = json.loads((tmp_path / services.VARIABLES).read_text(encoding="utf-8"))["environment"]
    assert not {"UNRELATED_PASSWORD", "CODEWORDS_RUNTIME_URL", "CODEWORDS_HOME"} & kept.keys()
    monkeypatch.delenv("OPENAI_API_KEY")
    services.load_variables(str(tmp_path))
    assert os.environ["OPENAI_API_KEY"] == value


@pytest.mark.parametrize("content", ["", "[]", '{"environment": 1}', "nonsense"])
def test_a_damaged_file_of_settings_is_said_with_what_writes_it_again(tmp_path: Path, content: str) -> None:
    (tmp_path / services.VARIABLES).write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInput, match="cannot be read") as raised:
        services.load_variables(str(tmp_path))
    assert "service install" in raised.value.hint


def test_each_home_has_a_service_of_its_own_and_the_usual_one_the_plain_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("CODEWORDS_HOME", "/elsewhere")
    names = {SessionService.of(home).name for home in (tmp_path / "codewords", Path("/a"), Path("/b"))}
    assert len(names) == 3
    assert SessionService.of(tmp_path / "codewords").name == "codewords"
