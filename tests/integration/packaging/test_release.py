"""What is released: the wheel, the bundle for one-click installation, and the files that registries and servers read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import ClientSession, StdioServerParameters, stdio_client
from tests.compat.registries import attestation_parsers, deployment_validators
from tests.integration.packaging.helpers import MANIFEST, PACKAGING, settings_named
from tests.support import npm
from tests.support.paths import PROJECT
from uv import find_uv_bin

from codewords_mcp import __version__
from codewords_mcp.runtime.api import readiness
from codewords_mcp.runtime.sandboxes.host import diagnosis
from codewords_mcp.settings import Settings

PLUGIN_MANIFESTS = (
    "plugin.json", ".claude-plugin/plugin.json", ".codex-plugin/plugin.json", ".cursor-plugin/plugin.json",
)  # fmt: skip
MCPB = "@anthropic-ai/mcpb@2.1.2"


def read_json(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((PACKAGING / name).read_text(encoding="utf-8"))
    return read


@pytest.mark.requirement("packaging:versions")
def test_everything_that_is_released_says_the_same_version() -> None:
    manifest, listed = read_json("mcpb/manifest.json"), read_json("server.json")
    bundle = tomllib.loads((PACKAGING / "mcpb" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = {
        manifest["version"], bundle["version"], listed["version"], listed["packages"][0]["version"],
        bundle["dependencies"][0].removeprefix("codewords-mcp=="),
    }  # fmt: skip
    stand_ins = tomllib.loads(
        (PROJECT / "packages/codewords-testing/pyproject.toml").read_text(encoding="utf-8")
    )["project"]
    said |= {stand_ins["version"], stand_ins["dependencies"][0].removeprefix("codewords-mcp==")}
    assert said == {__version__}
    chrome = json.loads((PROJECT / "src/codewords_mcp/extension/manifest.json").read_text(encoding="utf-8"))
    assert chrome["version"] == __version__
    assert {read_json(f"plugin/{name}")["version"] for name in PLUGIN_MANIFESTS} == {__version__}


@pytest.mark.requirement("packaging:settings")
def test_what_can_be_filled_in_are_variables_that_the_product_reads_and_keys_are_hidden() -> None:
    manifest = read_json("mcpb/manifest.json")
    fields, env = manifest["user_config"], manifest["server"]["mcp_config"]["env"]
    assert settings_named(set(env)) == set(env)
    assert {f"${{user_config.{field}}}" for field in fields} == set(env.values())
    listed = read_json("server.json")["packages"][0]["environmentVariables"]
    assert {one["name"] for one in listed} == set(env)
    secret = {name for name in env if name.endswith("_KEY")}
    assert {one["name"] for one in listed if one.get("isSecret")} == secret
    assert {env[name] for name in secret} == {
        f"${{user_config.{name}}}" for name, field in fields.items() if field.get("sensitive")
    }


@pytest.mark.requirement("packaging:registry")
def test_the_registrys_entry_fits_its_limits_and_the_readme_claims_it() -> None:
    listed = read_json("server.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", listed["name"])
    assert len(listed["description"]) <= 100
    assert f"<!-- mcp-name: {listed['name']} -->" in (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.mark.requirement("packaging:container")
def test_the_compose_file_sets_only_what_the_product_reads_and_the_image_gets_all_that_a_build_needs() -> (
    None
):
    container = PACKAGING / "container"
    compose = yaml.safe_load((container / "compose.yaml").read_text(encoding="utf-8"))
    runtime = compose["services"]["runtime"]
    env = runtime["environment"]
    [profile] = (option for option in runtime["security_opt"] if option.startswith("seccomp="))
    assert (container / profile.removeprefix("seccomp=")).resolve() == diagnosis.FILTER_PATH.resolve()
    assert not {"privileged", "cap_add"} & set(runtime)
    assert "/readyz" in compose["services"]["runtime"]["healthcheck"]["test"][-1]
    assert "/readyz" in (container / "Containerfile").read_text(encoding="utf-8")
    assert settings_named(set(env)) == set(env)
    sent = (container / "Containerfile.dockerignore").read_text(encoding="utf-8")
    build = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    for needed in build["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]:
        assert f"!{needed}\n" in sent


@pytest.mark.requirement("packaging:kubernetes")
def test_the_manifest_for_kubernetes_fits_the_image_and_the_product() -> None:
    kinds = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))}
    pod = kinds["Deployment"]["spec"]["template"]
    runtime = pod["spec"]["containers"][0]
    image = (PACKAGING / "container" / "Containerfile").read_text(encoding="utf-8")
    env = {one["name"]: one["value"] for one in runtime["env"]}
    assert settings_named(set(env)) == set(env)
    assert f"CODEWORDS_HOME={env['CODEWORDS_HOME']}\n" in image
    assert f"CMD {json.dumps(runtime['args'])}" in image, "the image's entry point is the program itself"
    assert f"--uid {pod['spec']['securityContext']['runAsUser']} " in image
    assert runtime["image"].endswith(f":{__version__}")
    assert pod["spec"]["enableServiceLinks"] is False, "CODEWORDS_PORT would be the address of the Service"
    until_stopped = runtime["lifecycle"]["preStop"]["sleep"]["seconds"] + Settings().drain_timeout
    assert pod["spec"]["terminationGracePeriodSeconds"] >= until_stopped + 5
    probes = {name: runtime[name]["httpGet"]["path"] for name in runtime if name.endswith("Probe")}
    assert probes == {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    assert runtime["readinessProbe"]["timeoutSeconds"] > readiness.CHECK_TIMEOUT
    labels = pod["metadata"]["labels"]
    for selector in (
        kinds["Service"]["spec"]["selector"],
        kinds["Deployment"]["spec"]["selector"]["matchLabels"],
        kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()


@pytest.mark.slow
@pytest.mark.requirement("packaging:kubernetes", "packaging:container")
def test_what_is_deployed_with_is_valid_by_the_schemas_of_kubernetes_and_compose(tmp_path: Path) -> None:
    programs = deployment_validators()
    compose = PACKAGING / "container" / "compose.yaml"
    broken = {
        MANIFEST: ("livenessProbe", "livelinessProbe"),
        compose: ("stop_grace_period", "stop_grace"),
    }
    commands: dict[Path, list[str | Path]] = {
        MANIFEST: [programs / "kubernetes-validate", "--strict", "-k", "1.33.0"],
        compose: [programs / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"],
    }
    for file, command in commands.items():
        done = subprocess.run(
            [*command, file], capture_output=True, encoding="utf-8", timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        wrong = tmp_path / file.name
        wrong.write_text(file.read_text(encoding="utf-8").replace(*broken[file]), encoding="utf-8")
        done = subprocess.run(
            [*command, wrong], capture_output=True, encoding="utf-8", timeout=60, check=False
        )
        assert done.returncode != 0, "what is wrong is found"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `scripts/package` builds."""
    folder = tmp_path_factory.mktemp("released")
    packer = npm.installed(MCPB) / "node_modules/@anthropic-ai/mcpb/dist/cli/cli.js"
    vsce = npm.locked(PROJECT / "editors" / "vscode") / "node_modules/@vscode/vsce/vsce"
    tools = {"MCPB": f"node {packer}", "VSCE": f"node {vsce}"}
    built = subprocess.run(
        [PROJECT / "scripts" / "package", folder], env={**os.environ, **tools},
        capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.slow
@pytest.mark.requirement("packaging:hashes")
def test_every_file_of_a_release_has_its_hash_and_the_components_are_those_of_the_wheel(
    released: Path,
) -> None:
    lines = (released / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(sums) == {path.name for path in released.iterdir()} - {"SHA256SUMS", ".gitignore"}
    assert sums == {name: hashlib.sha256((released / name).read_bytes()).hexdigest() for name in sums}
    [wheel] = (name for name in sums if name.endswith(".whl"))
    formula = (released / "codewords-mcp.rb").read_text(encoding="utf-8")
    assert f'sha256 "{sums[wheel]}"' in formula
    assert "@" not in formula.replace("python@3.13", "")

    bom = json.loads((released / f"codewords-mcp-{__version__}.cdx.json").read_text(encoding="utf-8"))
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["name"] == "codewords-mcp"
    names = {component["name"] for component in bom["components"]}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[^\w-]", line)[0] for line in project["dependencies"]}
    assert needed <= names
    assert all("==" not in component["name"] and component["version"] for component in bom["components"])


@pytest.mark.slow
@pytest.mark.requirement("packaging:attestations")
def test_what_attestations_say_is_read_by_the_parsers_of_in_toto_and_of_pypi(released: Path) -> None:
    program = Path(__file__).with_name("attestation_program.py")
    done = subprocess.run(
        [attestation_parsers(), program, released],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    for name, statement in read["published"].items():
        assert json.loads((released / f"{name}.publish.json").read_text(encoding="utf-8")) == statement
    assert len(read["published"]) == 2

    provenance = read["provenance"]
    files = {
        path.name
        for path in released.iterdir()
        if not path.name.endswith((".provenance.json", ".publish.json"))
        and path.name not in {"SHA256SUMS", ".gitignore"}
    }
    assert set(provenance["subjects"]) == files
    assert provenance["subjects"] == {
        name: {"sha256": hashlib.sha256((released / name).read_bytes()).hexdigest()} for name in files
    }
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, encoding="utf-8", check=True
    ).stdout.strip()
    assert {"gitCommit": head} in provenance["commits"]
    assert provenance["builder"]


@pytest.mark.slow
@pytest.mark.requirement("packaging:wheel")
def test_the_wheel_holds_the_clients_wheel_and_every_file_of_the_package_that_is_no_code(
    released: Path,
) -> None:
    with zipfile.ZipFile(next(released.glob("codewords_mcp-*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert any(re.fullmatch(r"codewords_mcp/_wheels/codewords_client-.*\.whl", name) for name in names)
    package = PROJECT / "src"
    kept = {
        str(path.relative_to(package))
        for path in (package / "codewords_mcp").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kept <= names


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.requirement("packaging:bundle", "packaging:wheel")
async def test_the_bundle_is_valid_and_started_as_a_host_starts_it_deploys_and_runs_a_workflow(
    released: Path, tmp_path: Path
) -> None:
    unpacked = tmp_path / "bundle"
    with zipfile.ZipFile(released / f"codewords-mcp-{__version__}.mcpb") as bundle:
        bundle.extractall(unpacked)
    config = read_json("mcpb/manifest.json")["server"]["mcp_config"]
    # As a host does: nothing was filled in; one field arrives empty, the others under their own names.
    filled = {**config["env"], "CODEWORDS_RUNTIME_URL": ""}
    outside = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    home = tmp_path / "home"
    server = StdioServerParameters(
        command=find_uv_bin(),
        args=[word.replace("${__dirname}", str(unpacked)) for word in config["args"]],
        env={**outside, **filled, "CODEWORDS_HOME": str(home), "UV_PYTHON": "3.11"},
    )
    try:
        async with stdio_client(server) as streams, ClientSession(*streams) as session:
            await session.initialize()
            deployed = await session.call_tool("deploy_workflow", {"template_id": "greeting"})
            assert not deployed.is_error, deployed
            assert deployed.structured_content
            workflow = deployed.structured_content["workflow_id"]
            ran = await session.call_tool("run_workflow", {"workflow_id": workflow, "input": {"name": "Ada"}})
            assert "Hello Ada!" in str(ran.structured_content)
    finally:
        codewords = next((unpacked / ".venv").glob("bin/codewords"))
        # Again without the network: our own wheel is in the bundle, what it needs in uv's cache by now.
        offline = subprocess.run(
            [find_uv_bin(), "run", "--offline", "--isolated", "--directory", unpacked, "codewords-mcp", "--version"],
            env={**outside, "UV_PYTHON": "3.11"}, capture_output=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
        assert offline.stdout.strip() == __version__, offline.stderr
        subprocess.run(
            [codewords, "stop"], env={**outside, "CODEWORDS_HOME": str(home)},
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
