"""No code of an author runs in a fork server, which has rights that no program has; as root and as an ordinary user."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.attacks import reports, servers
from tests.attacks.probes import User
from tests.support import as_user

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef
from codewords_mcp.runtime.sandboxes.host.files import remove_tree

pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.requirement("sandbox:server-imports"),
    pytest.mark.parametrize("user", reports.users()),
]  # fmt: skip
RUNS = "print('ran')"


@pytest.fixture(scope="module")
def whole() -> EnvironmentRef:
    return servers.build_whole_environment()


def attempt(user: User, environment: EnvironmentRef, code: str) -> dict[str, Any]:
    """What became of an environment's server, and of a program in a fork of it."""
    if user == reports.users()[0]:
        return asyncio.run(servers.attempt(environment, code))
    with tempfile.TemporaryDirectory(prefix="codewords-user-") as folder:
        path = Path(folder) / "own" / "report.json"
        command, variables = as_user.command(
            Path(folder), environment, "-m", "tests.attacks.servers", path, code
        )
        try:
            return reports.read(path, command, variables, Path("/"))
        finally:
            remove_tree(path.parent)


def test_a_module_named_as_what_a_package_looks_for_is_imported_by_programs_only(
    user: User, whole: EnvironmentRef, tmp_path: Path
) -> None:
    imported, failed = servers.looked_for(whole)
    names = [name for name in failed if name.partition(".")[0] not in _standard()]
    assert {"fastapi.responses", "pandas", "numpy", "requests", "bs4", "openai", "anthropic"} <= set(imported)
    assert {"ujson", "orjson", "simplejson", "chardet", "lxml", "html5lib", "brotli", "rich"} <= set(names)
    planted = servers.plant_optional(whole, tmp_path, names)
    tops = sorted({name for name in names if "." not in name})
    found = attempt(user, planted, servers.PROGRAM.replace("NAMES", repr(tops)))
    assert (found["forked"], found["code"]) == (True, 0), found
    assert json.loads(found["said"]) == {"capable": [], "imported": len(tops)}


def test_what_a_package_did_not_find_in_the_server_it_finds_in_a_program(
    user: User, whole: EnvironmentRef, tmp_path: Path
) -> None:
    found = attempt(user, servers.plant_optional(whole, tmp_path, ["ujson"]), servers.HAS_UJSON)
    assert (found["said"], found["forked"], found["code"]) == ("True False None\n", True, 0), found
    # FastAPI is left to the programs of this environment, and all else imported once for them.
    plain = attempt(user, whole, RUNS)
    assert plain["modules"] > found["modules"] > plain["modules"] / 2


@pytest.mark.parametrize("plant", [servers.plant_plugin, servers.plant_shadows], ids=["plugin", "shadows"])
def test_what_is_loaded_by_an_entry_point_or_lies_over_a_listed_package_is_not_the_servers(
    user: User, whole: EnvironmentRef, tmp_path: Path, plant: Any
) -> None:
    found = attempt(user, plant(whole, tmp_path), RUNS)
    assert (found["forked"], found["modules"] > 0) == (True, True), found


def test_an_unspoilt_environment_is_imported_whole(user: User, whole: EnvironmentRef) -> None:
    imported, _ = servers.looked_for(whole)
    assert attempt(user, whole, RUNS) | {"tier": "", "errors": ""} == {
        "tier": "", "modules": len(imported), "forked": True, "code": 0, "said": "ran\n", "errors": "",
    }  # fmt: skip


def _standard() -> frozenset[str]:
    import sys

    # An author cannot name a module so (`model.modules`); `org` is Jython's, which pickle looks for.
    return sys.stdlib_module_names | {"org"}
