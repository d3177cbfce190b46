"""Gemini's native interface: generate, stream, embed, count, files (resumable uploads), models."""

from __future__ import annotations

import json
import re
from typing import Any

from codewords_testing.providers.model import (
    CUT,
    Json,
    Request,
    Steering,
    StubReply,
    dumped,
    input_tokens,
    part,
    steer,
    structured,
    text_of,
    words,
)

_ERRORS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_HEADERS = [("server-timing", "gfet4t7; dur=5")]


def error(status: int, message: str = "") -> StubReply:
    """An error as Google words it."""
    inner = {
        "code": status,
        "message": message or f"stand-in error {status}",
        "status": _ERRORS.get(status, "UNKNOWN"),
    }
    return StubReply(status, dumped({"error": inner | {"details": []}}), headers=list(_HEADERS))


class Files:
    """Uploaded files by name; the stand-in's only memory."""

    def __init__(self) -> None:
        self._uploads: dict[str, Json] = {}
        self._files: dict[str, Json] = {}

    def upload(self, request: Request) -> StubReply:
        """Either leg of a resumable upload."""
        command = request.headers.get("x-goog-upload-command", "")
        if "start" in command:
            return self._start(request)

        found = re.search(r"upload_id=(\w+)", request.query)
        name = found[1] if found else ""
        upload = self._uploads.get(name)
        if upload is None:
            return error(404, "there is no such upload")

        upload["size"] += len(request.body)
        if "finalize" not in command:
            return StubReply(body=b"{}", headers=[("X-Goog-Upload-Status", "active")])

        at = "2026-11-25T00:00:00Z"
        file = {
            "name": f"files/{name}", "mimeType": upload["type"], "sizeBytes": str(upload["size"]), "createTime": at,
            "updateTime": at, "expirationTime": at, "sha256Hash": "eA==", "state": "ACTIVE", "source": "UPLOADED",
            "uri": f"https://generativelanguage.googleapis.com/v1beta/files/{name}",
        }  # fmt: skip
        self._files[f"files/{name}"] = file

        return StubReply(body=dumped({"file": file}), headers=[("X-Goog-Upload-Status", "final")])

    def _start(self, request: Request) -> StubReply:
        name = f"up{len(self._uploads)}"
        self._uploads[name] = {"type": request.headers.get("x-goog-upload-header-content-type"), "size": 0}
        here = f"http://{request.headers.get('host')}/upload/v1beta/files?upload_id={name}&upload_protocol=resumable"
        return StubReply(
            body=b"{}",
            headers=[
                ("X-Goog-Upload-Status", "active"),
                ("X-Goog-Upload-URL", here),
                ("X-Goog-Upload-Chunk-Granularity", "8388608"),
            ],
        )

    def get_or_delete(self, request: Request, name: str) -> StubReply:
        """Get or delete."""
        file = self._files.get(name)
        if file is None:
            # Google does not tell a file of others from one that does not exist.
            return error(403, "there is no such file")
        if request.method == "DELETE":
            del self._files[name]
            return StubReply(body=b"{}")
        return StubReply(body=dumped(file))

    def list(self) -> StubReply:
        """Every file."""
        return StubReply(body=dumped({"files": list(self._files.values())}))


def answer(request: Request, files: Files) -> StubReply:
    """The answer to a request."""
    named = re.search(r"/models/([^:/?]+)", request.path)
    steering = steer(named[1] if named else "")

    if steering.status != 200:
        reply = error(steering.status)
        reply.headers += [("retry-after", steering.retry_after)] if steering.retry_after else []
        return reply

    reply = _routed(request, named[1] if named else "", steering, files)
    reply.headers = _HEADERS + reply.headers
    reply.wait, reply.delay = steering.wait, steering.delay

    return reply


def _routed(request: Request, model: str, steering: Steering, files: Files) -> StubReply:
    path, verb = request.path, request.path.rpartition(":")[2]
    tokens = input_tokens(request)
    if verb == "generateContent":
        return _generate(request, model, steering)
    if verb == "streamGenerateContent":
        return _stream(request, model, steering)
    if verb == "countTokens":
        return StubReply(body=dumped({"totalTokens": tokens}))

    if verb in {"embedContent", "batchEmbedContents"}:
        usage = {"promptTokenCount": tokens}
        embedding = {"values": [0.1, 0.2]}
        many = {"embeddings": [embedding for _ in request.json.get("requests", [1])]}

        if verb == "embedContent":
            body = {"embedding": embedding}
        else:
            body = many

        return StubReply(body=dumped(body | {"usageMetadata": usage}), usage=usage)

    if "/upload/" in path:
        return files.upload(request)
    if found := re.search(r"/(files/\w+)$", path):
        return files.get_or_delete(request, found[1])
    if path.endswith("/files"):
        return files.list()
    if path.endswith("/models"):
        known = {
            "name": "models/gemini-2.5-flash",
            "displayName": "Gemini",
            "supportedGenerationMethods": ["generateContent"],
        }
        return StubReply(body=dumped({"models": [known]}))

    return error(404, f"no route {request.method} {path}")


def _parts(request: Request, steering: Steering) -> tuple[Json, str]:
    config: Json = part(request.json, "generationConfig")
    schema = part(config, "responseJsonSchema") or part(config, "responseSchema")
    prompt = input_tokens(request)
    usage = {
        "promptTokenCount": prompt, "candidatesTokenCount": steering.pieces, "thoughtsTokenCount": 7,
        "totalTokenCount": prompt + steering.pieces + 7, "cachedContentTokenCount": min(5, prompt),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": steering.pieces}],
    }  # fmt: skip
    return usage, structured(request, schema, steering) or text_of(steering)


def _candidate(text: str, finish: str | None = "STOP") -> Json:
    found: Json = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    return found | ({"finishReason": finish} if finish else {})


def _generate(request: Request, model: str, steering: Steering) -> StubReply:
    usage, text = _parts(request, steering)
    whole: Json = {
        "candidates": [_candidate(text, "MAX_TOKENS" if "short" in steering.flags else "STOP")],
        "usageMetadata": usage,
        "modelVersion": model,
        "responseId": "resp_1",
    }
    if "nousage" in steering.flags:
        del whole["usageMetadata"]
    return StubReply(body=dumped(whole), usage=usage)


def _stream(request: Request, model: str, steering: Steering) -> StubReply:
    usage, text = _parts(request, steering)
    if text.startswith("{"):
        pieces = [text]
    else:
        pieces = words(steering.pieces)

    events: list[Any] = []
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces)
        # Each event has the counts so far; those of the last are the bill.
        partial = {name: usage[name] for name in ("promptTokenCount", "thoughtsTokenCount")}
        if last:
            so_far = usage
        else:
            so_far = partial | {"candidatesTokenCount": number}

        event: Json = {"candidates": [_candidate(piece, "STOP" if last else None)], "modelVersion": model}
        events.append(event if "nousage" in steering.flags else event | {"usageMetadata": so_far})

    if "midstream" in steering.flags:
        events = [*events[:2], json.loads(error(503).body)]
    if "alt=sse" in request.query:
        stream: list[Any] = [b"data: " + dumped(event) + b"\r\n\r\n" for event in events]
        media = "text/event-stream"
    else:
        # Without SSE, Gemini streams one JSON array in pieces.
        stream = [(b"[" if at == 0 else b",\r\n") + dumped(event) for at, event in enumerate(events)]
        stream.append(b"]")
        media = "application/json; charset=UTF-8"

    if "cut" in steering.flags:
        stream = [*stream[:2], CUT]
    return StubReply(stream=stream, media=media, usage=usage)
