"""What the gateway costs, beside a bare Starlette and aiohttp pipe, the provider itself, and LiteLLM and Portkey where they run.

Calls are metered, priced and within a budget. The provider is the loopback one, in a process of its own. LiteLLM and Portkey
(which needs node and npm) are installed into a temporary folder when this runs without `--quick`; where one cannot be, its
question is left out. Portkey counts nothing, and knows the provider's key from its caller.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT), str(Path(__file__).parent)]

from _bench import Question, clean_environment, interleave, options, report  # noqa: E402
from _load import cpu_seconds, load, request, resident_mb  # noqa: E402
from tests.serving import ServedRuntime, start_runtime  # noqa: E402

from codewords_mcp.testing.providers import loopback_providers  # noqa: E402

PIPE = "a bare Starlette and aiohttp pipe, which counts nothing"
DIRECT = "the loopback provider, called directly"
LITELLM = "LiteLLM proxy 1.108.7"
PORTKEY = "Portkey gateway 1.15.2"
PROMPT = [{"role": "user", "content": "Tell me about the sea. " * 45}]
CHAT = json.dumps({"model": "gpt-4o-mini", "messages": PROMPT, "max_tokens": 200}).encode()


def steered(name: str) -> bytes:
    """A streamed call of a model that steers the provider."""
    return json.dumps({"model": name, "messages": PROMPT, "stream": True, "max_tokens": 200}).encode()


LONG, PACED = steered("gpt-4o-mini-c64"), steered("gpt-4o-mini-c20-d25")
ALIASES = json.dumps(
    dict.fromkeys(("gpt-4o-mini-c64", "gpt-4o-mini-c20-d25", "gpt-4o-mini-c9000-d20"), "gpt-4o-mini")
)


@contextmanager
def program(*words: str, port: int) -> Iterator[int]:
    """A server that is up; its pid."""
    process = subprocess.Popen(
        words, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def gateway(folder: Path, upstream: str) -> Iterator[ServedRuntime]:
    env = {
        "OPENAI_API_KEY": "sk", "CODEWORDS_OPENAI_BASE_URL": upstream, "CODEWORDS_LOG_LEVEL": "ERROR",
        "CODEWORDS_BUDGETS": '{"home": 1000000, "call": 100}', "CODEWORDS_MODEL_ALIASES": ALIASES,
    }  # fmt: skip
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with start_runtime(folder, **env) as served:
        yield served


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def litellm(folder: Path) -> str | None:
    """The path of an installed LiteLLM, or None where it cannot be installed here."""
    uv, python = Path(sys.executable).with_name("uv"), folder / "venv/bin/python"
    try:
        subprocess.run(
            [uv, "venv", "-q", "--python", sys.executable, folder / "venv"], check=True, timeout=60
        )
        packages = ["litellm[proxy]==1.108.7", "opentelemetry-sdk", "opentelemetry-exporter-otlp"]
        command = [uv, "pip", "install", "-q", "--compile-bytecode", "--python", python, *packages]
        subprocess.run(command, env=clean_environment(), check=True, timeout=400)
    except (subprocess.SubprocessError, OSError):
        return None
    return str(folder / "venv/bin/litellm")


def beside_litellm(folder: Path, upstream: str, ours: int, sent: bytes, runs: int) -> Question | None:
    """Requests per second beside LiteLLM."""
    installed = litellm(folder)
    if installed is None:
        sys.stderr.write("LiteLLM could not be installed here; its question is left out.\n")
        return None
    config, port = folder / "config.yaml", free_port()
    config.write_text(
        "model_list:\n  - model_name: gpt-4o-mini\n    litellm_params:\n      model: openai/gpt-4o-mini\n"
        f"      api_base: {upstream}/v1\n      api_key: sk\ngeneral_settings:\n  master_key: sk-master\n",
        encoding="utf-8",
    )
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_LOG"] = "ERROR"
    with program(installed, "--config", str(config), "--port", str(port), port=port):
        theirs = request("/v1/chat/completions", "sk-master", CHAT)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                load(port, theirs, connections=1, seconds=1, most=1)
                break
            except (OSError, AssertionError):
                time.sleep(1)
        asked = Question(
            "requests/s, 32 connections, beside LiteLLM", LITELLM, "req/s", 30, more_is_better=True
        )
        interleave(
            asked,
            lambda: load(ours, sent, connections=32, seconds=3).rate,
            lambda: load(port, theirs, connections=32, seconds=3).rate,
            runs,
        )
    return asked


def portkey(folder: Path) -> Path | None:
    """The path of an installed Portkey, or None where it cannot be installed here."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return None
    folder.mkdir()
    try:
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "@portkey-ai/gateway@1.15.2"]
        subprocess.run(command, cwd=folder, check=True, timeout=300, stdout=sys.stderr)
    except (subprocess.SubprocessError, OSError):
        return None
    return folder / "node_modules/@portkey-ai/gateway/build/start-server.js"


def beside_portkey(folder: Path, upstream: str, ours: int, sent: bytes, runs: int) -> Question | None:
    """Requests per second beside Portkey."""
    server, port = portkey(folder), free_port()
    if server is None:
        sys.stderr.write("Portkey could not be installed here; its question is left out.\n")
        return None
    asked = Question("requests/s, 32 connections, beside Portkey", PORTKEY, "req/s", 3.5, more_is_better=True)
    headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: {upstream}/v1")
    theirs = request("/v1/chat/completions", "sk", CHAT, *headers)
    with program("node", str(server), f"--port={port}", "--headless", port=port):
        load(port, theirs, connections=8, seconds=30, most=50)
        interleave(
            asked,
            lambda: load(ours, sent, connections=32, seconds=3).rate,
            lambda: load(port, theirs, connections=32, seconds=3).rate,
            runs,
        )
    return asked


def measured(pid: int, port: int, sent: bytes, seconds: float) -> float:
    """CPU of the server, in µs a call."""
    before = cpu_seconds(pid)
    count = load(port, sent, connections=32, seconds=seconds).count
    return (cpu_seconds(pid) - before) / count * 1e6


def loads(folder: Path, *, quick: bool, runs: int) -> list[Question]:
    """The questions that need a provider in a process of its own."""
    up, pipe = free_port(), free_port()
    upstream, seconds = f"http://127.0.0.1:{up}", 1.0 if quick else 3.0
    provider = (sys.executable, "-m", "codewords_mcp.testing.providers", "--port", str(up))
    piping = (sys.executable, str(Path(__file__).parent / "_pipe.py"), str(pipe), upstream)
    with (
        program(*provider, port=up),
        program(*piping, port=pipe) as pipe_pid,
        gateway(folder / "home", upstream) as served,
    ):
        port = port_of(served.url)

        def asks(body: bytes) -> tuple[bytes, bytes, bytes]:
            path = "/chat/completions"
            return (
                request(f"/openai{path}", served.key, body), request(f"/openai{path}", "sk", body),
                request(f"/v1{path}", "sk", body),
            )  # fmt: skip

        ours, theirs, plain = asks(CHAT)
        long_ours, long_theirs, _ = asks(LONG)
        paced_ours, _, paced_plain = asks(PACED)
        cpu = Question("CPU a call", PIPE, "us", None, at_most=250)
        interleave(
            cpu,
            lambda: measured(served.pid, port, ours, seconds),
            lambda: measured(pipe_pid, pipe, theirs, seconds),
            runs,
        )
        added = Question("median of a call, 1 connection", DIRECT, "ms", None, adds_at_most=0.5)
        interleave(
            added,
            lambda: load(port, ours, connections=1, seconds=seconds).median_ms,
            lambda: load(up, plain, connections=1, seconds=seconds).median_ms,
            runs,
        )
        rate = Question("calls/s, 32 connections", PIPE, "req/s", 0.7, at_least=3500, more_is_better=True)
        interleave(
            rate,
            lambda: load(port, ours, connections=32, seconds=seconds).rate,
            lambda: load(pipe, theirs, connections=32, seconds=seconds).rate,
            runs,
        )
        stream = Question("CPU of a stream of 64 chunks", PIPE, "us", None, at_most=1000)
        interleave(
            stream,
            lambda: measured(served.pid, port, long_ours, seconds),
            lambda: measured(pipe_pid, pipe, long_theirs, seconds),
            runs,
        )
        first = Question("first chunk, 32 paced streams at once", DIRECT, "ms", None, adds_at_most=5)
        interleave(
            first,
            lambda: load(port, paced_ours, connections=32, seconds=60, most=2).first_ms,
            lambda: load(up, paced_plain, connections=32, seconds=60, most=2).first_ms,
            runs,
        )
        memory = grown(served, port, ours, quick=quick)
        found = [cpu, added, rate, stream, first, memory]
        if not quick and (beside := beside_litellm(folder, upstream, port, ours, 3)):
            found.append(beside)
        if not quick and (beside := beside_portkey(folder / "portkey", upstream, port, ours, 3)):
            found.append(beside)
        return found


def grown(served: ServedRuntime, port: int, sent: bytes, *, quick: bool) -> Question:
    """Resident memory after calls and cut streams, beside what it was after the first of them."""
    asked = Question(
        "resident memory after calls and cut streams", "the same process before them", "MB", 1.15
    )
    calls, cuts = (3_000, 100) if quick else (100_000, 1_000)
    load(port, sent, connections=32, seconds=600, most=60)
    _cut(served, 20)
    before = resident_mb(served.pid)
    load(port, sent, connections=32, seconds=600, most=calls // 32)
    _cut(served, cuts)
    asked.ours, asked.peer = [resident_mb(served.pid)], [before]
    return asked


def _cut(served: ServedRuntime, count: int) -> None:
    sent = request("/openai/chat/completions", served.key, steered("gpt-4o-mini-c9000-d20"))
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port_of(served.url)), timeout=30) as raw:
            raw.sendall(sent)
            while b"data:" not in raw.recv(65536):
                pass


def hang_ups(folder: Path, runs: int) -> Question:
    """From the caller's hang-up to the provider's noticing."""
    asked = Question("hang-up until the provider notices", DIRECT, "ms", None, at_most=20)
    with loopback_providers() as providers, gateway(folder / "other", providers.url) as served:
        body = steered("gpt-4o-mini-c9000-d20")

        def noticed(port: int, path: str, key: str) -> float:
            before = len(providers.aborted)
            with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
                raw.sendall(request(path, key, body))
                while b"data:" not in raw.recv(65536):
                    pass
                left = time.perf_counter()
            assert providers.wait_for(lambda: len(providers.aborted) > before)
            return (time.perf_counter() - left) * 1000

        interleave(
            asked,
            lambda: noticed(port_of(served.url), "/openai/chat/completions", served.key),
            lambda: noticed(port_of(providers.url), "/v1/chat/completions", "sk"),
            runs,
        )
    return asked


def main() -> int:
    chosen = options(__doc__ or "", runs=7, quick_runs=2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        questions = loads(folder, quick=chosen.quick, runs=chosen.runs)
        questions.append(hang_ups(folder, chosen.runs * 3))
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
