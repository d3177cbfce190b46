"""`codewords-mcp`: with no arguments the stdio MCP server that a chat host starts, else a command.

The stdio server is a pipe to the home's runtime (or to CODEWORDS_RUNTIME_URL). Its start is what a person
waits for, so it imports the standard library only, little of that, and each part where it is used.
"""

from __future__ import annotations

import sys

_COMMANDS = "serve, demo, doctor, stop"


def main() -> int:
    """The `codewords-mcp` console script; the process's exit code."""
    argv = sys.argv[1:]
    if not argv:
        from codewords_mcp.front._pipe import run

        return run()
    if argv == ["serve", "--detached"]:
        # What a front starts: past the command line's parser, whose import alone is a fifth of the wait.
        from codewords_mcp.cli.serve import serve

        return serve(detached=True)
    if argv[0].startswith("-") and argv[0] not in {"--help", "-h", "--version"}:
        sys.stderr.write(
            f"codewords-mcp: unknown option {argv[0]!r}. Without arguments this is the stdio MCP server that a chat host "
            f"starts; it takes no options. Commands: {_COMMANDS}. See codewords-mcp --help.\n"
        )
        return 2
    from codewords_mcp.cli import mcp_main

    return mcp_main(argv)
