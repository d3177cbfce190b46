"""The unmodified SDK, oldest supported to newest, by plain URLs and by E2B's own: its verbs, and the driver that uses it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uv
from tests.support.paths import PROJECT
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.e2b import failures
from codewords_mcp.runtime.sandboxes.e2b.protocol import from_environment
from codewords_testing.e2b import LoopbackE2B

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

OLDEST = "2.25.0"
SEEN: dict[str, Any] = {
    "verbs": {
        "stdout": "b\n", "stderr": "wrong\n", "exit": 7, "stdin": "got hello\n", "listed": True, "killed": True,
        "names": ["file.txt"], "text": "naïve", "found": [True], "survived": "naïve", "ended": [True, False],
    },
    "workflow": {"answers": ["served", "served"], "output": "listening\n", "cost": True, "orphans": 0},
}  # fmt: skip

USES_AND_ENDS = """
import asyncio, atexit, os, threading
from codewords_mcp.runtime.sandboxes.e2b.account import E2bAccount
from codewords_mcp.settings import Settings
answered = threading.Event()
def worker():
    answered.wait()
    os.write(1, b"through")
threading.Thread(target=worker, daemon=True).start()
for _ in range(2):
    asyncio.run(E2bAccount.open(Settings(sandbox="e2b")))
atexit.register(answered.set)
"""
"""An answer comes as the process ends; its thread, as those of the SDK, is not waited for by the interpreter."""


async def run_verbs(
    variables: dict[str, str], environment: EnvironmentRef, folder: Path, *paths: str | Path
) -> dict[str, Any]:
    """The report of `sdk_calls.py`, with these variables and these folders before all others that have packages."""
    task = json.dumps({"environment": from_environment(environment), "folder": str(folder)})
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    searched = os.pathsep.join(map(str, (*paths, PROJECT / "src")))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("sdk_calls.py")), task, env={**kept, **variables, "PYTHONPATH": searched},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode(errors="replace")[-3000:]
    return json.loads(out.splitlines()[-1])


@pytest.mark.requirement("e2b:sdk-verbs", "e2b:urls")
async def test_the_sdk_and_the_driver_work_by_plain_urls(
    cloud: LoopbackE2B, environment: EnvironmentRef, tmp_path: Path
) -> None:
    seen = await run_verbs(cloud.environment, environment, tmp_path)
    assert {key: seen[key] for key in SEEN} == SEEN


@pytest.mark.requirement("e2b:sdk-verbs", "e2b:urls")
async def test_the_sdk_and_the_driver_work_by_the_production_urls_through_a_proxy_with_a_private_authority(
    cloud: LoopbackE2B, environment: EnvironmentRef, tmp_path: Path
) -> None:
    variables = {
        "E2B_API_KEY": cloud.api_key, "E2B_DOMAIN": cloud.domain, "CODEWORDS_E2B_PROXY": cloud.proxy_url,
        "SSL_CERT_FILE": str(cloud.ca),
    }  # fmt: skip
    seen = await run_verbs(variables, environment, tmp_path)
    assert {key: seen[key] for key in SEEN} == SEEN


def installed(wanted: str) -> Path:
    """A folder with this SDK and what it needs, kept between test runs; without a version it is the newest of today."""
    folder = warm_folder() / "sdks" / wanted.replace("==", "-")
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if "==" not in wanted or not (folder / "e2b").exists():
            command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--upgrade", "--python", sys.executable]
            subprocess.run([*command, "--target", str(folder), wanted], check=True)
    return folder


@pytest.mark.requirement("e2b:versions")
@pytest.mark.parametrize("wanted", [f"e2b=={OLDEST}", "e2b"], ids=["oldest", "newest"])
async def test_the_oldest_and_the_newest_sdk_do_what_the_pinned_one_does(
    cloud: LoopbackE2B, environment: EnvironmentRef, tmp_path: Path, wanted: str
) -> None:
    folder = await asyncio.to_thread(installed, wanted)
    seen = await run_verbs(cloud.environment, environment, tmp_path, folder)
    assert {key: seen[key] for key in SEEN} == SEEN
    assert wanted != f"e2b=={OLDEST}" or seen["version"] == OLDEST


@pytest.mark.requirement("e2b:versions")
def test_the_oldest_sdk_that_is_tested_is_the_oldest_that_people_are_told_to_install() -> None:
    assert f"e2b>={OLDEST.removesuffix('.0')},<3" in failures.no_sdk().hint
    assert f'"e2b>={OLDEST.removesuffix(".0")},<3"' in (PROJECT / "pyproject.toml").read_text(
        encoding="utf-8"
    )


@pytest.mark.requirement("e2b:exit")
def test_a_process_that_used_the_sdk_ends_after_the_threads_that_are_through_with_their_requests(
    tmp_path: Path,
) -> None:
    variables = {**os.environ, "E2B_API_KEY": "e2b_" + "0" * 40, "CODEWORDS_HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", USES_AND_ENDS], env=variables, capture_output=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, b"through"), ended.stderr
