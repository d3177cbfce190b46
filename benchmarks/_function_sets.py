"""Public sets of functions as tasks: the code that their authors call right, calls of their own tests, published wrong code.

A call counts where JSON can hold it: the code answers what went through JSON as it answers the test's own values, and the
answer itself is JSON. `_recorded_calls.py` finds that out in a process of its own, since tests run their authors' code.
"""

from __future__ import annotations

import ast
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from _yardsticks import answers_of


@dataclass(frozen=True)
class Call:
    """The JSON of an input by parameter, and of the right answer."""

    given: dict[str, Any]
    right: Any


@dataclass(frozen=True)
class Task:
    """A function of a set. `examples` is a part of its tests that its description shows; `wrong` is published wrong code."""

    name: str
    code: str
    function: str
    test: str
    examples: str = ""
    wrong: str = ""
    calls: tuple[Call, ...] = ()
    shown: tuple[Call, ...] = ()


def humanevalpack(folder: Path) -> Iterator[Task]:
    """HumanEvalPack: 164 functions, each with a wrong version that a person wrote."""
    path = folder / "evaluation/create/humaneval-x/data/python/data/humanevalpack.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        # The declaration lacks helpers that stand in the prompt; the prompt is the declaration with its description.
        right, wrong = (row["prompt"] + row[key] for key in ("canonical_solution", "buggy_solution"))
        yield Task(row["task_id"], right, row["entry_point"], row["test"], row["example_test"], wrong)


def mbpp(folder: Path) -> Iterator[Task]:
    """MBPP: 974 functions with three assertions each."""
    for line in (folder / "data/mbpp.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        test = "\n".join([row["test_setup_code"], *row["test_list"]])
        code = row["code"].replace("\r\n", "\n")
        defined = {node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)}
        called = [
            node.func.id
            for node in ast.walk(ast.parse(test))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        function = next((name for name in called if name in defined), "")
        if function:
            yield Task(f"MBPP/{row['task_id']}", code, function, test)


def bigcodebench(folder: Path) -> Iterator[Task]:
    """BigCodeBench: 1,140 functions that use some of 139 libraries."""
    with gzip.open(folder / "hf_data/BigCodeBench.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield Task(
                row["task_id"],
                row["complete_prompt"] + row["canonical_solution"],
                row["entry_point"],
                row["test"],
            )


def with_calls(tasks: list[Task]) -> list[Task]:
    """The tasks with the calls that their tests make. Those without one are left out."""
    answers = answers_of(
        "_recorded_calls.py",
        (
            {"code": task.code, "function": task.function, "tests": [task.test, task.examples]}
            for task in tasks
        ),
    )
    found = [
        replace(task, calls=tuple(Call(*call) for call in calls), shown=tuple(Call(*call) for call in shown))
        for task, (calls, shown) in zip(tasks, answers, strict=True)
    ]
    return [task for task in found if task.calls]


def workflow_of(code: str, function: str, header: str) -> str:
    """The function as a workflow: its signature is the input's model, as in the templates."""
    signature = [
        node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef) and node.name == function
    ][-1].args
    parameters = [*signature.posonlyargs, *signature.args]
    fields: list[str] = []
    given: list[str] = []
    required = len(parameters) - len(signature.defaults)
    for number, parameter in enumerate(parameters):
        kind = ast.unparse(parameter.annotation) if parameter.annotation else "typing.Any"
        default = "..." if number < required else ast.unparse(signature.defaults[number - required])
        fields.append(f'    field_{number}: {kind} = pydantic.Field({default}, alias="{parameter.arg}")')
        given.append(f"request.field_{number}")
    return f"""{header}
import typing

import fastapi
import pydantic

{code}

app = fastapi.FastAPI(title="{function}")


class WorkflowRequest(pydantic.BaseModel):
{chr(10).join(fields) or "    pass"}


class WorkflowResponse(pydantic.BaseModel):
    result: typing.Any


@app.post("/")
def run_workflow(request: WorkflowRequest) -> WorkflowResponse:
    return WorkflowResponse(result={function}({", ".join(given)}))
"""
