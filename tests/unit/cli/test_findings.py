"""Findings of `doctor` about a machine and the home on it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from codewords_mcp.cli.doctor import machine as _machine
from codewords_mcp.cli.doctor.findings import Finding, recorded, unread_hosts
from codewords_mcp.cli.doctor.machine import machine_findings

pytestmark = pytest.mark.requirement("cli:doctor")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("CODEWORDS_HOME", str(folder))
    monkeypatch.delenv("CODEWORDS_API_KEY", raising=False)
    return folder


def finding(name: str) -> Finding:
    return next(one for one in machine_findings() if one.id == name and one.status != "warning")


@pytest.mark.slow
def test_a_key_file_that_is_not_there_is_not_said_to_hold_the_key(home: Path) -> None:
    assert finding("key").status == "note"
    assert "the first start makes the admin key" in finding("key").detail
    home.mkdir()
    (home / "api.key").write_text("cwk-admin", encoding="utf-8")
    assert (finding("key").status, finding("key").detail) == ("ok", f"the admin key is in {home / 'api.key'}")


def test_the_size_of_a_home_is_that_of_all_its_files_and_links_count_once(home: Path) -> None:
    (home / "environments" / "a").mkdir(parents=True)
    (home / "cache").mkdir()
    (home / "codewords.db").write_bytes(os.urandom(1 << 20))
    package = home / "cache" / "package"
    package.write_bytes(os.urandom(8 << 20))
    os.link(package, home / "environments" / "a" / "package")
    said = finding("home").detail
    assert "9.0 MB on the disk" in said or "9 MB on the disk" in said, said
    assert "database and the rest 1" in said


def test_pythons_are_found_where_the_home_of_the_user_cannot_be_written(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A uv whose cache cannot be made answers with an error, unless it is asked without one."""
    uv = tmp_path / "uv"
    listed = json.dumps(
        [
            {"implementation": implementation, "version_parts": {"major": 3, "minor": minor, "patch": 1}}
            for implementation, minor in (("cpython", 12), ("cpython", 9), ("pypy", 8))
        ]
    )
    uv.write_text(
        f"#!/bin/sh\ncase \"$*\" in *--no-cache*python*list*) echo '{listed}' ;; *--version*) echo uv 1 ;; *) exit 2 ;; esac\n",
        encoding="utf-8",
    )
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(_machine, "_find_uv", lambda: str(uv))
    pins = finding("python").detail.partition("; ")[0].removeprefix("pins that this machine meets: ")
    assert "3.9" in pins.split(", ")
    assert "3.12" in pins
    assert "3.8" not in pins


@pytest.mark.requirement("recording:told")
@pytest.mark.parametrize(
    ("recordings", "status", "words"),
    [
        ({"policy": "all", "egress": True, "count": 0}, "ok", "all runs are recorded"),
        ({"policy": "failures", "egress": True, "count": 3}, "ok", "3 kept, 2 of them can be replayed whole"),
        ({"policy": "all", "egress": False, "count": 0}, "ok", "E2B"),
        ({"policy": "off", "egress": True, "count": 0}, "note", "no runs are recorded"),
    ],
)
def test_doctor_says_which_runs_are_recorded(recordings: dict[str, Any], status: str, words: str) -> None:
    facts = {"replayable": 2, "bytes": 100, "home_bytes": 1 << 30, **recordings}
    (found,) = recorded(facts)
    assert found.status == status
    assert words in found.detail


@pytest.mark.requirement("recording:pinned-named")
def test_doctor_names_the_hosts_that_are_not_recorded_by_the_version_that_asks_them() -> None:
    hosts = [
        {
            "service_id": "bank_1",
            "version": 3,
            "live": True,
            "host": "api.bank.example",
            "why": "pinned certificate",
        },
        {
            "service_id": "bank_1",
            "version": 3,
            "live": True,
            "host": "b.example",
            "why": "client certificate",
        },
        {
            "service_id": "bank_1",
            "version": 2,
            "live": False,
            "host": "api.bank.example",
            "why": "pinned certificate",
        },
    ]
    live, before = unread_hosts({"unread_hosts": hosts})
    assert live.detail == (
        "bank_1 version 3 (live), not recorded: api.bank.example (pinned certificate), b.example (client certificate)."
    )
    assert before.detail == "bank_1 version 2, not recorded: api.bank.example (pinned certificate)."
    assert "SSL_CERT_FILE" in before.fix
    assert unread_hosts({}) == unread_hosts({"unread_hosts": []}) == []
