"""Runs tests of public function sets and prints the calls that JSON can hold. One JSON object a line in, one a line out.

{"code": …, "function": …, "tests": [text, text]}  →  [[[input, answer], …] for each test]
"""

from __future__ import annotations

import inspect
import io
import json
from contextlib import redirect_stdout, suppress
from multiprocessing.connection import Connection
from typing import Any

from _forked_answers import serve

SECONDS, MOST = 5, 12


def calls_of(code: str, function: str, test: str) -> list[tuple[dict[str, Any], Any]]:
    """(input by parameter, answer) of the calls of a test, as JSON; at most 12, each input once."""
    found: dict[str, tuple[dict[str, Any], Any]] = {}
    scope: dict[str, Any] = {"__name__": "task"}
    exec(code, scope)
    original = scope[function]
    signature = inspect.signature(original)

    def recording(*args: Any, **kwargs: Any) -> Any:
        with suppress(Exception):
            bound = signature.bind(*args, **kwargs).arguments
            given = json.loads(json.dumps(bound, allow_nan=False))
            answers = [
                as_json(original(**json.loads(json.dumps(one)) if one is given else one))
                for one in (given, bound)
            ]
            if answers[0] == answers[1]:
                found.setdefault(json.dumps(given), (given, json.loads(answers[0])))
        return original(*args, **kwargs)

    scope[function] = recording
    with suppress(Exception):
        exec(test, scope)
    return list(found.values())[:MOST]


def as_json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def answer(task: dict[str, Any], pipe: Connection) -> None:
    with redirect_stdout(io.StringIO()):
        found = [calls_of(task["code"], task["function"], test) if test else [] for test in task["tests"]]
    pipe.send(found)


if __name__ == "__main__":
    serve(answer, SECONDS, [[], []])
