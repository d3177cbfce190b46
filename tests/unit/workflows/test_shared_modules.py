"""A shared module is looked at as the program is: what it reaches, what it gives away, what is wrong in it."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from tests.unit.workflows.analysis_programs import HEADER, PROGRAMS, Program
from tests.unit.workflows.helpers import script as program_text

from codewords_mcp.errors import InvalidScript
from codewords_mcp.runtime.authoring.private_hosts import check_private_hosts
from codewords_mcp.runtime.model.modules import SharedModule, join_modules, module_text
from codewords_mcp.runtime.workflows.analysis import derive
from codewords_mcp.runtime.workflows.environments.module_wheel import module_wheel
from codewords_mcp.runtime.workflows.script import Script, parse_script
from codewords_mcp.runtime.workflows.validation.leaks import check_leaks
from codewords_mcp.runtime.workflows.validation.lint import lint
from codewords_mcp.runtime.workflows.validation.local_state import check_state
from codewords_mcp.runtime.workflows.validation.variables import check_variables


def with_modules(code: str, **texts: str) -> Script:
    """A script with modules by their names, of which `__` is a slash."""
    modules = [
        SharedModule(f"{name.replace('__', '/')}.py", module_text(text)) for name, text in texts.items()
    ]
    return parse_script(join_modules(program_text(code), modules))


@pytest.mark.requirement("projects:module-checks")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.title)
@pytest.mark.parametrize("use", ["import shared.whole\n", "from shared.whole import *\n"])
def test_what_a_program_reaches_it_reaches_from_a_module_too(program: Program, use: str) -> None:
    names = ", ".join(f'"{name}"' for name in ("PORT=8000", *program.env))
    header = HEADER.format(env=names, tool="".join(f"# {line}\n" for line in program.tool))
    alone = derive(parse_script(header + program.code)).manifest
    module = SharedModule("shared/whole.py", module_text(program.code))
    script = parse_script(join_modules(header + use, [module]))
    found = derive(script).manifest

    # The same lines, counted from the module's heading.
    shift = script.modules[0].line - header.count("\n")
    for lines in ("open_lines", "service_lines"):
        moved = tuple(line + shift for line in getattr(alone, lines))
        assert getattr(found, lines) == moved
    same = {"open_lines": (), "service_lines": ()}
    assert found.model_copy(update=same) == alone.model_copy(update=same)


SEND = "import httpx\ndef send(url, json):\n    return httpx.post(url, json=json)\n"
CLIENT = """\
import httpx
class Client:
    def __init__(self, base):
        self.client = httpx.Client(base_url=base)
    def get(self):
        return self.client.get("/y")
"""
NAMED = """\
import httpx
from .names import BASE
from . import names
def own():
    return httpx.get(f"{BASE}/x")
def other():
    return httpx.get(names.OTHER)
"""
NAMES = 'BASE = "https://base.example.com"\nOTHER = "https://other.example.com"\n'
A = ("a.example.com",)
OWN = ("base.example.com", "other.example.com")


@pytest.mark.requirement("projects:module-checks")
@pytest.mark.parametrize(
    ("text", "code", "hosts"),
    [
        (SEND, "from shared.m import send\nsend('https://a.example.com', {})", A),
        (SEND, "import shared.m\nshared.m.send('https://a.example.com', {})", A),
        (SEND, "import shared.m as h\nh.send(url='https://a.example.com', json={})", A),
        (SEND, "from shared.m import *\nsend('https://a.example.com', {})", A),
        (SEND, "from shared.m import send\nsend(input(), {})", ("*",)),
        # By another name its calls are not seen, so the address counts as not known.
        (SEND, "from shared.m import send as s\ns('https://a.example.com', {})", ("*",)),
        (SEND, "import shared.m as h\nh.send('https://a.example.com', {})\nuse = h.send", ("*",)),
        # Also where only another workflow calls it.
        (SEND, "import shared.m", ("*",)),
        ("import httpx", "from shared.m import httpx\nhttpx.get('https://a.example.com')", A),
        (CLIENT, "from shared import m\nm.Client('https://a.example.com').get()", A),
        (CLIENT, "from shared.m import Client\nClient(input()).get()", ("*",)),
        (NAMED, "import shared.m", OWN),
        (NAMED, "import shared.m\nimport shared.names\nshared.names.BASE = 'https://a.example.com'", A + OWN),
    ],
)
def test_an_address_is_followed_through_modules(text: str, code: str, hosts: tuple[str, ...]) -> None:
    assert derive(with_modules(code, shared__m=text, shared__names=NAMES)).manifest.hosts == hosts


@pytest.mark.requirement("projects:module-checks")
def test_a_module_that_calls_a_service_asks_for_it_and_modules_may_import_in_a_circle() -> None:
    service = (
        "from codewords_client import AsyncCodewordsClient\nfrom b import again\n"
        "async def mail():\n    await AsyncCodewordsClient().run('send_email', {'to': 'a@example.com'})\n"
    )
    script = with_modules("from a import again\n", a=service, b="from a import again, mail\n")
    assert "send_email" in derive(script).manifest.service_names
    assert derive(script).manifest.unread == ()


@pytest.mark.anyio
@pytest.mark.requirement("projects:module-checks")
async def test_faults_in_a_module_have_its_file_and_line() -> None:
    text = (
        "import os\n"
        "TOKEN = 'ghp_0123456789abcdefghijABCDEFGHIJ012345'\n"
        "password = 'hunter2hunter2x9'\n"
        "print(os.environ['SECRET_URL'])\n"
        "print(missing)\n"
        "open('seen.json', 'a').write('x')\n"
        "URL = 'http://192.168.1.7/'\n"
    )
    script = with_modules("import shared.faulty\n", shared__faulty=text, other="print(os)\n")
    checks: list[Any] = [
        *check_leaks(script, ()),
        *check_variables(script, ()),
        *await lint(script),
        *check_state(script.whole_tree),
        *check_private_hosts(script, ()),
    ]
    places = {(check.id, script.place(check.line)) for check in checks if check.status != "passed"}
    expected = [("leaks", 2), ("leaks", 3), ("variables", 4), ("lint", 5), ("state", 6), ("hosts", 7)]
    assert {(check_id, f"shared/faulty.py:{line}") for check_id, line in expected} <= places
    # The runtime adds an import to the program only.
    assert ("lint", "other.py:1") in places
    assert all(check.status == "failed" for check in checks if check.id == "lint")

    with pytest.raises(InvalidScript, match=r"shared/bad\.py: The script is not valid Python") as raised:
        with_modules("import shared.bad\n", shared__bad="x = (\n")
    assert raised.value.line


@pytest.mark.requirement("projects:module-text")
def test_a_block_with_code_after_it_is_told_unless_it_is_a_text() -> None:
    block = "# /// module a.py\n#| x = 1\n"
    with pytest.raises(InvalidScript, match="has code after it") as raised:
        with_modules(f"import a\n{block}print(a.x)\n")
    assert raised.value.line == program_text("").count("\n") + 2
    for quoted in (f'text = """\n{block}"""\n', f'text = f"""\n{block}{{1}}"""\n'):
        assert with_modules(quoted).modules == ()


@pytest.mark.requirement("projects:module-wheel")
def test_a_wheel_is_the_same_on_each_machine_and_says_what_is_in_it() -> None:
    modules = [SharedModule("shared/b.py", "B = 1\n"), SharedModule("shared/__init__.py", "")]
    wheel = module_wheel(modules)
    assert wheel is not None
    assert wheel == module_wheel(modules[::-1])
    # Written down: another number means that environments everywhere are built anew.
    assert wheel.digest == "fe89f51648b26882fa0796cfaa10dff11b19ee49f673279f9f83248a66cdfc3a"
    with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
        names = archive.namelist()
        assert names[:2] == ["shared/__init__.py", "shared/b.py"]
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    changed = module_wheel([SharedModule("shared/b.py", "B = 2\n"), modules[1]])
    assert changed is not None
    assert changed.name != wheel.name
    assert module_wheel([]) is None
