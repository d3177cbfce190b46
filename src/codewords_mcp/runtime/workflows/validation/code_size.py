"""Size limits of a program's syntax tree. Long code is measured in a process of its own.

Parsing blocks all threads of a process. Code of more than `MAX_PARSED_HERE` characters is therefore
parsed elsewhere first, with a CPU limit, and only a small enough tree is made in this process.
"""

from __future__ import annotations

import ast
import os
import sys

from codewords_mcp.errors import EnvironmentFailed, InvalidScript
from codewords_mcp.runtime.workflows.environments.uv import run_command

MAX_PARSED_HERE = 64_000
MAX_NODES = 100_000
"""Nodes of a syntax tree: about 12,000 lines of code. Data in a literal has few."""
MAX_DEPTH = 4_000
CPU_SECONDS = 10
_TIMEOUT = 30.0
_PROGRAM = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({CPU_SECONDS}, {CPU_SECONDS}))
import ast, warnings
warnings.simplefilter("ignore")
try:
    tree = ast.parse(sys.stdin.buffer.read().decode())
except (SyntaxError, RecursionError, MemoryError, ValueError):
    print("no tree")  # `parse_script` reports the syntax error
    sys.exit()
nodes, depth, level = 0, 0, [tree]
while level and nodes <= {MAX_NODES} and depth <= {MAX_DEPTH}:
    nodes, depth = nodes + len(level), depth + 1
    level = [child for node in level for child in ast.iter_child_nodes(node)]
print(nodes, depth)
"""


async def refuse_excess(text: str) -> None:
    """Raise InvalidScript if the code exceeds the limits. Code that is no Python passes."""
    if len(text) <= MAX_PARSED_HERE:
        return

    # The runtime's own environment has keys in it.
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    # Isolated: no module of the working directory or the user's site-packages is imported.
    command = (sys.executable, "-I", "-c", _PROGRAM)
    try:
        done = await run_command(
            command, env=environment, timeout_s=_TIMEOUT, doing="measuring the code", stdin=text
        )
    except EnvironmentFailed:
        # Too slow or killed by the CPU limit: both mean code that must not be parsed here.
        raise _too_large() from None

    words = done.stdout.split()
    if words == ["no", "tree"]:
        return
    if len(words) != 2:
        raise _too_large()

    refuse_size(int(words[0]), int(words[1]))


def refuse_size(nodes: int, depth: int) -> None:
    """Raise InvalidScript if a syntax tree of this size exceeds the limits."""
    if nodes > MAX_NODES:
        raise _too_large()
    if depth > MAX_DEPTH:
        raise InvalidScript(
            "The script is nested too deeply to be read.", hint="Split the deepest expression into steps."
        )


def tree_size(tree: ast.AST) -> tuple[int, int]:
    """(nodes, levels) of a syntax tree. Counting stops beyond a limit."""
    nodes, depth, level = 0, 0, [tree]
    while level and nodes <= MAX_NODES and depth <= MAX_DEPTH:
        nodes, depth = nodes + len(level), depth + 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return nodes, depth


def _too_large() -> InvalidScript:
    return InvalidScript(
        f"The script is more code than is looked at: over {MAX_NODES:,} parts of syntax.",
        hint="Divide it into several workflows; move data out of the code into a file.",
    )
