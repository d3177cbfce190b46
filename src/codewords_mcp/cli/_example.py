"""The example of a workflow as its test: it is run for real, and a draft's is kept in its header."""

from __future__ import annotations

import json

from codewords_mcp.cli import _output
from codewords_mcp.cli._boundary import INTERRUPTED, OK
from codewords_mcp.cli._call import RunCall, cancel_quietly
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._connect import connect
from codewords_mcp.cli._refs import is_draft, part, workflow_id
from codewords_mcp.errors import InvalidInput


def run_example(workflow: str, *, required: bool) -> int:
    """Run a workflow with its example input: of its header, kept with it, or made from its schema.

    It really runs: it may reach and change what it always does. Raises InvalidInput where one is `required` and there is none.
    """
    with connect() as client:
        detail = client.record("GET", f"/workflows/{part(workflow_id(client, workflow))}")
        service = detail["service_id"]
        if detail.get("example_from") is None:
            if not required:
                return OK
            raise InvalidInput(
                "This workflow has no route that takes JSON, so there is no example to run it with.",
                hint=f"codewords run {service} --path …, or --no-example",
            )

        where = {"given": "its example", "derived": "an input made from its schema"}[detail["example_from"]]
        example = json.dumps(detail["example"], ensure_ascii=False)
        _output.note(f"Running version {detail['version']} with {where}: {example}")
        # The id is made before the run, so that Ctrl-C can cancel the run by it.
        provisioned = str(client.record("POST", "/provision-request")["request_id"])
        target = f"/{part(service)}/{main_path(detail).lstrip('/')}"
        expect: list[str] = detail.get("expect") or []
        call = RunCall(client, provisioned, target, "POST", example.encode(), None, {}, expect)
        try:
            return call.wait(as_json=False)
        except KeyboardInterrupt:
            cancel_quietly(client, provisioned)
            _output.note(f"Cancelled {provisioned}.", "yellow", always=True)
            return INTERRUPTED


def main_path(detail: Json) -> str:
    """The path that the example of a workflow or draft is for: of its routes `/`, or the first that takes a POST."""
    paths = [
        route["path"]
        for route in detail.get("routes", [])
        if route["method"] == "POST" and "{" not in route["path"]
    ]
    if "/" in paths or not paths:
        return "/"
    return str(paths[0])


def add_example(subject: str | None, *, as_json: bool) -> int:
    """Put the test that a draft proposes into its header. Raises InvalidInput where it proposes none."""
    if subject is None or not is_draft(subject):
        raise InvalidInput(
            "An example is kept in the code of a draft.", hint="codewords test draft_… --add example"
        )
    with connect() as client:
        draft = client.record("GET", f"/drafts/{part(subject)}")
        test: Json | None = draft.get("test")
        if not test:
            raise InvalidInput(
                "This draft proposes no test: its header has one, or nothing is known of its answer.",
                hint='Declare one: `# expect = ["$.total: number"]` under [tool.codewords].',
            )
        body = {"edits": [test["edit"]], "revision": draft["revision"]}
        with _output.spinner(f"Checking {subject}"):
            done = client.record("POST", f"/drafts/{part(subject)}/edits", body=body)
    if as_json:
        _output.print_json(done)
    else:
        _output.line(f"Its example is a test now: {', '.join(test['expect'])}.", "green")
    return OK
