"""Model providers on loopback, for tests: they speak OpenAI's, Anthropic's and Gemini's protocols to unmodified SDKs.

    with loopback_providers(keys={"openai": "sk-test"}) as providers:
        Settings(openai_base_url=f"{providers.url}/v1", …)

A model's name steers the answer (`gpt-4o-mini-c64-d25`: 64 pieces, 25 ms apart; see `Steering`). What was asked is in
`requests`, what was billed in `tokens`. `python -m codewords_testing.providers --port 9100` runs them alone.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from codewords_testing.providers import anthropic, clouds, gemini, openai
from codewords_testing.providers.model import Json, Request, Steering, StubReply, report_reply, steer
from codewords_testing.providers.server import ENCODINGS, ServerConnection, compressed

__all__ = ["LoopbackProviders", "Request", "Steering", "StubReply", "key_of", "loopback_providers"]

_MAX_REQUESTS = 20_000


class LoopbackProviders:
    """The three providers on one port; the path tells which.

    `keys`: what each takes, several joined by blanks; any where it names none.
    """

    def __init__(self, keys: Mapping[str, str] | None = None) -> None:
        self.url = ""
        self.requests: deque[Request] = deque(maxlen=_MAX_REQUESTS)
        self.aborted: list[Request] = []
        """Requests whose client left before their answer was whole."""
        self.tokens: Counter[str] = Counter()
        """`openai.input`, `gemini.output` … as billed by whole answers, cut ones not included."""
        self._keys = dict(keys or {})
        self._scripted: dict[str, deque[StubReply]] = {}
        self._files = gemini.Files()
        self._changed = threading.Condition()

    def answer_next(self, *replies: StubReply, key: str = "") -> None:
        """Answer the next requests with these replies instead: those with this provider key, or all."""
        with self._changed:
            self._scripted.setdefault(key, deque()).extend(replies)

    def wait_for(self, happened: Callable[[], bool], seconds: float = 30) -> bool:
        """Wait until `happened` returns true; checked after each request and each abort. False when the time is over."""
        with self._changed:
            return self._changed.wait_for(happened, seconds)

    async def start(self, port: int = 0) -> asyncio.Server:
        """Listen on the running loop."""
        loop = asyncio.get_running_loop()
        connection = partial(ServerConnection, self.answer, self._on_abort)
        server = await loop.create_server(connection, "127.0.0.1", port, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    def _on_abort(self, request: Request) -> None:
        with self._changed:
            self.aborted.append(request)
            self._changed.notify_all()

    def answer(self, request: Request) -> StubReply:
        """Serve one request."""
        provider = provider_of(request)
        request = replace(request, provider=provider)
        reply = self._script(request)
        if reply is None:
            reply = self._refusal(request) or self._reply(request)
            report_reply(_service_of(request), request, reply)
        if encoding := next((name for name in ENCODINGS if name in _flags(request)), ""):
            reply = compressed(reply, encoding)
        with self._changed:
            self.requests.append(request)
            self.tokens.update({f"{provider}.{name}": count for name, count in counted(reply.usage).items()})
            self._changed.notify_all()
        return reply

    def _refusal(self, request: Request) -> StubReply | None:
        if _wants_json(request) and not request.body.lstrip().startswith(b"{"):
            return _MODULES[request.provider].error(400, "the body is not a JSON object")
        accepted = self._keys.get(request.provider)
        # The address of a running upload is its own permission.
        if accepted is None or "upload_id=" in request.query:
            return None
        # One key exactly: a request that carries a second one is refused too.
        known = {frozenset({key}) for key in accepted.split()}
        if key_of(request) in known:
            return None
        return _MODULES[request.provider].error(401, "that key is not valid here")

    def _script(self, request: Request) -> StubReply | None:
        with self._changed:
            # Replies for one key come before those for all.
            for key in (*key_of(request), ""):
                if self._scripted.get(key):
                    return self._scripted[key].popleft()
        return None

    def _reply(self, request: Request) -> StubReply:
        if clouds.is_bedrock(request):
            return clouds.bedrock(request)
        if clouds.is_claude_on_vertex(request):
            return clouds.claude_on_vertex(request)
        if request.provider == "gemini" and "/openai/" not in request.path:
            return gemini.answer(request, self._files)
        if request.provider == "anthropic":
            return anthropic.answer(request)
        return openai.answer(request)


def _service_of(request: Request) -> str:
    """Name of the service whose description the reply has to fit."""
    if clouds.is_bedrock(request):
        return "bedrock"
    if request.provider == "gemini" and "/openai/" in request.path:
        return "openai"
    if "/publishers/google/" in request.path:
        return "vertex"
    return request.provider


_MODULES = {"openai": openai, "anthropic": anthropic, "gemini": gemini}


def key_of(request: Request) -> frozenset[str]:
    """The provider's keys that a request carries: one, if it is as it should be."""
    headers = request.headers
    presented = (headers.get("authorization", "").removeprefix("Bearer "), headers.get("x-api-key", ""))
    return frozenset({*presented, headers.get("x-goog-api-key", ""), headers.get("api-key", "")} - {""})


def provider_of(request: Request) -> str:
    """Name of the provider that a request is for, by its path and headers."""
    # Anthropic's and OpenAI's paths both begin with /v1, so the header decides.
    own = "anthropic-version" in request.headers or "/messages" in request.path
    if own or clouds.is_bedrock(request) or clouds.is_claude_on_vertex(request):
        return "anthropic"
    if "/publishers/google/" in request.path:
        return "gemini"
    google = ("/v1beta", "/upload/", "/v1/models/", "/v1alpha")
    if request.path.startswith(google) or "x-goog-api-key" in request.headers:
        return "gemini"
    return "openai"


def _wants_json(request: Request) -> bool:
    forms = ("/files", "/uploads", "/upload/", "/audio/")
    return request.method == "POST" and bool(request.body) and not any(part in request.path for part in forms)


def _flags(request: Request) -> frozenset[str]:
    if request.provider == "gemini" and ":" in request.path:
        return steer(request.path.rpartition("/")[2].partition(":")[0]).flags
    return steer(str(request.json.get("model") or "")).flags


def counted(usage: Json) -> dict[str, int]:
    """A provider's usage as `{input, output}`, cached and thought tokens included where it bills them apart."""
    if not usage:
        return {}
    if "promptTokenCount" in usage:
        out = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        return {"input": usage["promptTokenCount"], "output": out}
    if "cache_creation_input_tokens" in usage:
        cached = usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]
        return {"input": usage["input_tokens"] + cached, "output": usage["output_tokens"]}

    return {
        "input": usage.get("prompt_tokens", usage.get("input_tokens", 0)),
        "output": usage.get("completion_tokens", usage.get("output_tokens", 0)),
    }


@contextmanager
def loopback_providers(keys: Mapping[str, str] | None = None) -> Generator[LoopbackProviders]:
    """The providers on a free port, in a thread of their own."""
    providers = LoopbackProviders(keys)
    ready, end = threading.Event(), threading.Event()

    async def serve() -> None:
        server = await providers.start()
        ready.set()
        # The block ends in another thread, whose events this loop cannot await.
        await asyncio.to_thread(end.wait)
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="providers")
    thread.start()

    try:
        if not ready.wait(30):
            raise TimeoutError("the loopback providers did not start")
        yield providers
    finally:
        end.set()
        thread.join(30)
