"""One runtime for all of these tests, with the workflow that the published clients call."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
from tests.compat.helpers import DRIVERS, HERE, Steps, driven
from tests.compat.registries import node_client, python_client
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_testing.pipedream import loopback_connect
from codewords_testing.pipedream.connect import succeeded
from codewords_testing.providers import LoopbackProviders, loopback_providers


@pytest.fixture(scope="session")
def models() -> Generator[LoopbackProviders]:
    """The model providers that the runtime's gateway asks."""
    with loopback_providers() as running:
        yield running


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, models: LoopbackProviders) -> Generator[ServedRuntime]:
    """A real runtime in a home of its own, whose integrations are a stand-in's; Slack is connected."""
    with (
        loopback_connect() as connect,
        start_runtime(
            make_home(tmp_path_factory.mktemp("home")),
            CODEWORDS_OPENAI_BASE_URL=f"{models.url}/v1",
            CODEWORDS_PIPEDREAM_BASE_URL=connect.url,
        ) as runtime,
    ):
        for name, value in connect.credentials.items():
            runtime.call("PUT", f"/secrets/{name}", {"value": value})
        connect.connect_account("codewords-local", "slack_v2")
        connect.on_run = lambda run: succeeded("Sent", {"ok": True, "text": run.props["text"]})
        yield runtime


@pytest.fixture
def store_secrets(served: ServedRuntime) -> Generator[Callable[[dict[str, str]], None]]:
    """Store secrets by name until the end of the test, since all files of tests share the runtime."""
    stored: list[str] = []

    def store(secrets: dict[str, str]) -> None:
        for name, value in secrets.items():
            served.call("PUT", f"/secrets/{name}", {"value": value})
            stored.append(name)

    yield store
    for name in stored:
        served.call("DELETE", f"/secrets/{name}")


@pytest.fixture(scope="session")
def service(served: ServedRuntime) -> str:
    """The id of the workflow in workflow.py."""
    return served.deploy((HERE / "workflow.py").read_text(encoding="utf-8"), "Compatibility")


@pytest.fixture(scope="session")
def node_steps(served: ServedRuntime, service: str) -> Steps:
    """Report of the published npm client, step by step."""
    return driven(["node", DRIVERS / "node_driver.cjs", node_client(), service], served)


@pytest.fixture(scope="session")
def drive_python(
    served: ServedRuntime, service: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Steps]:
    """What a published Python client of a version and kind sees, step by step; driven once."""
    file = tmp_path_factory.mktemp("upload") / "report.csv"
    file.write_bytes(b"a,b\n1,2\n" * 1000)
    seen: dict[tuple[str, str], Steps] = {}

    def drive(version: str, kind: str) -> Steps:
        if (version, kind) not in seen:
            seen[version, kind] = driven(
                [python_client(version), DRIVERS / "python_driver.py", kind, service, file], served
            )
        return seen[version, kind]

    return drive
