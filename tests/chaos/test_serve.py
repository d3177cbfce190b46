"""The runtime's process: what it refuses, and how it ends."""

from __future__ import annotations

import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.chaos.helpers import SLOW_WORKFLOW
from tests.support.command_server import ForkedCommand, command_server
from tests.support.runtime import make_home
from tests.support.stdio_client import Peer, environment, tool_result, until

from codewords_mcp.stdio import home as homes
from codewords_mcp.stdio import lifecycle


@dataclass(frozen=True)
class Foreground:
    """A fork of a warm process that serves; `communicate` gives (stdout, stderr) once it has ended."""

    command: ForkedCommand
    out: Path
    errors: Path

    @property
    def pid(self) -> int:
        return self.command.pid

    @property
    def returncode(self) -> int | None:
        return self.command.returncode

    def poll(self) -> int | None:
        return self.command.poll()

    def wait(self, timeout: float) -> int:
        return self.command.wait(timeout)

    def send_signal(self, number: signal.Signals) -> None:
        self.command.send_signal(number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        self.wait(timeout)
        return self.out.read_text(encoding="utf-8"), self.errors.read_text(encoding="utf-8")


Serve = Callable[..., Foreground]


@pytest.fixture
def serve(home: Path, tmp_path: Path) -> Iterator[Serve]:
    """Start `codewords-mcp serve` in the foreground."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def start(*args: str, **env: str) -> Foreground:
            number = next(numbers)
            files = tmp_path / f"out {number}", tmp_path / f"errors {number}"
            with open(os.devnull, "rb") as nothing, files[0].open("wb") as out, files[1].open("wb") as errors:
                command = command_server().start(
                    ["codewords-mcp", "serve", *args],
                    environment(home, **env),
                    (nothing.fileno(), out.fileno(), errors.fileno()),
                )
            stack.callback(command.wait, 60)
            stack.callback(command.kill)
            return Foreground(command, *files)

        yield start


def listening(home: Path, process: Foreground) -> homes.RuntimeInfo:
    until(lambda: homes.find(str(home)) or process.poll() is not None, "the runtime to listen")
    found = homes.find(str(home))
    assert found is not None, process.communicate(60)
    return found


@pytest.mark.slow
@pytest.mark.requirement("home:one-runtime")
def test_a_second_serve_on_a_home_says_who_holds_it_and_exits_with_3(serve: Serve, home: Path) -> None:
    first = listening(home, serve())
    second = serve()
    out, errors = second.communicate(timeout=60)
    assert second.returncode == 3
    assert out == ""
    assert f"pid {first.pid}" in errors
    assert first.url in errors
    assert "codewords-mcp stop" in errors


@pytest.mark.slow
@pytest.mark.requirement("serve:ends-in-order")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(serve: Serve, home: Path, number: signal.Signals) -> None:
    process = serve()
    listening(home, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert not (home / homes.INFO).exists()
    assert homes.holder(str(home)) is None
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.requirement("serve:ends-in-order")
def test_stop_ends_the_homes_runtime_and_waits_until_it_is_gone(serve: Serve, home: Path) -> None:
    process = serve()
    pid = listening(home, process).pid
    stopped = lifecycle.stop(str(home))
    assert stopped is not None
    assert stopped.pid == pid
    assert homes.holder(str(home)) is None
    assert process.wait(120) == 0
    assert lifecycle.stop(str(home)) is None


@pytest.mark.slow
@pytest.mark.requirement("serve:ends-in-order")
def test_a_chat_host_that_listens_does_not_hold_the_end_up(
    serve: Serve, home: Path, front: Callable[..., Peer]
) -> None:
    process = serve()
    listening(home, process)
    peer = front()
    peer.initialize()
    peer.request("ping")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert peer.request("ping")["result"] == {}
    assert "had stopped" not in peer.errors


@pytest.mark.requirement("serve:port-taken")
def test_a_taken_port_is_said_and_exits_with_2(serve: Serve, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = serve("--port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "another program has it" in errors
    assert "--port" in errors
    assert homes.holder(str(home)) is None


@pytest.mark.slow
@pytest.mark.requirement("serve:port-taken")
def test_a_detached_runtime_takes_a_free_port_where_the_usual_one_is_taken(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        os.environ["CODEWORDS_PORT"] = str(port)
        try:
            info = lifecycle.ensure(str(home))
        finally:
            del os.environ["CODEWORDS_PORT"]
    assert info.url.startswith("http://127.0.0.1:")
    assert not info.url.endswith(f":{port}")


@pytest.mark.requirement("serve:loopback-by-default")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_another_address_than_loopback_without_a_key_is_refused(serve: Serve, host: str) -> None:
    process = serve("--host", host)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "no key is configured" in errors
    assert "CODEWORDS_API_KEY" in errors


@pytest.mark.slow
@pytest.mark.requirement("serve:log-without-keys")
def test_the_log_is_json_lines_and_holds_no_key(serve: Serve, home: Path) -> None:
    import json

    process = serve(CODEWORDS_LOG_LEVEL="DEBUG", CODEWORDS_API_KEY="cwk-of-this-test-0123456789")
    listening(home, process)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    assert out == ""
    events = [json.loads(line)["event"] for line in errors.splitlines()]
    assert "the runtime listens" in events
    assert "cwk-of-this-test" not in errors


@pytest.mark.slow
@pytest.mark.requirement("serve:ends-in-order")
def test_a_second_ctrl_c_ends_it_at_once_while_a_run_goes_on(
    serve: Serve, home: Path, front: Callable[..., Peer]
) -> None:
    make_home(home)
    process = serve()
    listening(home, process)
    peer = front()
    workflow = tool_result(peer, "deploy_workflow", code=SLOW_WORKFLOW, name="slow")["workflow_id"]
    run = tool_result(peer, "run_workflow", workflow_id=workflow, input={"seconds": 600}, wait_seconds=0)[
        "run_id"
    ]
    until(lambda: tool_result(peer, "get_run", run_id=run)["status"] == "running", "the run to start")
    process.send_signal(signal.SIGINT)
    until(lambda: not (home / homes.INFO).exists(), "the first Ctrl-C to be taken")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert homes.holder(str(home)) is None
    assert tool_result(peer, "get_run", run_id=run)["status"] in {"cancelled", "interrupted"}


@pytest.mark.slow
@pytest.mark.requirement("cli:stop-starting", "serve:ends-in-order")
@pytest.mark.parametrize("phase", ["lock held", "published", "just started"])
def test_stop_ends_a_runtime_in_any_phase_of_its_start(serve: Serve, home: Path, phase: str) -> None:
    process = serve()
    if phase != "just started":
        until(lambda: homes.holder(str(home)) is not None, "the home to be held")
    if phase == "published":
        listening(home, process)
    stopped = lifecycle.stop(str(home), timeout=60)
    if stopped is None:  # nobody held the home yet: there was nothing to end
        assert phase == "just started"
        listening(home, process)
        stopped = lifecycle.stop(str(home), timeout=60)
    assert stopped is not None
    assert stopped.pid == process.pid
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert homes.holder(str(home)) is None
