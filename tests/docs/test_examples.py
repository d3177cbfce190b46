"""`examples/` has what its README names, and each example does what it says on a real runtime."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.docs.pages import PAGES, blocks
from tests.support.paths import PROJECT
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_testing.providers import loopback_providers

pytestmark = pytest.mark.requirement("docs:examples")

EXAMPLES = PROJECT / "examples"
FILES = sorted(
    path.relative_to(EXAMPLES).as_posix()
    for path in EXAMPLES.rglob("*")
    if path.is_file() and path.suffix != ".pyc"
)
RUNS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "workflows/hello.py": ({"name": "Ada"}, {"message"}),
    "workflows/ask.py": ({"question": "Why?"}, {"answer"}),
    "workflows/chain.py": ({"name": "Ada"}, {"loud", "background"}),
}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRuntime]:
    with loopback_providers() as providers:
        home = make_home(tmp_path_factory.mktemp("examples") / "home")
        with start_runtime(home, CODEWORDS_OPENAI_BASE_URL=f"{providers.url}/v1") as runtime:
            runtime.call("PUT", "/secrets/OPENAI_API_KEY", {"value": "sk-loopback"})
            yield runtime


def test_the_readme_names_every_file_and_no_other() -> None:
    named = re.findall(r"^- \[`(.*?)`\]", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted([*named, "README.md"]) == FILES
    assert {name for name in FILES if name.startswith("workflows/")} == RUNS.keys()


def test_each_workflow_is_the_one_that_its_guide_shows() -> None:
    shown = {
        block.mark[1]: block.text
        for page in PAGES
        for block in blocks(page)
        if block.language == "python" and block.mark and block.mark[0] == "file"
    }
    for name in RUNS:
        assert (EXAMPLES / name).read_text(encoding="utf-8") == shown[name.rpartition("/")[2]]


def test_the_entry_for_a_chat_host_starts_our_command() -> None:
    entry = json.loads((EXAMPLES / "claude_desktop_config.json").read_text(encoding="utf-8"))
    assert entry == {"mcpServers": {"codewords": {"command": "codewords-mcp"}}}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_each_workflow_passes_every_check_and_answers(runtime: ServedRuntime, name: str) -> None:
    code = (EXAMPLES / name).read_text(encoding="utf-8")
    report = runtime.call("POST", "/validate", {"code": code})
    assert report["all_passed"], report["report"]
    asked, fields = RUNS[name]
    answer = runtime.call("POST", f"/run/{runtime.deploy(code, name)}/", asked)
    assert answer.keys() == fields
    assert all(answer.values())
