"""Programs that others wrote: refusals, answers in a sandbox beside those without us, and faults that are noticed.

Whole apps of FastAPI's documentation, with a header added; functions of HumanEvalPack and MBPP, each as a workflow whose input
is its signature, asked what the set's own tests ask; BigCodeBench's functions, looked at without being started. A refusal or
warning of right code is a false one, but for 21 solutions of BigCodeBench that use what only their tests import. Then
HumanEvalPack's wrong versions, one a function: are they noticed before they are live, by the checks, the trial and tests
recorded of the examples that its description shows, beside ruff, mypy and pyright?

    python benchmarks/authoring_sets.py [--data FOLDER] [--quick] [--json] [--told]

--told prints each refusal, warning and other answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from _bench import Numbers, options
from _fault_finders import noticed_by_peers
from _function_sets import Task, bigcodebench, humanevalpack, mbpp, with_calls, workflow_of
from _public_apps import HEADER, PublicApp, Request, ask, public_apps
from _yardsticks import BIGCODEBENCH, FASTAPI, HUMANEVALPACK, MBPP, checkouts
from tests.support.runtime import ADMIN, ALLOWED, make_home, open_runtime
from tests.support.waiting import until_async

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import NotFound, ValidationFailed
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.api.testing import TestRequest
from codewords_mcp.runtime.model.answer_fields import as_toml
from codewords_mcp.runtime.model.progress import no_progress
from codewords_mcp.runtime.model.validation import Check, ValidationReport

RUNS, QUICK, FOURTH = 3, 8, 4
"""Calls of a function that are run; every which item of a set a quick run takes, and of MBPP any other."""


@dataclass
class Tally:
    """Results for the programs of one set. `rules` counts refusals and warnings by check."""

    title: str
    accepted: int = 0
    clean: int = 0
    refused: int = 0
    asked: int = 0
    alike: int = 0
    rules: Counter[str] = field(default_factory=Counter[str])

    def judge(self, name: str, checks: Sequence[Check]) -> bool:
        """Count the checks of one program. Returns whether it is accepted."""
        bad = [check for check in checks if check.status in {"failed", "warning"}]
        failed = any(check.status == "failed" for check in bad)
        self.accepted += not failed
        self.refused += failed
        self.clean += not bad
        self.rules.update({f"{check.id} {check.status}" for check in bad})
        for check in bad:
            tell(f"{name}: {check.status} {check.id}, line {check.line}: {check.message[:160]}")
        return not failed

    def answered(self, name: str, right: JsonValue, found: JsonValue) -> None:
        """Count one answer beside the one without us."""
        self.asked += 1
        self.alike += right == found
        if right != found:
            tell(f"{name}: {str(found)[:160]} instead of {str(right)[:160]}")

    def add_to(self, numbers: Numbers, *, at_least: float) -> None:
        total = self.accepted + self.refused
        rules = {rule.replace(" ", "_"): count for rule, count in sorted(self.rules.items())}
        numbers.add(
            f"{self.title}: accepted of {total}",
            percent(self.accepted, total),
            "%",
            at_least=at_least,
            **rules,
        )
        numbers.add(f"{self.title}: without a warning, of {total}", percent(self.clean, total), "%")
        if self.asked:
            numbers.add(
                f"{self.title}: answers as without us, of {self.asked}", percent(self.alike, self.asked), "%", at_least=at_least
            )  # fmt: skip


def percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1)


def tell(line: str) -> None:
    if TOLD:
        print(line.replace("\n", " "), file=sys.stderr, flush=True)


TOLD = "--told" in sys.argv


async def apps(runtime: Runtime, chosen: Sequence[PublicApp]) -> Tally:
    """Whole apps: deployed as they are below a header, and asked what each of their routes takes."""
    tally = Tally("FastAPI's documentation, whole apps that run without us")
    for app in chosen:
        checks, service_id = await deployed(runtime, app.name, HEADER + app.code)
        if tally.judge(app.name, checks):
            for request, right in app.answers:
                found = await ask(runtime, service_id, request)
                tally.answered(f"{app.name} {request.method} {request.path}", right, found)
    return tally


async def functions(runtime: Runtime, title: str, tasks: Sequence[Task]) -> Tally:
    """Functions as workflows, asked what the set's tests ask."""
    tally = Tally(title)
    for task in tasks:
        code = workflow_of(task.code, task.function, header_of(task))
        checks, service_id = await deployed(runtime, task.name, code)
        if tally.judge(task.name, checks):
            for call in task.calls[:RUNS]:
                status, text = await ask(runtime, service_id, Request("POST", "/", "", {}, call.given))
                found = json.loads(text) if status == 200 else text
                tally.answered(f"{task.name} {call.given}", {"result": call.right}, found)
    return tally


async def deployed(runtime: Runtime, name: str, code: str) -> tuple[list[Check], str]:
    """The checks of a deploy that do not pass, and the workflow's id; "" where it is refused."""
    try:
        live = await runtime.workflows.deploy(ADMIN, code=code, name=name, consent=ALLOWED)
    except ValidationFailed as error:
        return ValidationReport.model_validate(error.report).checks, ""
    return live.notes, live.service_id


async def looked_at(runtime: Runtime, title: str, tasks: Sequence[Task]) -> Tally:
    """The same without starting them."""
    tally = Tally(title)
    for task in tasks:
        code = workflow_of(task.code, task.function, header_of(task))
        found = await runtime._validator.check(ADMIN, code, no_progress, start=False)  # pyright: ignore[reportPrivateUsage]
        tally.judge(task.name, found.report.checks)
    return tally


def header_of(task: Task) -> str:
    """A header with the first call that the function's description shows, else the first of its tests, as example."""
    lines = ["# /// script", '# requires-python = ">=3.11,<3.14"', '# dependencies = ["fastapi==0.141.1"]']
    given = next((call.given for call in (*task.shown, *task.calls)), None)
    with suppress(ValueError):  # TOML has no null
        if given:
            lines += ["# [tool.codewords]", f"# example = {as_toml(given)}"]
    return "\n".join([*lines, "# ///"])


async def faults(runtime: Runtime, tasks: Sequence[Task]) -> dict[str, set[str]]:
    """The functions whose wrong version is noticed: by the checks, the trial, and tests recorded of their examples' runs."""
    noticed: dict[str, set[str]] = {"checks": set(), "trial": set(), "recorded tests": set()}
    for task in tasks:
        right, wrong = (workflow_of(code, task.function, header_of(task)) for code in (task.code, task.wrong))
        known, service_id = await deployed(runtime, f"right {task.name}", right)
        for call in task.shown or task.calls[:1]:
            run = await runtime.runs.call(ADMIN, service_id, data=call.given)
            await until_async(partial(recorded, runtime, run.id))
            await runtime.tests.add(ADMIN, run.id)
        found = await runtime._validator.check(ADMIN, wrong, no_progress)  # pyright: ignore[reportPrivateUsage]
        said = {(check.id, check.message) for check in known}
        new = [check for check in found.report.checks if check.status in {"failed", "warning"}]
        new = [check for check in new if (check.id, check.message) not in said]
        for check in new:
            noticed["trial" if check.id == "smoke" else "checks"].add(task.name)
            tell(f"{task.name}, wrong: {check.id}: {check.message[:160]}")
        tests = await runtime.tests.run(ADMIN, TestRequest(service_id, code=wrong))
        if any(test.outcome == "failed" for test in tests.tests):
            noticed["recorded tests"].add(task.name)
    return noticed


async def recorded(runtime: Runtime, run_id: str) -> bool:
    """Whether the recording of a run is stored, which may be a moment after its end."""
    try:
        await runtime.recordings.load(ADMIN, run_id)
    except NotFound:
        return False
    return True


async def measured(folders: Sequence[Path], *, quick: bool, numbers: Numbers) -> None:
    """Add the numbers of all sets."""
    on_humaneval, on_mbpp, on_bigcodebench, on_fastapi = folders
    each = QUICK if quick else 1
    published = public_apps(on_fastapi, each)
    humaneval = with_calls(list(humanevalpack(on_humaneval))[::each])
    small = with_calls(list(mbpp(on_mbpp))[:: FOURTH * each])
    large = list(bigcodebench(on_bigcodebench))[::each]
    with tempfile.TemporaryDirectory() as folder:
        async with open_runtime(make_home(Path(folder) / "home")) as runtime:
            (await apps(runtime, published)).add_to(numbers, at_least=95)
            (await functions(runtime, "HumanEval", humaneval)).add_to(numbers, at_least=99)
            (await functions(runtime, "MBPP, every fourth function", small)).add_to(numbers, at_least=99)
            (await looked_at(runtime, "BigCodeBench, not started", large)).add_to(numbers, at_least=97)
            noticed = await faults(runtime, humaneval)
    total = len(humaneval)
    for how, names in noticed.items():
        numbers.add(
            f"HumanEvalPack, {total} wrong versions: noticed by our {how}", percent(len(names), total), "%"
        )
    for peer, names in noticed_by_peers(humaneval).items():
        numbers.add(
            f"HumanEvalPack, {total} wrong versions: noticed by {peer}", percent(len(names), total), "%"
        )


def main() -> int:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.argv = [word for word in sys.argv if word != "--told"]
    folders = checkouts(HUMANEVALPACK, MBPP, BIGCODEBENCH, FASTAPI)
    chosen = options((__doc__ or "").partition("\n")[0], runs=1, quick_runs=1)
    numbers = Numbers(chosen.as_json)
    asyncio.run(measured(folders, quick=chosen.quick, numbers=numbers))
    numbers.print_table()
    return int(not numbers.hold)


if __name__ == "__main__":
    sys.exit(main())
