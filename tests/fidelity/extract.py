"""Write the descriptions of `codewords_testing.fidelity` again, from what their services publish.

`python -m tests.fidelity.extract [NAME…]`. Only packages with a licence that allows it are the sources of files in this
repository; each file names its package, version and licence. A newer version is a change of `DESCRIPTIONS`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compat.registries import packages_of
from tests.fidelity.schemas import Json, changed, hoisted, reachable
from tests.support.npm import installed, packed
from tests.support.paths import PROJECT

FOLDER = PROJECT / "packages/codewords-testing/src/codewords_testing/fidelity/descriptions"
GENERATOR = "ts-json-schema-generator@2.9.0"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Description:
    """A package that describes a service. `make` returns the definitions that its roots need, by name."""

    package: str
    date: str
    licence: str
    make: Callable[[str], Json]

    def text(self) -> str:
        """The file's content."""
        source = {"package": self.package, "date": self.date, "licence": self.licence}
        # A definition a line: small, and a change of one is seen.
        lines = [
            f"{json.dumps(name)}: {_compact(schema)}"
            for name, schema in sorted(self.make(self.package).items())
        ]
        return f'{{"source": {json.dumps(source)},\n"$defs": {{\n' + ",\n".join(lines) + "\n}}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _github(package: str) -> Json:
    with tarfile.open(packed(package)) as archive:
        member = archive.extractfile("package/generated/api.github.com.json")
        assert member is not None
        document = json.load(member)
    definitions = document["components"]["schemas"]
    event = definitions["event"]
    kinds = [part["$ref"] for part in event["properties"]["payload"]["oneOf"]]
    # The document leaves open which payload belongs to which type; the title of each says so.
    definitions["event"] = {
        "anyOf": [
            event
            | {"properties": event["properties"] | {"type": {"const": title}, "payload": {"$ref": kind}}}
            for kind in kinds
            for title in [definitions[kind.rpartition("/")[2]]["title"]]
        ]
    }
    definitions["events"] = {"type": "array", "items": {"$ref": "#/components/schemas/event"}}
    return reachable(
        definitions, ["events", "issue", "basic-error", "validation-error"], "#/components/schemas/"
    )


def _discovery(*documents: tuple[str, tuple[str, ...]]) -> Callable[[str], Json]:
    """Schemas of Google's discovery documents, which the package has in a folder."""

    def make(package: str) -> Json:
        [folder] = packages_of(package).rglob("discovery_cache/documents")
        found: Json = {}
        for name, roots in documents:
            schemas = json.loads((folder / f"{name}.json").read_text("utf-8"))["schemas"]
            found |= reachable(changed(schemas, _with_pointer), list(roots), "#/")
        return found | _GOOGLE_ERROR

    return make


def _with_pointer(value: Json) -> Json:
    # A reference of a discovery document is a bare name.
    return value | {"$ref": f"#/{value['$ref']}"} if isinstance(value.get("$ref"), str) else value


_TEXT, _OBJECT = {"type": "string"}, {"type": "object"}
# google.rpc.Status as https://cloud.google.com/apis/design/errors has it.
_GOOGLE_ERROR: Json = {
    "Error": {
        "type": "object",
        "additionalProperties": False,
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "additionalProperties": False,
                "required": ["code", "message", "status"],
                "properties": {
                    "code": {"type": "integer"},
                    "message": _TEXT,
                    "status": _TEXT,
                    "errors": {"type": "array", "items": _OBJECT},
                    "details": {"type": "array", "items": _OBJECT},
                },
            }
        },
    }
}


def _gemini(package: str) -> Json:
    python = packages_of(package) / "bin" / "python"
    names = [
        "GenerateContentResponse", "EmbedContentResponse", "BatchEmbedContentsResponse", "CountTokensResponse", "File",
        "ListFilesResponse", "ListModelsResponse", "CreateFileResponse",
    ]  # fmt: skip
    command = [python, _HERE / "protocol_buffers.py", "google.ai.generativelanguage_v1beta", *names]
    done = subprocess.run(command, check=True, capture_output=True, timeout=120)
    definitions = json.loads(done.stdout)
    for name in ("EmbedContentResponse", "BatchEmbedContentsResponse"):
        # Newer than the definitions: google-genai 3.6 reads it (`_EmbedContentResponse_from_mldev`).
        definitions[name]["properties"]["usageMetadata"] = {"$ref": "#/$defs/EmbeddingUsage"}
    counts = {
        "promptTokenCount": {"type": "integer"},
        "promptTokenDetails": {"type": "array", "items": _OBJECT},
    }
    definitions["EmbeddingUsage"] = {"type": "object", "properties": counts}
    definitions["GenerateContentResponses"] = {
        "type": "array",
        "items": {"anyOf": [{"$ref": "#/$defs/GenerateContentResponse"}, {"$ref": "#/$defs/Error"}]},
    }
    # The first leg of a resumable upload is answered by headers alone.
    definitions["Upload"] = {
        "anyOf": [{"$ref": "#/$defs/CreateFileResponse"}, {"type": "object", "maxProperties": 0}]
    }
    definitions |= _GOOGLE_ERROR
    return reachable(definitions, list(definitions), "#/$defs/")


def _typescript(**types: str) -> Callable[[str], Json]:
    """Definitions by name of a package's types, each `MODULE#TYPE`."""

    def make(package: str) -> Json:
        folder = installed(package, GENERATOR)
        lines: list[str] = []
        for number, (name, found) in enumerate(types.items()):
            module, _, kind = found.partition("#")
            lines += [
                f'import type * as m{number} from "{module}";',
                f"export type {name} = m{number}.{kind};",
            ]
        options = {"module": "esnext", "moduleResolution": "bundler", "target": "es2022", "skipLibCheck": True, "strict": True}  # fmt: skip
        (folder / "types.ts").write_text("\n".join(lines), encoding="utf-8")
        (folder / "tsconfig.json").write_text(
            json.dumps({"compilerOptions": options, "files": ["types.ts"]}), encoding="utf-8"
        )
        command = ["node_modules/.bin/ts-json-schema-generator", "--path", "types.ts", "--tsconfig", "tsconfig.json"]  # fmt: skip
        command += ["--type", "*", "--no-type-check"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=180)
        return hoisted(reachable(json.loads(done.stdout)["definitions"], list(types), "#/definitions/"))

    return make


def _slack_events(package: str) -> Json:
    """Messages of Slack to an app: by its address, and by the sockets of Socket Mode."""
    found = _typescript(
        AppMention="@slack/types#AppMentionEvent",
        Message="@slack/types#GenericMessageEvent",
        BotMessage="@slack/types#BotMessageEvent",
        ReactionAdded="@slack/types#ReactionAddedEvent",
        Envelope="@slack/bolt#EnvelopedEvent",
        Interaction="@slack/bolt#BlockButtonAction",
    )(package)
    envelope = found["EnvelopedEvent"]
    events = [
        {"$ref": f"#/$defs/{name}"} for name in ("AppMention", "Message", "BotMessage", "ReactionAdded")
    ]
    envelope["properties"]["event"] = {"anyOf": events}
    # https://docs.slack.dev/apis/events-api/using-socket-mode: the SDK has no types of frames.
    found["Frame"] = {
        "anyOf": [
            _frame(
                "hello",
                {"num_connections": {"type": "integer"}, "connection_info": _OBJECT, "debug_info": _OBJECT},
            ),
            _frame("disconnect", {"reason": _TEXT, "debug_info": _OBJECT}),
            _frame(
                "events_api", _ENVELOPED | {"payload": {"$ref": "#/$defs/Envelope"}}, *_ENVELOPED, "payload"
            ),
            _frame(
                "interactive",
                _ENVELOPED | {"payload": {"$ref": "#/$defs/Interaction"}},
                *_ENVELOPED,
                "payload",
            ),
        ]
    }
    return reachable(found, ["Frame"], "#/$defs/")


_ENVELOPED: Json = {"envelope_id": _TEXT, "accepts_response_payload": {"type": "boolean"}}


def _frame(kind: str, fields: Json, *required: str) -> Json:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", *required],
        "properties": {"type": {"const": kind}, **fields},
    }


def _airtable(package: str) -> Json:
    python = packages_of(package) / "bin" / "python"
    script = (
        "import json, pydantic\nfrom pyairtable.api import types\n"
        "schema = pydantic.TypeAdapter(types.RecordDict).json_schema()\nprint(json.dumps(schema))"
    )
    done = subprocess.run([python, "-c", script], check=True, capture_output=True, timeout=120)
    schema = json.loads(done.stdout)
    record: Json = {"type": "object", "properties": schema["properties"], "required": ["id", "createdTime", "fields"]}  # fmt: skip
    definitions = schema.get("$defs", {}) | {
        "Record": record,
        # https://airtable.com/developers/web/api/list-records
        "Records": {
            "type": "object",
            "required": ["records"],
            "properties": {
                "records": {"type": "array", "items": {"$ref": "#/$defs/Record"}},
                "offset": _TEXT,
            },
        },
        # https://airtable.com/developers/web/api/errors
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "anyOf": [
                        _TEXT,
                        {
                            "type": "object",
                            "required": ["type"],
                            "properties": {"type": _TEXT, "message": _TEXT},
                        },
                    ]
                }
            },
        },
    }
    return reachable(definitions, ["Records", "Error"], "#/$defs/")


_CONTACTS = "@hubspot/api-client/lib/codegen/crm/contacts/models"
DESCRIPTIONS = {
    "airtable": Description("pyairtable==3.5.0.post1", "2026-09", "MIT", _airtable),
    "gemini": Description("google-ai-generativelanguage==0.12.1", "2026-10", "Apache-2.0", _gemini),
    "github": Description("@octokit/openapi@23.0.2", "2026-09", "MIT", _github),
    "google": Description(
        "google-api-python-client==2.202.0", "2026-11", "Apache-2.0",
        _discovery(
            ("sheets.v4", ("ValueRange", "AppendValuesResponse", "BatchUpdateValuesResponse", "UpdateValuesResponse")),
            ("calendar.v3", ("Event",)),
        ),
    ),
    "vertex": Description(
        "google-api-python-client==2.202.0", "2026-11", "Apache-2.0",
        _discovery(("aiplatform.v1", ("GoogleCloudAiplatformV1GenerateContentResponse",))),
    ),
    "hubspot": Description(
        "@hubspot/api-client@14.0.1", "2026-08", "Apache-2.0",
        _typescript(
            Search=f"{_CONTACTS}/CollectionResponseWithTotalSimplePublicObject#CollectionResponseWithTotalSimplePublicObject",
            Object=f"{_CONTACTS}/SimplePublicObject#SimplePublicObject",
            Error=f"{_CONTACTS}/ModelError#ModelError",
        ),
    ),
    "notion": Description(
        "@notionhq/client@5.26.0", "2026-11", "MIT",
        _typescript(
            GetDatabase="@notionhq/client/build/src/api-endpoints#GetDatabaseResponse",
            QueryDataSource="@notionhq/client/build/src/api-endpoints#QueryDataSourceResponse",
            CreatePage="@notionhq/client/build/src/api-endpoints#CreatePageResponse",
        ),
    ),
    "slack": Description(
        "@slack/web-api@8.2.0", "2026-09", "MIT",
        _typescript(
            **{
                name: f"@slack/web-api#{name}Response"
                for name in ("ChatPostMessage", "ChatUpdate", "ChatPostEphemeral", "AppsConnectionsOpen")
            }
        ),
    ),
    "slack_events": Description("@slack/bolt@5.1.0", "2026-11", "MIT", _slack_events),
}  # fmt: skip


def main(names: list[str]) -> None:
    """Write these, or all."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or DESCRIPTIONS:
        text = DESCRIPTIONS[name].text()
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
        print(f"{name}: {len(text)} characters")


if __name__ == "__main__":
    main(sys.argv[1:])
