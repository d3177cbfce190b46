"""The providers' own SDKs, the newest and the oldest supported, unmodified: they see what they would see directly."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.compat.registries import provider_sdks
from tests.support.http_runtime import ADMIN_KEY, Door

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.requirement("gateway:sdks")]
Steps = dict[str, Any]
DRIVER = Path(__file__).with_name("sdk_driver.py")
TEXT = "Hello from the stand-in, one word"


@pytest.fixture(scope="module", params=["newest-sync", "newest-async", "oldest-sync", "oldest-async"])
def driven(request: pytest.FixtureRequest, door: Door) -> tuple[str, Steps]:
    """(which, what its SDKs saw)."""
    age, _, kind = str(request.param).partition("-")
    done = subprocess.run(
        [provider_sdks(age), DRIVER, door.url, ADMIN_KEY, kind],
        capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return age, json.loads(done.stdout)


@pytest.fixture
def steps(driven: tuple[str, Steps]) -> Steps:
    return driven[1]


@pytest.fixture
def age(driven: tuple[str, Steps]) -> str:
    return driven[0]


def test_openai_chat_answers_on_every_mount(steps: Steps) -> None:
    whole = {"text": f"{TEXT} after another and no more of it.", "usage": 16}
    for name in ("openai.chat", "openai.chat.run", "openai.chat.gemini"):
        assert steps[name] == whole, name


def test_a_stream_is_the_same_whether_its_caller_asked_for_usage_or_not(steps: Steps) -> None:
    assert steps["openai.stream"] == {"chunks": 10, "text": TEXT, "usage": [], "empty": 0}
    assert steps["openai.stream.usage"] == {"chunks": 11, "text": TEXT, "usage": [8], "empty": 1}


def test_tools_vision_parsed_answers_embeddings_files_batches_and_audio_pass(steps: Steps) -> None:
    assert steps["openai.tools"] == "look"
    assert isinstance(steps["openai.vision"], int), steps["openai.vision"]
    assert steps["openai.vision"] > 700_000  # of a body of 3 MB
    assert steps["openai.parse"] == {"name": "sample", "age": 1}
    assert steps["openai.embeddings"] == [2, 3]
    assert steps["openai.files"] == ["file-1", "batch_1", "the file's content"]
    assert steps["openai.transcribe"] == "hi"


def test_responses_stream(steps: Steps, age: str) -> None:
    if age == "newest":
        assert steps["openai.responses"] == ["response.completed", 16]
    else:
        assert "openai.responses" not in steps


def test_compressed_and_big_answers_arrive_whole(steps: Steps) -> None:
    assert steps["openai.gzip"].startswith(TEXT)
    assert steps["openai.big"] == 10 << 20


def test_anthropic_messages_answer_stream_and_count(steps: Steps, age: str) -> None:
    for name in ("anthropic.message", "anthropic.message.run"):
        assert steps[name] == {"text": TEXT, "usage": 8}
    assert steps["anthropic.stream"] == {"events": 13 if age == "newest" else 14, "usage": 8} or (
        steps["anthropic.stream"]["usage"] == 8
    )
    assert steps["anthropic.helper"] == TEXT
    if age == "newest":
        assert steps["anthropic.count"] is True


def test_gemini_generates_streams_embeds_counts_and_uploads(steps: Steps, age: str) -> None:
    assert steps["gemini.generate"] == {"text": TEXT, "usage": 8}
    assert steps["gemini.stream"] == {"text": TEXT, "usage": 8}
    assert (steps["gemini.embed"], steps["gemini.count"]) == (2, True)
    if age == "newest":
        assert steps["gemini.upload"] == [True, 5000]
    else:
        # google-genai 1.0 looks a header up by capital letters, which no server of ours keeps
        assert steps["gemini.upload"]["raised"] == "KeyError"


@pytest.mark.requirement("gateway:errors")
def test_a_providers_errors_raise_the_sdks_own_classes(steps: Steps, age: str) -> None:
    openai = {
        400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError",
        409: "ConflictError", 422: "UnprocessableEntityError", 429: "RateLimitError", 500: "InternalServerError",
    }  # fmt: skip
    for status, name in openai.items():
        seen = steps[f"openai.{status}"]
        assert (seen["raised"], seen["status"]) == (name, status)
        assert seen["request_id"] == "req_openai_standin" or age == "oldest"
    for status in (400, 401, 403, 404, 429, 500):
        assert steps[f"anthropic.{status}"]["raised"] == openai[status]
    for status in (413, 529):
        assert steps[f"anthropic.{status}"]["status"] == status
    for status in (400, 403, 404, 429):
        assert (steps[f"gemini.{status}"]["raised"], steps[f"gemini.{status}"]["status"]) == (
            "ClientError",
            status,
        )
    for status in (500, 503):
        assert steps[f"gemini.{status}"]["raised"] == "ServerError"


def test_a_stream_that_is_cut_or_fails_inside_is_never_taken_for_whole(steps: Steps, age: str) -> None:
    for provider in ("openai", "anthropic", "gemini"):
        assert "raised" in steps[f"{provider}.cut"], provider
    assert steps["openai.midstream"]["raised"] == "APIError"
    assert steps["anthropic.midstream"]["raised"] == "APIStatusError"
    if age == "newest":
        assert steps["gemini.midstream"]["raised"] == "ServerError"
