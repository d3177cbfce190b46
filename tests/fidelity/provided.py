"""Plugin of pytest: the description of Pipedream Connect, whose licence keeps it out of this repository.

It is made from the models of Pipedream's own SDK when the first reply of its stand-in is compared, and kept in the
temporary folder.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.compat.registries import PIPEDREAM, pipedream_sdk
from tests.fidelity.schemas import Json, changed, reachable

from codewords_testing.fidelity.services.pipedream import MODELS
from codewords_testing.fidelity.shapes import provide

_SCRIPT = """
import json, sys, pydantic, pipedream
found = {}
for name in sys.argv[1:]:
    schema = pydantic.TypeAdapter(getattr(pipedream, name)).json_schema(ref_template="#/$defs/{model}")
    found |= schema.pop("$defs", {})
    found[name] = schema
print(json.dumps(found))
"""


def pytest_configure() -> None:
    """Say where the description comes from."""
    provide("pipedream", _description)


def _description() -> Json:
    python = pipedream_sdk()
    kept = Path(python).parents[1] / "description.json"
    if not kept.exists():
        done = subprocess.run([python, "-c", _SCRIPT, *MODELS], check=True, capture_output=True, timeout=120)
        definitions = changed(json.loads(done.stdout), _closed)
        source = {"package": f"pipedream=={PIPEDREAM}", "date": "2026-10", "licence": "not free"}
        whole = {"source": source, "$defs": reachable(definitions, list(MODELS), "#/$defs/")}
        part = kept.with_suffix(f".{id(whole)}")
        part.write_text(json.dumps(whole), encoding="utf-8")
        part.replace(kept)
    return json.loads(kept.read_text("utf-8"))


def _closed(value: Json) -> Json:
    """Without the word by which the SDK's models take any field, so that older ones read newer replies."""
    if "properties" in value and value.get("additionalProperties") is True:
        return {name: part for name, part in value.items() if name != "additionalProperties"}
    return value
