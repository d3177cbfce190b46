"""How large a program's syntax tree is, measured before anything reads it: long code in a process of its own.

Parsing holds up every thread of a process. So code of more than `LOOKED_AT` characters is parsed elsewhere first, with a
limit of CPU time, and only a tree that is small enough is made here.
"""

from __future__ import annotations

import ast
import os
import sys

from codewords_mcp.errors import EnvironmentFailed, InvalidScript
from codewords_mcp.runtime.workflows.environments.uv import run_command

LOOKED_AT = 64_000
MAX_NODES = 100_000
"""Nodes of a syntax tree: about 12,000 lines of code. Data in a literal has few."""
MAX_DEPTH = 4_000
CPU_SECONDS = 10
_WITHIN = 30.0
_PROGRAM = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
import ast, warnings
warnings.simplefilter("ignore")
try:
    tree = ast.parse(sys.stdin.buffer.read().decode())
except (SyntaxError, RecursionError, MemoryError, ValueError):
    print("no tree")  # which is told where it is read
    sys.exit()
nodes, depth, level = 0, 0, [tree]
while level and nodes <= {MAX_NODES} and depth <= {MAX_DEPTH}:
    nodes, depth = nodes + len(level), depth + 1
    level = [child for node in level for child in ast.iter_child_nodes(node)]
print(nodes, depth)
"""


async def refuse_excess(text: str) -> None:
    """Raise InvalidScript where the code is more than can be looked at. Code that is no Python passes."""
    if len(text) <= LOOKED_AT:
        return

    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    command = (sys.executable, "-I", "-c", _PROGRAM)
    try:
        done = await run_command(
            command, env=environment, within=_WITHIN, doing="measuring the code", stdin=text
        )
    except EnvironmentFailed:
        raise _too_much() from None

    said = done.stdout.split()
    if said == ["no", "tree"]:
        return
    if len(said) != 2:
        raise _too_much()

    refuse_size(int(said[0]), int(said[1]))


def refuse_size(nodes: int, depth: int) -> None:
    """Raise InvalidScript for a syntax tree of so many nodes and levels, where that is over the limits."""
    if nodes > MAX_NODES:
        raise _too_much()
    if depth > MAX_DEPTH:
        raise InvalidScript(
            "The script is nested too deeply to be read.", hint="Split the deepest expression into steps."
        )


def size_of(tree: ast.AST) -> tuple[int, int]:
    """(nodes, levels) of a syntax tree; counting ends once either is over its limit."""
    nodes, depth, level = 0, 0, [tree]
    while level and nodes <= MAX_NODES and depth <= MAX_DEPTH:
        nodes, depth = nodes + len(level), depth + 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return nodes, depth


def _too_much() -> InvalidScript:
    return InvalidScript(
        f"The script is more code than is looked at: over {MAX_NODES:,} parts of syntax.",
        hint="Divide it into several workflows; move data out of the code into a file.",
    )
