"""What `doctor` says of machines that are not this one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.runtime.sandboxes.host import diagnosis
from codewords_mcp.runtime.sandboxes.host.diagnosis import MachineFacts
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.requirement("cli:doctor")


def machine(root: Path, files: dict[str, str] | None = None, **facts: Any) -> MachineFacts:
    for name, text in (files or {}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    given: dict[str, Any] = {
        "system": "linux",
        "architecture": "x86_64",
        "user": 1000,
        "python": "/opt/py",
        **facts,
    }
    return MachineFacts(root=root, **given)


@pytest.mark.parametrize(
    ("files", "facts", "cause", "fix"),
    [
        ({"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}, {}, diagnosis.APPARMOR, "apparmor_parser -r"),
        ({"proc/sys/kernel/unprivileged_userns_clone": "0"}, {}, diagnosis.CLONE_OFF, "kernel.unprivileged_userns_clone=1"),
        ({"proc/sys/user/max_user_namespaces": "0"}, {}, diagnosis.NONE_LEFT, "user.max_user_namespaces="),
        ({".dockerenv": ""}, {"user": 0}, diagnosis.CONTAINER, "systempaths=unconfined"),
        ({"proc/1/cgroup": "0::/kubepods/pod1"}, {"user": 0}, diagnosis.CONTAINER, "without capabilities"),
        ({"run/systemd/container": "systemd-nspawn"}, {"user": 0}, diagnosis.CONTAINER, "systempaths=unconfined"),
        ({"run/secrets/kubernetes.io/serviceaccount/token": ""}, {"user": 0}, diagnosis.CONTAINER, "systempaths=unconfined"),
        ({"proc/self/status": "Name:\tx\nSeccomp:\t2\n"}, {"user": 0}, diagnosis.FILTERED, "RestrictNamespaces="),
        ({"proc/self/status": "Name:\tx\nSeccomp:\t2\n"}, {}, diagnosis.FILTERED, "seccomp=seccomp.json"),
        ({"proc/self/status": "Name:\tx\nSeccomp:\t0\n"}, {"user": 0}, "", ""),
        ({"proc/sys/kernel/osrelease": "4.4.0-19041-Microsoft"}, {}, diagnosis.WSL1, "--set-version"),
        ({}, {"system": "win32"}, diagnosis.WINDOWS, "wsl --install"),
        ({}, {"system": "darwin", "architecture": "arm64"}, diagnosis.MACOS, ""),
        ({}, {"architecture": "riscv64"}, "riscv64 machines are not supported yet.", ""),
        ({}, {"system": "freebsd14"}, "this is freebsd14", ""),
        ({}, {}, "", ""),
    ],
)  # fmt: skip
def test_what_keeps_a_machine_from_isolating_is_named_with_its_fix(
    tmp_path: Path, files: dict[str, str], facts: dict[str, Any], cause: str, fix: str
) -> None:
    said = diagnosis.blocked(machine(tmp_path, files, **facts))
    assert cause in said[0]
    assert fix in said[1]
    assert bool(cause) == bool(said[0])
    assert "--privileged" not in said[1], "far more than a sandbox needs"


def test_the_apparmor_profile_is_for_one_python_however_it_is_called(tmp_path: Path) -> None:
    odd = "/home/a b/[x]*/python3.11"
    fix = diagnosis.blocked(
        machine(tmp_path, {"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}, python=odd)
    )[1]
    assert r"/home/a b/\[x\]\*/python3.11" in fix
    assert "userns," in fix


@pytest.mark.parametrize(
    ("files", "fix"),
    [
        ({}, diagnosis.NO_SYSTEMD),
        ({"run/systemd/system": ""}, diagnosis.DELEGATE),
        ({".dockerenv": ""}, diagnosis.CONTAINER_LIMITS),
        ({"proc/sys/kernel/osrelease": "6.6.87-microsoft-standard-WSL2"}, diagnosis.WSL_SYSTEMD),
        (
            {
                "run/systemd/system": "",
                "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers": "cpu pids",
            },
            diagnosis.DELEGATE_CONTROLLERS,
        ),
    ],
)
def test_the_way_to_exact_limits_fits_the_machine(tmp_path: Path, files: dict[str, str], fix: str) -> None:
    assert diagnosis.exact_limits(machine(tmp_path, files)) == fix


def test_the_filter_that_is_named_for_containers_is_there() -> None:
    assert str(diagnosis.FILTER_PATH) in diagnosis.CONTAINER_FIX
    assert "defaultAction" in diagnosis.FILTER_PATH.read_text(encoding="utf-8")


def test_a_home_on_a_windows_drive_is_a_warning(tmp_path: Path) -> None:
    wsl = machine(tmp_path, {"proc/sys/kernel/osrelease": "6.6.87-microsoft-standard-WSL2"})
    assert diagnosis.system("/mnt/c/home", wsl) == ("warning", diagnosis.WSL_HOME, diagnosis.WSL_HOME_FIX)
    assert diagnosis.system("/home/me", wsl)[:2] == ("ok", "Linux in WSL2 on x86_64")


def test_macos_is_refused_local_sandboxes_and_shown_the_other_drivers(tmp_path: Path) -> None:
    mac = machine(tmp_path, system="darwin", architecture="arm64")
    tier = diagnosis.none("", mac)
    level, sentence, fix = diagnosis.system("/Users/me", mac)
    assert (tier.id, tier.facts) == ("D", (diagnosis.MACOS,))
    assert (level, sentence) == ("note", f"macOS on arm64. {diagnosis.MACOS}")
    assert tier.fix == fix
    assert "CODEWORDS_SANDBOX=e2b" in fix
    assert "CODEWORDS_SANDBOX=process" in fix


@pytest.mark.requirement("sandbox:tier")
@pytest.mark.anyio
async def test_on_macos_only_a_driver_that_the_settings_name_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(diagnosis, "MachineFacts", lambda: machine(tmp_path, system="darwin"))
    with pytest.raises(SandboxUnavailable) as refused:
        await open_driver(Settings(home=tmp_path), None, tmp_path / "run")
    assert refused.value.message == diagnosis.MACOS
    assert "CODEWORDS_SANDBOX=e2b" in (refused.value.hint or "")
