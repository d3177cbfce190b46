"""Model providers: OpenAI, Anthropic and Bedrock by their SDKs, Gemini by Google's interface definitions."""

from __future__ import annotations

from codewords_testing.fidelity.operation import (
    BINARY,
    ApiOperation,
    DescribedService,
    DescriptionSource,
    described_by,
)
from codewords_testing.fidelity.shapes import AwsShape, Either, Empty, ModelShape, SchemaShape


def _openai(name: str) -> ModelShape:
    return ModelShape(f"openai.types:{name}")


def _wire(name: str) -> ModelShape:
    return ModelShape(f"codewords_testing.fidelity.services.wire_formats:{name}")


def _gemini(name: str) -> SchemaShape:
    return SchemaShape("gemini", name)


def _vertex() -> SchemaShape:
    return SchemaShape("vertex", "GoogleCloudAiplatformV1GenerateContentResponse")


OPENAI = DescribedService(
    "openai",
    "OpenAI",
    DescriptionSource("openai", "", "", "Apache-2.0"),
    (
        ApiOperation(
            "chat.completions.create", "POST", "/chat/completions",
            ModelShape("openai.types.chat:ChatCompletion"), ModelShape("openai.types.chat:ChatCompletionChunk"),
        ),
        ApiOperation("completions.create", "POST", "/completions", _openai("Completion")),
        ApiOperation(
            "responses.create", "POST", "/responses",
            ModelShape("openai.types.responses:Response"), ModelShape("openai.types.responses:ResponseStreamEvent"),
        ),
        ApiOperation("responses.compact", "POST", "/responses/compact", ModelShape("openai.types.responses:CompactedResponse")),
        ApiOperation("embeddings.create", "POST", "/embeddings", _wire("Embeddings")),
        ApiOperation("images.generate", "POST", "/images/generations", _openai("ImagesResponse")),
        ApiOperation(
            "audio.transcriptions.create", "POST", "/audio/transcriptions", ModelShape("openai.types.audio:Transcription")
        ),
        ApiOperation("files.create", "POST", "/files", _openai("FileObject")),
        ApiOperation("files.content", "GET", "/content", BINARY),
        ApiOperation("batches.create", "POST", "/batches", _openai("Batch")),
        ApiOperation("models.list", "GET", "/models", ModelShape("openai.pagination:SyncPage[openai.types.Model]")),
    ),
    _wire("OpenAIError"),
    "every field and event by the SDK's own models, strictly; an unknown field is refused",
)  # fmt: skip
ANTHROPIC = DescribedService(
    "anthropic",
    "Anthropic",
    DescriptionSource("anthropic", "", "", "MIT"),
    (
        ApiOperation("messages.count_tokens", "POST", "/messages/count_tokens", ModelShape("anthropic.types:MessageTokensCount")),
        ApiOperation("messages.batches.create", "POST", "/messages/batches", ModelShape("anthropic.types.messages:MessageBatch")),
        ApiOperation(
            # The second is Vertex's.
            "messages.create", "POST", "(?:/messages|/publishers/anthropic/models/[^/]+:(?:rawPredict|streamRawPredict))",
            ModelShape("anthropic.types:Message"), ModelShape("anthropic.types:RawMessageStreamEvent"),
            {"ping": _wire("AnthropicPing"), "error": _wire("AnthropicStreamError")},
        ),
        ApiOperation("models.list", "GET", "/models", ModelShape("anthropic.pagination:SyncPage[anthropic.types.ModelInfo]")),
    ),
    Either((ModelShape("anthropic.types:ErrorResponse"), _wire("AnthropicTooLarge"))),
    "every field and event by the SDK's own models, strictly; an unknown field is refused",
)  # fmt: skip
GEMINI = DescribedService(
    "gemini",
    "Gemini",
    described_by("gemini"),
    (
        ApiOperation("models.generateContent", "POST", ":generateContent", _gemini("GenerateContentResponse")),
        ApiOperation(
            "models.streamGenerateContent", "POST", ":streamGenerateContent",
            _gemini("GenerateContentResponses"), _gemini("GenerateContentResponse"),
        ),
        ApiOperation("models.countTokens", "POST", ":countTokens", _gemini("CountTokensResponse")),
        ApiOperation("models.embedContent", "POST", ":embedContent", _gemini("EmbedContentResponse")),
        ApiOperation("models.batchEmbedContents", "POST", ":batchEmbedContents", _gemini("BatchEmbedContentsResponse")),
        ApiOperation("media.upload", "POST|PUT", "/upload/v1(?:beta)?/files", _gemini("Upload")),
        ApiOperation("files.delete", "DELETE", r"/files/\w+", Empty()),
        ApiOperation("files.get", "GET", r"/files/\w+", _gemini("File")),
        ApiOperation("files.list", "GET", "/files", _gemini("ListFilesResponse")),
        ApiOperation("models.list", "GET", "/models", _gemini("ListModelsResponse")),
    ),
    _gemini("Error"),
    "every field by Google's protocol buffers in their JSON form; an unknown field is refused",
    "The definitions say of no field that it is always there.",
)  # fmt: skip
BEDROCK = DescribedService(
    "bedrock",
    "Amazon Bedrock",
    DescriptionSource("botocore", "", "", "Apache-2.0"),
    (
        ApiOperation("InvokeModel", "POST", "/model/[^/]+/invoke", ModelShape("anthropic.types:Message")),
        ApiOperation(
            "InvokeModelWithResponseStream", "POST", "/model/[^/]+/invoke-with-response-stream",
            events={"chunk": _wire("BedrockChunk")},
        ),
        ApiOperation("Converse", "POST", "/model/[^/]+/converse", AwsShape("bedrock-runtime", "Converse")),
        ApiOperation(
            "ConverseStream", "POST", "/model/[^/]+/converse-stream",
            events={
                name: AwsShape("bedrock-runtime", "ConverseStream", ("stream", name))
                for name in (
                    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata",
                )
            },
        ),
    ),
    _wire("BedrockError"),
    "frames with their checksums by botocore's parser, Converse by its description of the service, Anthropic's messages in "
    "them by Anthropic's models",
)  # fmt: skip
REALTIME = DescribedService(
    "realtime",
    "OpenAI Realtime",
    OPENAI.source,
    (
        ApiOperation(
            "realtime.connect", "SEND", "/realtime", ModelShape("openai.types.realtime:RealtimeServerEvent")
        ),
    ),
    OPENAI.error,
    "each event by the SDK's own models, strictly; an unknown field is refused",
)
LIVE = DescribedService(
    "live",
    "Gemini Live",
    DescriptionSource("google-genai", "", "", "Apache-2.0"),
    (
        ApiOperation(
            "live.connect", "SEND", "/BidiGenerateContent", ModelShape("google.genai.types:LiveServerMessage")
        ),
    ),
    _gemini("Error"),
    "each message by the SDK's own models, strictly; an unknown field is refused",
)
VERTEX = DescribedService(
    "vertex",
    "Vertex AI",
    described_by("vertex"),
    (
        ApiOperation("generateContent", "POST", ":generateContent", _vertex()),
        ApiOperation("streamGenerateContent", "POST", ":streamGenerateContent", stream=_vertex()),
    ),
    SchemaShape("vertex", "Error"),
    "every field by Google's discovery document; an unknown field is refused",
    "The document says of no field that it is always there. Claude on Vertex is compared as Anthropic.",
)
SERVICES = (OPENAI, ANTHROPIC, GEMINI, VERTEX, BEDROCK, REALTIME, LIVE)
