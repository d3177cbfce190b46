"""The pipe, message by message, against a real MCP server over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.stdio_client import ENVELOPE, Json, Peer, Standin, environment, texts
from tests.support.waiting import until

from codewords_mcp import __version__

Front = Callable[..., Peer]
ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


@dataclass
class Hang:
    """A call that waits until cancelled, and the traces it leaves."""

    name: str
    marks: Path

    def params(self, era: str) -> Any:
        envelope: Any = {"_meta": ENVELOPE} if era == "modern" else {}
        return {"name": "hang", "arguments": {"name": self.name}, **envelope}

    def started(self) -> None:
        until((self.marks / f"{self.name}-started").exists, "the hanging call to start")

    def cancelled(self) -> None:
        until((self.marks / f"{self.name}-cancelled").exists, "the cancellation to arrive")


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marks")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, marks: Path) -> Iterator[Path]:
    """One stand-in serves all tests of this module."""
    folder = tmp_path_factory.mktemp("served")
    with Standin(folder, STANDIN_MARKS=str(marks)):
        yield folder


@pytest.fixture
def hang(marks: Path, request: pytest.FixtureRequest) -> Hang:
    return Hang(re.sub(r"\W", "-", request.node.name), marks)


def opened(front: Front, era: str) -> Peer:
    peer = front()
    if era == "legacy":
        peer.initialize()
    return peer


@pytest.mark.requirement("stdio:both-eras")
@ERAS
def test_a_tool_is_listed_and_called_in_either_era(front: Front, era: str) -> None:
    peer = opened(front, era)
    listed = peer.modern("tools/list") if era == "modern" else peer.request("tools/list")
    assert "add" in [tool["name"] for tool in listed["result"]["tools"]]
    assert texts(peer.call(era, "add", {"a": 1, "b": 2})) == ["3"]


@pytest.mark.requirement("stdio:both-eras")
def test_a_client_that_discovers_and_then_initializes_is_served(front: Front) -> None:
    peer = front()
    assert "2026-07-28" in peer.modern("server/discover")["result"]["supportedVersions"]
    assert peer.initialize()["result"]["protocolVersion"] == "2025-11-25"
    assert texts(peer.call("legacy", "echo", {"text": "hi"})) == ["hi"]


@pytest.mark.requirement("stdio:stdout-is-protocol")
@ERAS
def test_text_of_every_script_and_long_text_survive(front: Front, era: str) -> None:
    peer = opened(front, era)
    said = "naïve 文字 🧵 \u2028 \x00 line\nbreak " + "x" * 300_000
    assert texts(peer.call(era, "echo", {"text": said})) == [said]
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in peer.lines)


@pytest.mark.requirement("stdio:streams-messages")
@ERAS
def test_progress_comes_before_the_answer_and_in_order(front: Front, era: str) -> None:
    peer = opened(front, era)
    meta = {"progressToken": "p"} | (ENVELOPE if era == "modern" else {})
    request = peer.ask("tools/call", {"name": "count", "arguments": {"to": 3}, "_meta": meta})
    steps = [
        peer.receive(lambda m: m.get("method") == "notifications/progress")["params"]["progress"]
        for _ in range(3)
    ]
    assert steps == [1, 2, 3]
    assert texts(peer.answer(request)) == ["counted"]


@pytest.mark.requirement("stdio:concurrent")
@ERAS
def test_a_call_that_waits_holds_no_other_up(front: Front, hang: Hang, era: str) -> None:
    peer = opened(front, era)
    request = peer.ask("tools/call", hang.params(era))
    hang.started()
    assert texts(peer.call(era, "add", {"a": 2, "b": 2})) == ["4"]
    peer.notify("notifications/cancelled", {"requestId": request})


@pytest.mark.requirement("stdio:concurrent")
@ERAS
def test_a_hundred_calls_at_once_each_get_their_own_answer(front: Front, era: str) -> None:
    peer = opened(front, era)
    meta: Any = {"_meta": ENVELOPE} if era == "modern" else {}
    asked = {
        peer.ask("tools/call", {"name": "add", "arguments": {"a": n, "b": 1000}, **meta}): n
        for n in range(100)
    }
    assert {request: texts(peer.answer(request)) for request in asked} == {
        request: [str(n + 1000)] for request, n in asked.items()
    }


@pytest.mark.requirement("stdio:listening-stream")
def test_a_subscription_of_the_newer_era_streams_until_it_is_cancelled(front: Front) -> None:
    peer = front()
    request = peer.ask(
        "subscriptions/listen", {"notifications": {"toolsListChanged": True}, "_meta": ENVELOPE}
    )
    assert peer.receive(lambda message: message.get("method") == "notifications/subscriptions/acknowledged")
    peer.call("modern", "change")
    assert peer.receive(lambda message: message.get("method") == "notifications/tools/list_changed")
    peer.notify("notifications/cancelled", {"requestId": request})
    assert texts(peer.call("modern", "add", {"a": 1, "b": 1})) == ["2"]
    assert peer.end() == 0
    assert not [line for line in peer.lines if json.loads(line).get("id") == request]


@pytest.mark.requirement("stdio:cancellation")
@ERAS
def test_a_cancelled_call_ends_in_the_runtime_and_gets_no_answer(front: Front, hang: Hang, era: str) -> None:
    peer = opened(front, era)
    request = peer.ask("tools/call", hang.params(era))
    hang.started()
    peer.notify("notifications/cancelled", {"requestId": request, "reason": "test"})
    hang.cancelled()
    assert texts(peer.call(era, "add", {"a": 1, "b": 1})) == ["2"]
    assert peer.end() == 0
    answers = [m for m in map(json.loads, peer.lines) if m.get("id") == request]
    assert [m for m in answers if "result" in m] == []
    assert era == "legacy" or answers == []


@pytest.mark.requirement("stdio:cancellation")
def test_a_cancellation_right_behind_its_request_still_counts(front: Front, hang: Hang) -> None:
    peer = opened(front, "legacy")
    request = peer.ask("tools/call", hang.params("legacy"))
    peer.notify("notifications/cancelled", {"requestId": request})
    hang.cancelled()


@pytest.mark.requirement("stdio:server-asks")
def test_a_question_of_the_runtime_reaches_the_host_and_its_answer_the_runtime(front: Front) -> None:
    peer = front()
    info: Json = {"name": "test", "version": "1"}
    capabilities: Json = {"elicitation": {"form": {}}}
    peer.request(
        "initialize", {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": info}
    )
    peer.notify("notifications/initialized")
    call = peer.ask("tools/call", {"name": "ask", "arguments": {}})
    question = peer.receive(lambda message: message.get("method") == "elicitation/create")
    assert question["params"]["message"] == "Who are you?"
    peer.send(
        {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"name": "Ada"}}}
    )
    assert texts(peer.answer(call)) == ["hello Ada"]


@pytest.mark.requirement("stdio:listening-stream")
def test_what_the_runtime_says_unasked_reaches_the_host(front: Front) -> None:
    peer = opened(front, "legacy")
    changed = "notifications/tools/list_changed"

    def heard() -> bool:
        peer.call("legacy", "announce")
        return any(changed.encode() in line for line in peer.lines)

    until(heard, "the listening stream to be open")
    assert peer.receive(lambda message: message.get("method") == changed)


@pytest.mark.requirement("stdio:session-again")
def test_a_session_that_the_runtime_forgot_is_made_again_unseen(front: Front) -> None:
    peer = opened(front, "legacy")
    peer.call("modern", "forget")
    assert texts(peer.call("legacy", "add", {"a": 1, "b": 2})) == ["3"]
    assert len(peer.lines) == 3


@pytest.mark.requirement("stdio:malformed-lines")
@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"not json", -32700, None),
        (b'{"jsonrpc": "2.0", "id": 1', -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600, None),
        (b"42", -32600, None),
        (b'{"id": 7, "method": "ping"}', -32600, 7),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": "a", "method": 5}', -32600, "a"),
        (b'{"jsonrpc": "2.0", "id": "b", "method": "ping", "params": [1]}', -32600, "b"),
        (b'{"jsonrpc": "2.0", "id": 9}', -32600, 9),
    ],
)
def test_a_malformed_line_gets_a_jsonrpc_error_and_the_next_is_served(
    front: Front, line: bytes, code: int, request_id: Any
) -> None:
    peer = front()
    peer.write(line + b"\n")
    answer = peer.receive(lambda message: "error" in message)
    assert (answer["error"]["code"], answer["id"]) == (code, request_id)
    assert texts(peer.call("modern", "add", {"a": 1, "b": 2})) == ["3"]


@pytest.mark.requirement("stdio:malformed-lines")
def test_blank_lines_and_carriage_returns_are_no_messages(front: Front) -> None:
    peer = front()
    peer.write(b"\n\r\n  \n")
    request = {"jsonrpc": "2.0", "id": "x", "method": "tools/list", "params": {"_meta": ENVELOPE}}
    peer.write(json.dumps(request).encode() + b"\r\n")
    assert "result" in peer.answer("x")
    assert len(peer.lines) == 1


@pytest.mark.requirement("stdio:errors-pass")
def test_the_runtimes_own_refusal_passes_with_the_requests_id(front: Front) -> None:
    peer = front()
    peer.send({"jsonrpc": "2.0", "id": "odd/id", "method": "no/such", "params": {"_meta": ENVELOPE}})
    assert peer.answer("odd/id")["error"]["code"] == -32601


@pytest.mark.requirement("stdio:ends-with-stdin")
@ERAS
def test_the_end_of_stdin_lets_calls_finish_and_exits_with_0(front: Front, era: str) -> None:
    peer = opened(front, era)
    meta: Any = {"_meta": ENVELOPE} if era == "modern" else {}
    requests = [
        peer.ask("tools/call", {"name": "add", "arguments": {"a": n, "b": n}, **meta}) for n in range(5)
    ]
    assert peer.end() == 0
    assert [texts(peer.answer(request)) for request in requests] == [[str(2 * n)] for n in range(5)]


@pytest.mark.requirement("stdio:ends-with-stdin")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once_and_cancels_what_is_in_flight(
    front: Front, hang: Hang, number: signal.Signals, code: int
) -> None:
    peer = opened(front, "legacy")
    peer.ask("tools/call", hang.params("legacy"))
    hang.started()
    peer.process.send_signal(number)
    assert peer.wait() == code
    hang.cancelled()


@pytest.mark.requirement("stdio:stdout-is-protocol")
def test_a_host_that_no_longer_reads_ends_the_front_quietly(home: Path) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "codewords_mcp"],
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment(home),
    )
    os.close(writer)
    os.close(reader)
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": ENVELOPE}}
    _, errors = process.communicate(json.dumps(request).encode() + b"\n", timeout=60)
    assert process.returncode == 0
    assert b"Traceback" not in errors


@pytest.mark.requirement("stdio:unknown-option")
@pytest.mark.parametrize("option", ["--toolset=x", "-x", "--verbose"])
def test_an_unknown_option_is_refused_with_a_sentence(front: Front, option: str) -> None:
    peer = front(option)
    assert peer.wait() == 2
    assert peer.lines == []
    assert option in peer.errors
    assert "--help" in peer.errors


@pytest.mark.requirement("stdio:version")
def test_the_version_is_told_without_a_runtime(tmp_path: Path) -> None:
    unused = tmp_path / "unused"
    told = subprocess.run(
        [sys.executable, "-m", "codewords_mcp", "--version"],
        capture_output=True,
        env=environment(unused),
        check=True,
    )
    assert __version__ in told.stdout.decode()
    assert not unused.exists()


@pytest.mark.requirement("mcp:request-ids")
@ERAS
def test_an_id_in_flight_that_comes_again_is_answered_with_an_error_at_once(
    front: Front, hang: Hang, era: str
) -> None:
    peer = opened(front, era)
    request = peer.ask("tools/call", hang.params(era))
    hang.started()
    peer.send({"jsonrpc": "2.0", "id": request, "method": "tools/call", "params": hang.params(era)})
    assert peer.answer(request)["error"]["code"] == -32600
    assert texts(peer.call(era, "add", {"a": 1, "b": 2})) == ["3"]
    peer.notify("notifications/cancelled", {"requestId": request})
    hang.cancelled()


@pytest.mark.requirement("stdio:malformed-lines")
@pytest.mark.parametrize("request_id", [{}, {"a": 1}, [1], None, True, 1.5])
def test_a_cancellation_of_what_is_no_id_breaks_nothing(front: Front, request_id: Any) -> None:
    peer = opened(front, "legacy")
    peer.notify("notifications/cancelled", {"requestId": request_id})
    assert texts(peer.call("legacy", "add", {"a": 1, "b": 2})) == ["3"]
    assert "Traceback" not in peer.errors


@pytest.mark.requirement("stdio:session-again")
@pytest.mark.parametrize("params", [{}, {"protocolVersion": 5}, None])
def test_a_second_initialize_that_is_refused_leaves_the_session_as_it_is(front: Front, params: Any) -> None:
    peer = opened(front, "legacy")
    assert "error" in peer.request("initialize", params)
    assert texts(peer.call("legacy", "add", {"a": 1, "b": 2})) == ["3"]
