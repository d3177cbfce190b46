"""The commands: `codewords` for people and scripts, and the subcommands of `codewords-mcp`.

Exit codes of every command:

    0    done, and the workflow or the checks succeeded
    1    the workflow failed, or its code did not pass the checks
    2    what was typed cannot be done: unknown option, unreadable file, unknown id
    3    the runtime or the platform could not do it
    130  stopped with Ctrl-C
"""

from __future__ import annotations


def main() -> None:
    """The `codewords` command; ends the process with one of the exit codes above."""
    import sys

    try:
        from codewords_mcp.common.frozen_imports import loading

        # Inside of the try: Ctrl-C while modules load must not print a traceback.
        with loading():
            from codewords_mcp.cli._boundary import run_app
            from codewords_mcp.cli.app import codewords, codewords_mcp
    except KeyboardInterrupt:
        sys.exit(130)

    sys.exit(run_app(codewords, "codewords", sys.argv[1:], {"codewords-mcp": codewords_mcp}))


def mcp_main(argv: list[str]) -> int:
    """The subcommands of `codewords-mcp` (serve, demo, install, doctor, stop); `argv` has no program name."""
    from codewords_mcp.cli._boundary import run_app
    from codewords_mcp.cli.app import codewords, codewords_mcp

    return run_app(codewords_mcp, "codewords-mcp", argv, {"codewords": codewords})
