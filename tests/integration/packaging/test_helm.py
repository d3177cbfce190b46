"""The Helm chart: it makes what the manifest says, by its own program, and is valid by the schemas of Kubernetes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from tests.compat.registries import deployment_validators, helm
from tests.integration.packaging.helpers import MANIFEST, PACKAGING, settings_named

from codewords_mcp import __version__

CHART = PACKAGING / "helm" / "codewords"
OWN = ("--set", "existingSecret=codewords")
pytestmark = [pytest.mark.slow, pytest.mark.requirement("packaging:helm")]


def rendered(*options: str, name: str = "codewords") -> dict[str, Any]:
    """The objects that the chart makes, by their kind."""
    done = run("template", name, str(CHART), "--kube-version", "1.33.0", *options)
    assert done.returncode == 0, done.stderr
    return {one["kind"]: one for one in yaml.safe_load_all(done.stdout) if one}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm(), *words], capture_output=True, encoding="utf-8", timeout=60, check=False)


def without_labels(made: Any) -> Any:
    """An object without what Helm adds to every one."""
    if isinstance(made, dict):
        return {
            key: without_labels(value)
            for key, value in cast("dict[str, Any]", made).items()
            if key not in {"labels", "annotations", "imagePullPolicy", "namespace"}
        }
    if isinstance(made, list):
        return [without_labels(value) for value in cast("list[Any]", made) if value != DRAIN]
    if isinstance(made, str) and made.startswith("["):
        return json.loads(made)
    return made


DRAIN = {"name": "CODEWORDS_DRAIN_TIMEOUT", "value": "10"}


def test_by_default_the_chart_makes_what_the_manifest_says() -> None:
    made = rendered(*OWN)
    manifest = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))}
    assert set(made) == set(manifest)
    for kind, expected in manifest.items():
        found, wanted = without_labels(made[kind]), without_labels(expected)
        if kind == "Service":
            wanted["spec"].setdefault("type", "ClusterIP")
        assert found == wanted, kind


def test_the_chart_is_valid_with_every_part_of_it_on(tmp_path: Path) -> None:
    secret = (
        "--set",
        "secret.databaseUrl=postgresql://u:p@db/n,secret.apiKey=cwk-1",
        "--set",
        f"secret.masterKey={'a1' * 32}",
    )
    everything = (
        *secret, "--set", "autoscaling.enabled=true,localSandboxes=false,env.CODEWORDS_SANDBOX=e2b",
        "--set", "secret.extra.AWS_ACCESS_KEY_ID=x,imagePullSecrets[0].name=pull,nodeSelector.disk=ssd",
        "--set", "tolerations[0].operator=Exists,podAnnotations.a=b,podLabels.c=d,seccompProfile.type=Localhost",
    )  # fmt: skip
    for number, options in enumerate((OWN, secret, everything)):
        linted = run("lint", "--strict", str(CHART), *options)
        assert linted.returncode == 0, linted.stdout + linted.stderr
        file = tmp_path / f"{number}.yaml"
        done = run("template", "other", str(CHART), "--kube-version", "1.33.0", *options)
        assert done.returncode == 0, done.stderr
        file.write_text(done.stdout, encoding="utf-8")
        validator = deployment_validators() / "kubernetes-validate"
        valid = subprocess.run(
            [validator, "--strict", "-k", "1.33.0", file],
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert valid.returncode == 0, valid.stdout + valid.stderr

    made = rendered(*everything, name="other")
    assert set(made) == {"Deployment", "Service", "Secret", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    assert "replicas" not in made["Deployment"]["spec"], "the autoscaler's, not the chart's"
    pod = made["Deployment"]["spec"]["template"]["spec"]
    assert "hostUsers" not in pod
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": made["Secret"]["metadata"]["name"]}}]
    variables = {one["name"] for one in pod["containers"][0]["env"]} | set(made["Secret"]["stringData"])
    assert settings_named(variables) == variables - {"AWS_ACCESS_KEY_ID"}


def test_a_longer_drain_gets_a_longer_grace_period() -> None:
    spec = rendered(*OWN, "--set", "drainTimeout=300,preStopSeconds=10")["Deployment"]["spec"]["template"][
        "spec"
    ]
    assert spec["terminationGracePeriodSeconds"] == 340


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "databaseUrl"),
        ((*OWN, "--set", "replica=4"), "replica"),
        ((*OWN, "--set", "publicUrl=codewords.example.com"), "publicUrl"),
        ((*OWN, "--set", "secret.masterKey=short"), "masterKey"),
        ((*OWN, "--set", "secret.databaseUrl=mysql://x"), "databaseUrl"),
    ],
)
def test_values_that_cannot_work_are_refused_by_name(options: tuple[str, ...], said: str) -> None:
    done = run("template", "codewords", str(CHART), "--kube-version", "1.33.0", *options)
    assert done.returncode != 0
    assert said in done.stderr


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert {chart["version"], chart["appVersion"]} == {__version__}
