"""Facts read from a script's syntax tree without running it: its app, its steps, and notes on its
dialect.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from codewords_mcp.runtime.model.validation import Check

_MAX_STEPS = 200
_SERVERS = frozenset({"uvicorn", "hypercorn", "granian", "daphne", "gunicorn", "waitress"})
_STEP = re.compile(r"STEPLOG START ([A-Za-z0-9_.:-]{1,80}(?: [A-Za-z0-9_.:-]{1,80}){0,9})")
_PERSISTENT = re.compile(r"redis|snapshot|cache|\bkey\b|_key\b", re.IGNORECASE)
_HASH = (
    "`hash()` of a string differs between processes elsewhere; "
    "the sandbox fixes PYTHONHASHSEED=0, so this key is stable here only."
)
_SEED_METHODS = frozenset(
    {
        "deploy_workflow",
        "validate_workflow",
        "manage_secrets",
        "get_workflow_logs",
        "get_workflow_output",
        "discover_pipedream_integrations",
    }
)
# keys of a service call's data that the seed spells otherwise than the public documents (wire contract, "Both dialects")
_SEED_KEYS = {"app_slug": "app", "action_name": "action"}


COOKIES = (
    "Requests reach a workflow without cookies at /run, since all workflows share the runtime's origin there; those to its own "
    "page (opened from the console) bring them. For programs pass a token in a header of your own (X-Session) or in the "
    "body, and keep what belongs to it with redis_coordinator or user_login."
)


@dataclass(frozen=True, slots=True)
class ScriptFacts:
    """`app` is the FastAPI instance's name at module level, None without one; `mentions_fastapi` is
    the weaker sign.

    `steps` are the ids of `STEPLOG START` lines in order; `notes` never fail a validation. `unserved` is the app
    of a script without any line that serves it, as `uvicorn main:app` is given one; None for all others.
    """

    app: str | None
    app_line: int | None
    mentions_fastapi: bool
    steps: tuple[str, ...]
    notes: tuple[Check, ...]
    unserved: str | None = None


def read_facts(tree: ast.Module | None, text: str) -> ScriptFacts:
    """Facts of a parsed script. Without a tree only its text is read."""
    steps = tuple(dict.fromkeys(_STEP.findall(text)))[:_MAX_STEPS]
    if tree is None:
        note = Check(
            id="dialect",
            status="note",
            message="The runtime's own Python cannot read this script's newer syntax; its style was not looked at.",
        )
        return ScriptFacts(None, None, "FastAPI" in text, steps, (note,))

    app, line = _app(tree)
    notes = (*_dialect(tree), *_hashes(tree), *_cookies(tree))
    mentions = app is not None or _mentions_fastapi(tree)
    unserved = None if _serves(tree) else app or ("app" if mentions and _binds_app(tree) else None)
    return ScriptFacts(app, line, mentions, steps, notes, unserved)


def main_block(tree: ast.Module | None) -> ast.If | None:
    """The script's `if __name__ == "__main__":`, None without one."""
    for node in tree.body if tree else ():
        match node:
            case ast.If(
                test=ast.Compare(
                    left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]
                )
            ):
                return node
            case _:
                pass

    return None


def _app(tree: ast.Module) -> tuple[str | None, int | None]:
    """Name and line of the app; of several the one called `app`, else the first."""
    found: dict[str, int] = {}
    # Only the module level: uvicorn takes the app by a module's attribute.
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name), *_], value=ast.Call(func=func)) if _is_fastapi(func):
                found.setdefault(name, node.lineno)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=func)) if _is_fastapi(func):
                found.setdefault(name, node.lineno)
            case _:
                pass
    name = "app" if "app" in found else next(iter(found), None)
    return name, found.get(name or "")


def _binds_app(tree: ast.Module) -> bool:
    """Whether the module level binds `app`, as in `app = create_app()`."""
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(one, ast.Name) and one.id == "app" for one in node.targets)
        for node in tree.body
    )


def _serves(tree: ast.Module) -> bool:
    """Whether the script has a line that may serve its app: a main block, or the name of a server."""
    if main_block(tree):
        return True
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) if any(name.name.split(".")[0] in _SERVERS for name in names):
                return True
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in _SERVERS:
                return True
            case ast.Name(id="run_service") | ast.Attribute(attr="run_service"):
                return True
            case _:
                pass
    return False


def _is_fastapi(func: ast.expr) -> bool:
    return (isinstance(func, ast.Name) and func.id == "FastAPI") or (
        isinstance(func, ast.Attribute) and func.attr == "FastAPI"
    )


def _mentions_fastapi(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id="FastAPI") | ast.Attribute(attr="FastAPI") | ast.ImportFrom(module="fastapi"):
                return True
            case ast.Import(names=names) if any(name.name.split(".")[0] == "fastapi" for name in names):
                return True
            case _:
                pass
    return False


def _dialect(tree: ast.Module) -> Iterator[Check]:
    """One note for each spelling of the seed, at its first occurrence. Both spellings work."""
    reported: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for name, ours, origin in _seed_spellings(node):
            if name not in reported:
                reported.add(name)
                yield Check(
                    id="dialect",
                    status="note",
                    line=origin.lineno,
                    column=origin.col_offset + 1,
                    message=f"`{name}` works here; {ours}.",
                )


def _cookies(tree: ast.Module) -> Iterator[Check]:
    """One note if cookies are set or read: requests never have any."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="set_cookie")) | ast.Attribute(attr="cookies"):
                pass
            case (
                ast.Call(func=ast.Name(id="Cookie" | "APIKeyCookie" | "SessionMiddleware"))
                | ast.Name(id="SessionMiddleware")
            ):
                pass
            case _:
                continue

        yield Check(
            id="cookies", status="note", message=COOKIES, line=node.lineno, column=node.col_offset + 1
        )
        return


def _seed_spellings(call: ast.Call) -> Iterator[tuple[str, str, ast.expr | ast.keyword]]:
    if not isinstance(call.func, ast.Attribute):
        return

    if call.func.attr in _SEED_METHODS:
        yield f"{call.func.attr}()", "the public client has no such method", call
    keywords = {keyword.arg: keyword for keyword in call.keywords if keyword.arg}
    # Many libraries have a `run`; only the client's has this keyword.
    if call.func.attr != "run" or "service_id" not in keywords:
        return

    data = keywords.get("data")
    if data is None:
        return

    yield "data=", "the public client calls it `inputs=`", data
    service = keywords["service_id"].value
    if isinstance(service, ast.Constant):
        service_id = service.value
    else:
        service_id = None

    if isinstance(data.value, ast.Dict):
        keys = [key for key in data.value.keys if isinstance(key, ast.Constant)]
    else:
        keys = []

    for key in keys:
        if service_id == "pipedream" and key.value in _SEED_KEYS:
            yield str(key.value), f"public scripts write `{_SEED_KEYS[str(key.value)]}`", key
        if service_id == "redis_coordinator" and key.value == "action":
            yield "action", "public scripts write `operation`", key


def _hashes(tree: ast.Module) -> Iterator[Check]:
    """A warning for `hash()` of a string in a key of stored state: elsewhere each process seeds it
    differently.
    """
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return):
            continue
        call = _hash_call(statement)
        if call is not None and _names_stored_state(statement):
            yield Check(
                id="hash",
                status="warning",
                message=_HASH,
                line=call.lineno,
                column=call.col_offset + 1,
                fix="hashlib.sha256(text.encode()).hexdigest()",
            )
            return


def _hash_call(statement: ast.stmt) -> ast.Call | None:
    calls = (node for node in ast.walk(statement) if isinstance(node, ast.Call))
    return next((call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "hash"), None)


def _names_stored_state(statement: ast.stmt) -> bool:
    for node in ast.walk(statement):
        match node:
            case (
                ast.Name(id=word)
                | ast.Attribute(attr=word)
                | ast.keyword(arg=str(word))
                | ast.Constant(value=str(word))
            ):
                if _PERSISTENT.search(word):
                    return True
            case _:
                pass

    return False
