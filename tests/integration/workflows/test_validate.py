"""Whole validations: real uv, real sandboxes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.workflows.helpers import open_environments, open_sandboxes
from tests.support.runtime import warm_folder

from codewords_mcp.errors import SandboxUnavailable
from codewords_mcp.runtime.authoring.templates import templates
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import (
    Capability,
    Driver,
    EnvironmentRef,
    Limits,
    Sandbox,
    SandboxSpec,
    Tier,
)
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.runtime.workflows.validation.checked_script import CheckedScript
from codewords_mcp.runtime.workflows.validation.checks import validate
from codewords_mcp.runtime.workflows.validation.report import IDS
from codewords_mcp.runtime.workflows.validation.smoke import Smoke

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
Run = Callable[..., Awaitable[CheckedScript]]

HEADER = """# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn[standard]==0.34.2"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "TOKEN_OF_MINE"]
# ///
import os
"""
APP = "from fastapi import FastAPI\napp = FastAPI()\n"
ROUTE = '@app.post("/")\nasync def main():\n    return {}\n'
MAIN = 'if __name__ == "__main__":\n    import uvicorn\n    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all of these: an environment is built for the first test that needs it."""
    home = tmp_path_factory.mktemp("home")
    (home / "cache").symlink_to(warm_folder() / "cache")
    return home


@pytest.fixture
async def environments(home: Path) -> AsyncIterator[Environments]:
    opened = open_environments(home)
    yield opened
    await opened.close()


@pytest.fixture
async def driver(home: Path) -> AsyncIterator[Driver]:
    async with open_sandboxes(home) as opened:
        yield opened


@pytest.fixture
def run(environments: Environments, driver: Driver) -> Run:
    def start(code: str, **options: Any) -> Awaitable[CheckedScript]:
        options = {"limits": Limits(start_timeout=90)} | options
        return validate(code, environments=environments, driver=driver, **options)

    return start


def of(validation: CheckedScript, one: str) -> Check:
    return next(check for check in validation.report.checks if check.id == one)


def failed(validation: CheckedScript) -> list[str]:
    return [check.id for check in validation.report.checks if check.status == "failed"]


@pytest.mark.requirement("workflows:seed", "workflows:validate")
async def test_the_seeds_programs_validate_with_their_notes(run: Run, deployable_seed_examples: Path) -> None:
    for path in sorted(deployable_seed_examples.glob("*.py")):
        validation = await run(path.read_text(encoding="utf-8"))
        assert failed(validation) == [], validation.report.report
        assert validation.openapi is not None
        assert "/" in validation.openapi["paths"]
        forgetful = path.stem in ("linkedin_profile_enricher", "support_ticket_analyzer")
        assert (of(validation, "lint").fix == "import os") is forgetful


@pytest.mark.requirement("workflows:templates", "workflows:validate")
async def test_templates_without_services_validate_clean(run: Run) -> None:
    for template in _QUIET:
        validation = await run(template.code)
        others = {(check.id, check.status) for check in validation.report.checks if check.status != "passed"}
        # what it fetches is up to who asks, and that is said
        assert others == (
            {("reach", "note"), ("smoke", "note")} if template.id == "web_page_facts" else set()
        ), validation.report.report
        assert validation.openapi is not None
        assert "post" in validation.openapi["paths"]["/"]


@pytest.mark.requirement("workflows:validate")
async def test_every_check_is_in_the_report_in_order_and_progress_rises(run: Run) -> None:
    said: list[tuple[float, str]] = []

    async def progress(done: float, total: float, message: str) -> None:
        said.append((done / total, message))

    validation = await run(HEADER + APP + ROUTE + MAIN, known_secrets={"TOKEN_OF_MINE"}, progress=progress)
    assert [check.id for check in validation.report.checks] == list(IDS)
    assert validation.report.all_passed
    assert validation.script is not None
    assert validation.environment is not None
    assert [done for done, _ in said] == sorted(done for done, _ in said)
    assert said[-1] == (1.0, "Checked")
    assert {"parse", "look", "environment", "boot", "total"} <= set(validation.timings_ms)


@pytest.mark.requirement("workflows:validate")
@pytest.mark.parametrize(
    ("code", "ids"),
    [
        ("", ["parse"]),
        ("not python at all", ["parse"]),
        (APP + ROUTE + MAIN, ["header"]),
        (HEADER + "print(1)\n", ["app"]),
        (HEADER + APP + "@app.get('/')\ndef f():\n    return undefined\n" + MAIN, ["lint"]),
        (HEADER + APP + "key = 'sk-1234567890" + "abcdef'\n" + MAIN, ["leaks"]),
        (HEADER.replace("fastapi==0.115.12", "fastapi==999") + APP + MAIN, ["dependencies"]),
    ],
)
async def test_what_is_wrong_without_running_it_is_found_without_running_it(
    run: Run, code: str, ids: list[str]
) -> None:
    validation = await run(code)
    assert failed(validation) == ids
    assert not validation.report.all_passed
    assert of(validation, "starts").status == "skipped"
    assert all(check.fix for check in validation.report.checks if check.status == "failed")


@pytest.mark.requirement("workflows:validate", "workflows:parse")
async def test_a_script_over_the_limit_fails_as_a_check(run: Run) -> None:
    validation = await run("x" * 20_000_000)
    assert failed(validation) == ["parse"]
    assert "the limit is 1,048,576" in validation.report.report


@pytest.mark.requirement("workflows:starts")
@pytest.mark.parametrize(
    ("body", "one", "says"),
    [
        (APP + ROUTE + 'if __name__ == "__main__":\n    pass\n', "starts", "ended at once without serving anything"),
        (APP + "raise SystemExit(3)\n" + MAIN, "starts", "3"),
        (APP + "print('half-way', flush=True); import os; os.kill(os.getpid(), 11)\n" + MAIN, "starts", 'Its last output: "half-way"'),
        (APP + "import os; os.kill(os.getpid(), 11)\n" + MAIN, "starts", "It printed nothing."),
        (APP + "import nowhere_to_be_found\n" + MAIN, "starts", 'Add "nowhere-to-be-found" to `dependencies`'),
        (APP + "\n\n1 / 0\n" + MAIN, "starts", "line 12"),
        (APP + "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)\n" + MAIN, "starts", "Error while it starts"),
        (APP + MAIN.replace("uvicorn.run(app", "uvicorn.run(nothing.app").replace("import uvicorn", "import uvicorn; nothing = None"), "starts", "AttributeError"),
        (APP + "import http.server as h\nh.HTTPServer(('0.0.0.0', 9123), h.BaseHTTPRequestHandler).serve_forever()\n", "port", "9123"),
        (APP + '@app.get("/bad")\ndef bad(): ...\napp.openapi = lambda: 1 / 0\n' + MAIN, "openapi", "status 500"),
        ("import fastapi\nfrom starlette.applications import Starlette\napp = Starlette()\n" + MAIN, "openapi", "not a FastAPI app"),
    ],
)  # fmt: skip
async def test_a_program_that_does_not_start_as_a_workflow_is_told_why(
    run: Run, body: str, one: str, says: str
) -> None:
    validation = await run(HEADER + body)
    assert failed(validation) == [one], validation.report.report
    assert says in validation.report.report
    assert validation.environment is not None


@pytest.mark.requirement("workflows:starts")
async def test_a_program_that_never_listens_is_given_up(run: Run) -> None:
    validation = await run(
        HEADER + APP + "import time\ntime.sleep(60)\n" + MAIN, limits=Limits(start_timeout=2)
    )
    assert failed(validation) == ["port"]


@pytest.mark.requirement("workflows:starts")
async def test_required_variables_have_a_stand_in_while_a_script_is_checked(run: Run) -> None:
    body = APP + ROUTE + 'token = os.environ["TOKEN_OF_MINE"]\nassert token\n' + MAIN
    validation = await run(HEADER + body)
    assert failed(validation) == []
    assert of(validation, "variables").fix == "Set the secret TOKEN_OF_MINE."


@pytest.mark.requirement("workflows:served")
async def test_an_app_that_no_line_serves_starts_with_fastapi_alone_among_its_packages(run: Run) -> None:
    header = (
        '# /// script\n# requires-python = ">=3.11,<3.14"\n# dependencies = ["fastapi==0.115.12"]\n# ///\n'
    )
    validation = await run(header + APP + ROUTE, smoke=Smoke({}))
    assert failed(validation) == []
    assert of(validation, "app").status == "note"
    assert "the runtime does" in of(validation, "app").message
    assert "with 200" in of(validation, "smoke").message


@pytest.mark.requirement("workflows:starts")
async def test_an_app_is_described_where_its_code_puts_its_openapi(run: Run) -> None:
    app = APP.replace("FastAPI()", 'FastAPI(openapi_url="/api/v1/openapi.json")')
    validation = await run(HEADER + app + ROUTE + MAIN)
    assert of(validation, "openapi").message == "It is a FastAPI app with 1 path."


@pytest.mark.requirement("workflows:starts")
async def test_an_app_whose_middleware_turns_everybody_away_is_named_so(run: Run) -> None:
    middleware = "from fastapi.middleware.httpsredirect import HTTPSRedirectMiddleware\napp.add_middleware(HTTPSRedirectMiddleware)\n"
    validation = await run(HEADER + APP + middleware + ROUTE + MAIN)
    openapi = of(validation, "openapi")
    assert (failed(validation), openapi.status) == ([], "warning")
    assert "a middleware of its own" in openapi.message


@pytest.mark.requirement("workflows:starts")
@pytest.mark.parametrize(
    ("app", "says"), [("FastAPI(openapi_url=None)", "hides its OpenAPI"), ("FastAPI()", "has no route")]
)
async def test_an_app_that_shows_little_is_warned_of(run: Run, app: str, says: str) -> None:
    validation = await run(HEADER + APP.replace("FastAPI()", app) + MAIN)
    assert failed(validation) == []
    assert of(validation, "openapi").status == "warning"
    assert says in validation.report.report


@pytest.mark.requirement("workflows:starts")
async def test_a_machine_without_isolation_fails_the_start_with_the_way_out(
    environments: Environments,
) -> None:
    class NoIsolation:
        capabilities: frozenset[Capability] = frozenset()
        tier = Tier("D", "none")

        async def start(self, spec: SandboxSpec) -> Sandbox:
            raise SandboxUnavailable("This machine offers no isolation.", hint="Use a Linux machine.")

        async def prepare(self, environment: EnvironmentRef) -> None:
            pass

        async def close(self) -> None:
            pass

    validation = await validate(HEADER + APP + ROUTE + MAIN, environments=environments, driver=NoIsolation())
    assert failed(validation) == ["starts"]
    assert of(validation, "starts").fix == "Use a Linux machine."


@pytest.mark.requirement("workflows:templates")
async def test_templates_without_services_answer_their_example(
    environments: Environments, driver: Driver
) -> None:
    for template in _QUIET:
        script = parse_script(template.code)
        environment = await environments.ensure(script)
        env = {
            "PORT": "8000",
            "CODEWORDS_API_KEY": "cwk-x",
            "CODEWORDS_RUNTIME_URI": "http://127.0.0.1:9",
            "SERVICE_ID": "t_0",
        }
        spec = SandboxSpec(
            f"template-{template.id}",
            environment.ref,
            template.code,
            env,
            Limits(start_timeout=90),
            network=False,
        )
        status, answer = await ask(await driver.start(spec), template.example_input)
        if template.id == "web_page_facts":  # there is no network here: it must say so
            assert (status, "cannot be fetched" in answer) == (502, True)
        else:
            assert status == 200, answer
            assert EXPECTED[template.id] in answer


_QUIET = [
    one for one in templates() if one.category == "basics" or one.id in {"csv_statistics", "web_page_facts"}
]
"""Those that call no service; tests/integration/authoring/test_templates.py runs all of them."""
EXPECTED = {
    "greeting": '{"message":"Hello Ada!"}',
    "csv_statistics": '{"name":"city","filled":3,"different":3,"numbers":null}',
    "parallel_steps": '"words":8,"most_frequent":{"the":2,"tide":2}',
    "streamed_answer": 'data: {"index": 0, "word": "one"}\n\n',
}


async def ask(sandbox: Sandbox, data: dict[str, Any]) -> tuple[int, str]:
    """POST JSON to a started sandbox and end it: (status, body)."""

    async def body() -> AsyncIterator[bytes]:
        yield json.dumps(data).encode()

    async def drain() -> None:
        async for _ in sandbox.output():
            pass

    drained = asyncio.create_task(drain())
    try:
        await sandbox.wait_ready()
        reply = await http1.request(
            sandbox.socket_path, "POST", b"/", [(b"content-type", b"application/json")], body()
        )
        return reply.status, b"".join([chunk async for chunk in reply.body]).decode()
    finally:
        await sandbox.kill()
        await drained


@pytest.mark.requirement("workflows:startup-told")
@pytest.mark.parametrize(
    "loop",
    [
        "while True:\n    pass\n",
        "import time\ndef wait():\n    while True:\n        time.sleep(0.1)\nwait()\n",
    ],
)
async def test_an_endless_loop_at_import_is_named_with_its_line_long_before_the_time_to_start_is_over(
    run: Run, loop: str
) -> None:
    starts = of(await run(HEADER + APP + loop + MAIN, limits=Limits(start_timeout=300)), "starts")
    assert starts.status == "failed"
    assert "loops" in starts.message
    lines = (HEADER + APP + loop).splitlines()
    assert starts.line is not None
    assert lines[starts.line - 1].strip() in {"while True:", "pass", "time.sleep(0.1)"}


LIFESPAN = """from contextlib import asynccontextmanager
@asynccontextmanager
async def life(_):
    raise ValueError('no database here')
    yield
from fastapi import FastAPI
app = FastAPI(lifespan=life)
"""


@pytest.mark.requirement("workflows:startup-told")
@pytest.mark.parametrize(
    ("code", "told", "line"),
    [
        (
            LIFESPAN,
            'ValueError while it starts; it says: "no database here"',
            11,
        ),
        (APP + "raise RuntimeError('at import')\n", 'RuntimeError while it starts; it says: "at import"', 10),
        (
            APP
            + "try:\n    int('x')\nexcept ValueError as error:\n    raise LookupError('second') from error\n",
            'LookupError while it starts; it says: "second"',
            13,
        ),
        (
            APP + "class odd(BaseException): pass\nraise odd('lower case')\n",
            'odd while it starts; it says: "lower case"',
            11,
        ),
    ],
)
async def test_what_a_program_raises_while_it_starts_is_told_not_what_its_server_says_of_it(
    run: Run, code: str, told: str, line: int
) -> None:
    starts = of(await run(HEADER + code + MAIN), "starts")
    assert (starts.status, starts.line) == ("failed", line)
    assert told in starts.message


@pytest.mark.requirement("sandbox:snapshots")
async def test_a_script_that_asks_for_snapshots_is_told_whether_its_runs_start_from_one(run: Run) -> None:
    header = HEADER.replace("# ///\nimport", "# [tool.codewords]\n# snapshot = true\n# ///\nimport")
    work = "worked = sum(number * number for number in range(1_000_000))\n"
    fit = of(await run(header + APP + work + ROUTE + MAIN), "snapshot")
    assert (fit.status, fit.message) == ("passed", "Its runs start from a snapshot of its imports.")
    unfit = of(
        await run(header + 'token = os.environ.get("TOKEN_OF_MINE")\n' + APP + work + ROUTE + MAIN),
        "snapshot",
    )
    assert unfit.status == "note"
    assert "it reads TOKEN_OF_MINE at import" in unfit.message
    assert "__after_restore__" in (unfit.fix or "")
    plain = await run(HEADER + APP + ROUTE + MAIN)
    assert "snapshot" not in {check.id for check in plain.report.checks}
