"""A program that sends descriptors and never reads them keeps no other sandbox of its user from being made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.support import as_user
from tests.support.sandbox_programs import VERSION

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.host.files import remove_tree
from codewords_mcp.runtime.sandboxes.landlock.confinement import Landlock

pytestmark = [pytest.mark.slow, pytest.mark.requirement("sandbox:descriptors-on-their-way")]

RUNTIME = '''
import asyncio, json, os, resource, sys, tempfile
from pathlib import Path
from tests.support.sandbox_programs import build_environment, fork_server, report, running, specification
from codewords_mcp.runtime.sandboxes.base import Limits
from codewords_mcp.runtime.sandboxes.drivers import open_driver
from codewords_mcp.settings import Settings

HOSTILE = """
import os, socket, time
null, ends = os.open("/dev/null", os.O_RDONLY), []
try:
    while True:
        ends += socket.socketpair()
        ends[-1].setblocking(False)
        try:
            while True: socket.send_fds(ends[-1], [b"x"], [null] * 250)
        except BlockingIOError:
            pass
except OSError as error:
    print("refused", error.errno, flush=True)
time.sleep(600)
"""

async def main(way):
    # A shell's soft limit. The kernel compares what is on its way with the limit of whoever sends.
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
    home, environment, printed = Path(tempfile.mkdtemp()), build_environment(), []
    driver = await open_driver(Settings(home=home), None, home / "run")
    if way == "fork":
        await fork_server(driver, environment)
    elif way == "exec":
        driver._forking = False
    async with running(driver, specification(environment, HOSTILE)) as hostile:
        await hostile.until_printed("refused 109")
        for number in range(6):
            # Each script twice: the first fork that runs it has it compiled.
            program = specification(environment, f"print({number // 2})", limits=Limits(files=64))
            printed.append(await report(driver, program))
    print(json.dumps([driver.tier.id, printed]))
    await driver.close()

asyncio.run(main(sys.argv[1]))
'''


@pytest.mark.parametrize("way", ["fork", "exec", "landlock"])
def test_sandboxes_start_while_a_program_of_the_same_user_has_sent_all_descriptors_it_may(
    environment: EnvironmentRef, way: str
) -> None:
    if way == "landlock" and (missing := Landlock().missing()):
        pytest.skip(missing)
    denying = ["-m", "tests.support.without_namespaces"] if way == "landlock" else []
    with tempfile.TemporaryDirectory(prefix="codewords-user-") as folder:
        if os.geteuid() == 0:
            python = Path(folder) / "places" / "python" / "bin" / f"python{VERSION}"
            script = [*denying, python, "-c", RUNTIME, way] if denying else ["-c", RUNTIME, way]
            command, variables = as_user.command(Path(folder), environment, *script)
        else:
            command = [sys.executable, *denying, *([sys.executable] if denying else []), "-c", RUNTIME, way]
            variables = dict(os.environ)
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=120, env=variables, check=False
        )
        # Folders that a closing driver leaves to the next one.
        if (own := Path(folder) / "own").exists():
            remove_tree(own)
    assert done.returncode == 0, done.stdout + done.stderr
    tier, printed = json.loads(done.stdout.splitlines()[-1])
    assert tier == ("C" if way == "landlock" else "B") or os.geteuid() != 0
    assert printed == [0, 0, 1, 1, 2, 2]
