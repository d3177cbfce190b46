"""The language of the code: words that name nothing in this field, riddles in docstrings, names of two things.

Each maximum below only ever sinks, and the minimum rises. A word is added to the list when it is found, never taken out.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from codewords_mcp.common.frozen_imports import loading

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "src" / "codewords_mcp", *sorted((ROOT / "packages").glob("*/src"))]
NOT_OURS = ("templates/programs", "__pycache__", "migrations/versions")
"""Programs that people take over, and migrations that are never changed."""
PRIVATE_WORDS = frozenset(
    """
    house houses floor kit shelf shelves nursery courier lookout keeper warden leash husk told asked given kept said
    wanted begun whose astray stray bury draught story wish wishes patience
    """.split()  # noqa: SIM905  # read as a list of words
)
PRIVATE_FILES = PRIVATE_WORDS | {"breaking", "turns", "heads", "forms", "tails", "door"}
RIDDLE = re.compile(r"(What|Whether|Which|Who|Whose|How|Where|Why)\b")

MAX_PRIVATE_NAMES = 19
MAX_RIDDLES = 6
MAX_SHARED_CLASSES = 2
MAX_UNTYPED_RETURNS = 10
MAX_CONDITIONALS_PER_1000 = 8.6
MIN_COMMENTS_PER_100 = 3.0


@cache
def modules() -> dict[str, ast.Module]:
    found = (path for source in SOURCES for path in sorted(source.rglob("*.py")))
    with loading():  # a million nodes that stay: nothing to collect
        return {
            path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
            for path in found
            if not any(part in path.as_posix() for part in NOT_OURS)
        }


def names(path: str) -> Iterator[str]:
    for node in nodes(path):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case _:
                pass


@cache
def nodes(path: str) -> tuple[ast.AST, ...]:
    """All nodes of a module, which most tests here look at."""
    return tuple(ast.walk(modules()[path]))


@cache
def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?=[A-Z]|$)", name)}


@pytest.mark.requirement("language:names")
@pytest.mark.slow
def test_no_name_is_a_word_that_only_this_project_uses() -> None:
    private = Counter(
        f"{path}: {name}" for path in modules() for name in names(path) if words(name) & PRIVATE_WORDS
    )
    private.update(path for path in modules() if words(Path(path).stem) & PRIVATE_FILES)
    assert private.total() <= MAX_PRIVATE_NAMES, private.most_common(40)


@pytest.mark.requirement("language:names")
def test_a_class_name_stands_for_one_class() -> None:
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(path)

    shared = {name: paths for name, paths in classes.items() if len(paths) > 1}
    assert sum(map(len, shared.values())) <= MAX_SHARED_CLASSES, shared


@pytest.mark.requirement("language:docstrings")
def test_a_docstring_names_its_subject_first() -> None:
    riddles = [
        f"{path}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}"
        for path in modules()
        for node in nodes(path)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if (text := ast.get_docstring(node)) and RIDDLE.match(text) and not _of_a_bool(node, text)
    ]
    assert len(riddles) <= MAX_RIDDLES, riddles


def _of_a_bool(node: ast.AST, text: str) -> bool:
    """`Whether …` is plain on a function that returns a bool."""
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return (
        text.startswith("Whether")
        and is_function
        and node.returns is not None
        and ast.unparse(node.returns) == "bool"
    )


@pytest.mark.requirement("language:types")
def test_functions_name_the_type_that_they_return() -> None:
    untyped = [
        f"{path}:{node.lineno} {node.name}"
        for path in modules()
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.returns is not None and ast.unparse(node.returns) == "Any"
    ]
    assert len(untyped) <= MAX_UNTYPED_RETURNS, untyped


@pytest.mark.requirement("language:conditionals")
def test_conditional_expressions_are_few() -> None:
    """An `if` reads better than an expression with two ends, which a reader has to take apart."""
    found = Counter({path: sum(isinstance(node, ast.IfExp) for node in nodes(path)) for path in modules()})
    assert 1000 * found.total() / _line_count() <= MAX_CONDITIONALS_PER_1000, found.most_common(20)


def _line_count() -> int:
    return sum(len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in modules())


@pytest.mark.requirement("language:comments")
@pytest.mark.slow
def test_comments_give_reasons_where_a_reader_would_ask() -> None:
    """Fewer than this, and what only its author knew is in nobody's reach; what a comment says, no test can judge."""
    sources = (io.StringIO((ROOT / path).read_text(encoding="utf-8")).readline for path in modules())
    found = sum(
        token.type == tokenize.COMMENT for source in sources for token in tokenize.generate_tokens(source)
    )
    assert 100 * found / _line_count() >= MIN_COMMENTS_PER_100
