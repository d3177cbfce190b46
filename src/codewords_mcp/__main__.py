"""Entry points of `codewords-mcp` and `codewords`. The first without arguments, or with `stdio`, is the stdio MCP server.

The stdio server is a pipe to the home's runtime (or to CODEWORDS_RUNTIME_URL). Its start is what a person
waits for, so it imports the standard library only, little of that, and each part where it is used.
"""

from __future__ import annotations

import sys

_COMMANDS = "serve, demo, install, doctor, stop"
_NAMES = set("abcdefghijklmnopqrstuvwxyz0123456789-_,")
_OPTIONS = "it takes --read-only and --toolsets NAMES (parted by commas)."


def main() -> int:
    """The `codewords-mcp` console script; the process's exit code."""
    argv = sys.argv[1:]
    # By name too, for containers: without arguments those do what their image says.
    if argv[:1] == ["stdio"]:
        return _pipe(argv[1:])
    if not argv or argv[0].split("=", 1)[0] in {"--read-only", "--toolsets"}:
        return _pipe(argv)
    if argv == ["serve", "--detached"]:
        # A chat host starts this: past the command line's parser, whose import alone is a fifth of the wait.
        from codewords_mcp.cli.serve import serve

        return serve(detached=True)
    if argv[0].startswith("-") and argv[0] not in {"--help", "-h", "--version"}:
        sys.stderr.write(
            f"codewords-mcp: unknown option {argv[0]!r}. Without a command this is the stdio MCP server that a chat host "
            f"starts; {_OPTIONS} Commands: {_COMMANDS}. See codewords-mcp --help.\n"
        )
        return 2

    from codewords_mcp.cli import mcp_main

    return mcp_main(argv)


def _pipe(argv: list[str]) -> int:
    """The stdio server, narrowed as its options say. What it does not know is refused: an option that is misread opens."""
    narrowed: dict[str, str] = {}
    rest = list(argv)

    while rest:
        name, found, value = rest.pop(0).partition("=")
        if name == "--read-only" and not found:
            narrowed["X-MCP-Readonly"] = "true"
        elif name == "--toolsets" and "X-MCP-Toolsets" not in narrowed and (found or rest):
            value = value if found else rest.pop(0)
            if not value or value.startswith("-") or not set(value) <= _NAMES:
                return _refuse(f"{value!r} names no toolsets.")
            narrowed["X-MCP-Toolsets"] = value
        else:
            return _refuse(f"unknown or incomplete option {name!r}.")

    from codewords_mcp.stdio.proxy import run

    return run(narrowed)


def _refuse(why: str) -> int:
    sys.stderr.write(f"codewords-mcp: {why} As the stdio MCP server {_OPTIONS}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
