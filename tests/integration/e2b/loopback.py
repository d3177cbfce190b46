"""A loopback E2B with the agent's template, which runs the agent of this checkout."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import PROJECT
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.sandboxes.base import Network
from codewords_mcp.runtime.sandboxes.e2b.driver import E2BDriver
from codewords_mcp.runtime.sandboxes.host.cgroups import remove_slice
from codewords_mcp.settings import Settings
from codewords_testing.e2b import Internet, LoopbackE2B, Options, loopback_e2b, unavailable
from codewords_testing.e2b.cloud import PATH
from codewords_testing.e2b.machine import Layers

TEMPLATE = "codewords"
# all below /home/user: where the tests run as an ordinary user, the rest of a machine is root's
START = (
    f"PYTHONPYCACHEPREFIX=/home/user/bytecode PYTHONPATH={PROJECT}/src exec {sys.executable} -m codewords_mcp.agent"
    " --home /home/user/codewords --ready /run/agent-ready > /tmp/agent.log 2>&1"
)
READY = "test -e /run/agent-ready"
_PASSED = ("UV_", "PIP_", "SSL_", "REQUESTS_")


async def need_machines() -> None:
    """Skip, with the reason, where this host cannot have machines."""
    reason = await unavailable()
    if reason:
        pytest.skip(reason)


def agent_layer(folder: Path) -> Layers:
    """A disk with the packages that the other tests have cached, and the bytecode of the agent."""
    home = folder / "layer" / "home" / "user"
    _link(warm_folder() / "cache", home / "codewords" / "cache")
    _link(agent_bytecode(), home / "bytecode")
    return Layers((folder / "layer",))


def agent_bytecode() -> Path:
    """What the agent's start compiles, so that not each machine does; kept between test runs."""
    folder = warm_folder() / "bytecode"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables |= {"PYTHONPYCACHEPREFIX": str(folder), "PYTHONPATH": f"{PROJECT}/src"}
    command = [sys.executable, "-m", "codewords_mcp.agent", "--help"]
    subprocess.run(command, env=variables, stdout=subprocess.DEVNULL, check=True, timeout=120)
    return folder


def _link(source: Path, to: Path) -> None:
    """The same files in another folder."""
    for top, _, names in os.walk(source):  # others may be filling it: what is half-made goes while we look
        target = to / Path(top).relative_to(source)
        target.mkdir(parents=True)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.link(f"{top}/{name}", target / name, follow_symlinks=False)


def end_groups(disk: Path) -> None:
    """Remove the cgroups of the driver that ended with its machine, whose cgroups are the host's."""
    for home in ("home/user/codewords", "var/lib/codewords"):
        for record in (disk / home / "run").glob("*/cgroups"):
            for line in record.read_text(encoding="utf-8").splitlines():
                remove_slice(Path(line))


@asynccontextmanager
async def agent_cloud(folder: Path, internet: Internet | None = None) -> AsyncGenerator[LoopbackE2B]:
    """Serves with the template that `codewords e2b build-template` would make."""
    variables = {key: value for key, value in os.environ.items() if key.startswith(_PASSED)}
    variables["PATH"] = f"{sys.base_prefix}/bin:{PATH}"  # the image of a template has this Python's version
    options = Options(env=variables, on_end=end_groups, sandboxes=200)
    async with loopback_e2b(options, internet or Internet(real=True)) as e2b:
        e2b.add_template(
            TEMPLATE, layers=agent_layer(folder), start=START, ready=READY, cpu_count=2, memory_mb=2048
        )
        yield e2b


def settings_for(e2b: LoopbackE2B, home: Path, **more: Any) -> Settings:
    """Of a runtime that has its sandboxes there, by plain URLs."""
    chosen: dict[str, Any] = {"e2b_ttl": 60, "e2b_creates": 100.0, "e2b_sandboxes": 100, **more}
    urls: dict[str, Any] = {
        "e2b_api_url": e2b.api_url,
        "e2b_sandbox_url": e2b.sandbox_url,
        "e2b_domain": e2b.domain,
    }
    return Settings(home=home, sandbox="e2b", **urls, **chosen)


async def make_driver(network: Network | None, folder: Path) -> E2BDriver:
    """A `MakeDriver` of the conformance suite, importable in another process: the environment says where E2B is."""
    settings = Settings(home=folder, sandbox="e2b", e2b_ttl=15, e2b_creates=100, e2b_sandboxes=100)
    return await E2BDriver.open(settings, network, folder / "run")
