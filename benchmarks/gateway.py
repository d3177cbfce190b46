"""What the gateway costs, beside a bare Starlette and aiohttp pipe, the provider itself, and LiteLLM and Portkey where they run.

Calls are metered, priced and within a budget. The provider is the loopback one, in a process of its own; so is each peer, and
the client is this one. Who is measured has a core of its own, the last one, and client and provider the others: programs are
compared, and not how the machine shares itself out. Without `--quick`, LiteLLM and Portkey (which needs node and npm) take part
in the turns of the pipe; they are installed once, under `$XDG_CACHE_HOME` or `~/.cache`. Where one cannot be, its question is
left out. Portkey counts nothing, and knows the provider's key from its caller. A whole run takes four minutes, and two more
the first time.
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
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from _bench import (
    Options,
    Question,
    clean_environment,
    interleave,
    interleave_several,
    options,
    report,
)  # fmt: skip
from _load import cpu_seconds, load, request, resident_mb
from _peers import environment_of, free_port, installed, listening, say
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_testing.providers import loopback_providers

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


CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def use(cores: list[int]) -> None:
    """Run on these, and what is started from now on too."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, cores)


@contextmanager
def its_own_core() -> Iterator[None]:
    """What is started in here runs on the last core."""
    use(CORES[-1:])
    try:
        yield
    finally:
        use(CORES[:-1])


@contextmanager
def program(
    *words: str, port: int, measured: bool = True, env: dict[str, str] | None = None
) -> Iterator[int]:
    """A server that is up; its pid."""
    with its_own_core() if measured else nullcontext():
        process = subprocess.Popen(
            words, env=clean_environment(**(env or {})), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        listening(process, port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def gateway(folder: Path, upstream: str) -> Iterator[ServedRuntime]:
    env = {
        "OPENAI_API_KEY": "sk", "CODEWORDS_OPENAI_BASE_URL": upstream, "CODEWORDS_LOG_LEVEL": "ERROR",
        "CODEWORDS_BUDGETS": '{"home": 1000000, "call": 100}', "CODEWORDS_MODEL_ALIASES": ALIASES,
    }  # fmt: skip
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with ExitStack() as running:
        with its_own_core():
            served = running.enter_context(start_runtime(folder, python=sys.executable, **env))
        yield served


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@contextmanager
def litellm(folder: Path, upstream: str) -> Iterator[tuple[int, bytes] | None]:
    """LiteLLM's port and a request to it."""
    packages = ["litellm[proxy]==1.108.7", "opentelemetry-sdk", "opentelemetry-exporter-otlp"]
    found = installed(
        "litellm-1.108.7",
        "venv/bin/litellm",
        *environment_of(*packages),
    )
    if found is None:
        yield None
        return
    config, port = folder / "litellm.yaml", free_port()
    config.write_text(
        "model_list:\n  - model_name: gpt-4o-mini\n    litellm_params:\n      model: openai/gpt-4o-mini\n"
        f"      api_base: {upstream}/v1\n      api_key: sk\ngeneral_settings:\n  master_key: sk-master\n",
        encoding="utf-8",
    )
    more = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with program(str(found), "--config", str(config), "--port", str(port), port=port, env=more):
        yield port, request("/v1/chat/completions", "sk-master", CHAT)


@contextmanager
def portkey(upstream: str) -> Iterator[tuple[int, bytes] | None]:
    """Portkey's port and a request to it."""
    found = None
    if shutil.which("node") and (npm := shutil.which("npm")):
        found = installed(
            "portkey-1.15.2",
            "node_modules/@portkey-ai/gateway/build/start-server.js",
            [npm, "install", "--silent", "--no-audit", "--no-fund", "@portkey-ai/gateway@1.15.2"],
        )
    if found is None:
        yield None
        return
    port = free_port()
    headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: {upstream}/v1")
    with program("node", str(found), f"--port={port}", "--headless", port=port):
        yield port, request("/v1/chat/completions", "sk", CHAT, *headers)


def ready(peer: tuple[int, bytes]) -> bool:
    """Whether a peer answers, after its start."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            load(peer[0], peer[1], connections=8, seconds=30, most=20)
        except (OSError, AssertionError):
            time.sleep(1)
        else:
            return True
    return False


def rates(
    folder: Path, upstream: str, ours: tuple[int, bytes], pipe: tuple[int, bytes], chosen: Options
) -> list[Question]:
    """Calls per second, by turns of all of them."""
    asked = "calls/s, 32 connections"
    found = [(Question(asked, PIPE, "req/s", 0.7, at_least=5500, more_is_better=True), pipe)]
    with ExitStack() as running:
        if not chosen.quick:
            for name, least, opened in (
                (LITELLM, 35, litellm(folder, upstream)), (PORTKEY, 3.5, portkey(upstream)),
            ):  # fmt: skip
                peer = running.enter_context(opened)
                if peer is not None and ready(peer):
                    beside = f"{asked}, beside {name.split(' ', maxsplit=1)[0]}"
                    found.append((Question(beside, name, "req/s", least, more_is_better=True), peer))

        def rate(of: tuple[int, bytes]) -> float:
            return load(of[0], of[1], connections=32, seconds=1 if chosen.quick else 2).rate

        peers = [(question, partial(rate, peer)) for question, peer in found]
        interleave_several(peers, partial(rate, ours), chosen.runs)
    return [question for question, _ in found]


def measured(pid: int, port: int, sent: bytes, seconds: float) -> float:
    """CPU of the server, in µs a call."""
    before = cpu_seconds(pid)
    count = load(port, sent, connections=32, seconds=seconds).count
    return (cpu_seconds(pid) - before) / count * 1e6


def loads(folder: Path, chosen: Options) -> list[Question]:
    """The questions that need a provider in a process of its own."""
    up, pipe = free_port(), free_port()
    quick, runs = chosen.quick, chosen.runs
    upstream, seconds = f"http://127.0.0.1:{up}", 1.0 if quick else 2.0
    provider = (sys.executable, "-m", "codewords_testing.providers", "--port", str(up))
    piping = (sys.executable, str(Path(__file__).parent / "_pipe.py"), str(pipe), upstream)
    with (
        program(*provider, port=up, measured=False),
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
        paced_ours, paced_theirs, paced_plain = asks(PACED)
        cpu = Question("CPU a call", PIPE, "us", None, at_most=180)
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
        rate = rates(folder, upstream, (port, ours), (pipe, theirs), chosen)
        stream = Question("CPU of a stream of 64 chunks", PIPE, "us", None, at_most=1000)
        interleave(
            stream,
            lambda: measured(served.pid, port, long_ours, seconds),
            lambda: measured(pipe_pid, pipe, long_theirs, seconds),
            runs,
        )
        question = "first chunk, 64 paced streams at once"
        first = Question(question, DIRECT, "ms", None, adds_at_most=2)
        beside = Question(f"{question}, beside the pipe", PIPE, "ms", None, adds_at_most=2)

        def begins(at: int, sent: bytes) -> float:
            """The first stream of each connection also opens it."""
            return load(at, sent, connections=64, seconds=60, most=2 if quick else 4).first_ms

        interleave_several(
            [(first, lambda: begins(up, paced_plain)), (beside, lambda: begins(pipe, paced_theirs))],
            lambda: begins(port, paced_ours),
            runs,
        )
        return [cpu, added, *rate, stream, first, beside, grown(served, port, ours, quick=quick)]


def grown(served: ServedRuntime, port: int, sent: bytes, *, quick: bool) -> Question:
    """Resident memory after calls and cut streams, beside what it was after the first of them."""
    asked = Question(
        "resident memory after calls and cut streams", "the same process before them", "MB", 1.15
    )
    calls, cuts = (3_000, 100) if quick else (100_000, 1_000)
    say(f"{asked.question}: {calls:,} calls, {cuts:,} streams")
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
    chosen = options(__doc__ or "", runs=4, quick_runs=2)
    use(CORES[:-1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        questions = loads(folder, chosen)
        questions.append(hang_ups(folder, chosen.runs * 3))
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
