"""The README's first command on a bare Debian: Python 3.13, git, an ordinary user, and nothing of this machine but its network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.paths import PROJECT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.deep("makes a Debian of its own"),
    pytest.mark.needs("mmdebstrap", "root"),
    pytest.mark.requirement("packaging:fresh-machine"),
]
_PACKAGES = "python3,python3-venv,python3-pip,git,ca-certificates"
_OF_THE_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Files without which the way out of this machine may be another."""
_SETTINGS = re.compile(r"(PIP|UV|SSL)_\w+|\w+_proxy|\w+_CA_BUNDLE", re.IGNORECASE)
_INTO_THE_ROOT = """
set -eu
mount --rbind "$1" "$1"
cd "$1"
for name in proc sys dev; do mount --rbind "/$name" "./$name"; done
pivot_root . mnt
umount -l /mnt
exec setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/home/ada sh -c 'cd ~/project && '"$2"
"""


def test_the_first_command_of_the_readme_passes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", "trixie", root],
        check=True, timeout=400,
    )  # fmt: skip
    for file in map(Path, _OF_THE_NETWORK):
        if file.exists():
            shutil.copyfile(file, root / file.relative_to("/"))
    project = root / "home" / "ada" / "project"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", PROJECT, project], check=True)
    for folder, _, _ in os.walk(project.parent):
        os.chown(folder, 1000, 1000)

    settings = {name: value for name, value in os.environ.items() if _SETTINGS.fullmatch(name)}
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", _INTO_THE_ROOT, "sh", root, _demo()],
        capture_output=True, encoding="utf-8", timeout=400, check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", **settings},
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "codewords run" in said, "how it goes on, without curl"


def _demo() -> str:
    """The command in the README that is marked so."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- command: demo -->\n```sh\n(.+)\n```", readme)
    assert found is not None
    return found[1]
