"""Checks of a program's view of itself: the way Python runs it, and its variables."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Final

from codewords_mcp.errors import ProgramFailed, SandboxFailed
from codewords_mcp.runtime.sandboxes.base import Exit
from codewords_mcp.testing.sandboxes.expecting import expect, raises, same
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context

# Variables that a driver may add to those of the specification.
OWN_VARIABLES: Final = frozenset(
    {
        "PATH", "HOME", "TMPDIR", "LANG", "PORT", "PYTHONPATH", "LD_LIBRARY_PATH", "FORWARDED_ALLOW_IPS",
        "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "CODEWORDS_RUNTIME_URI", "RUNTIME_URI",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    }
)  # fmt: skip
_CANARY: Final = "CODEWORDS_CONFORMANCE_CANARY"


@check("script.main")
async def main(context: Context) -> None:
    """The code is `__main__`, run from its file: arguments, paths, pickling and source are as Python has them."""
    seen = await context.report(
        """
        import json, os, pickle, sys
        import __main__

        class Mine: pass

        with open(__file__) as file:
            own = "class Mine" in file.read()
        print(json.dumps({
            "name": __name__, "file": os.path.basename(__file__), "argv": sys.argv == [__file__], "spec": __spec__,
            "package": __package__, "path": sys.path[0] == os.path.dirname(__file__),
            "cwd": os.path.samefile(os.getcwd(), os.path.dirname(__file__)), "main": __main__.Mine is Mine,
            "pickled": type(pickle.loads(pickle.dumps(Mine()))) is Mine, "source": own,
        }))
        """
    )
    expected = {
        "name": "__main__", "file": "main.py", "argv": True, "spec": None, "package": None, "path": True, "cwd": True,
        "main": True, "pickled": True, "source": True,
    }  # fmt: skip
    same(seen, expected, "What the program sees of itself")


@check("script.variables")
async def variables(context: Context) -> None:
    """The variables arrive exactly as given, and nothing of the host's is inherited."""
    env = {
        "PLAIN": "value", "EMPTY": "", "UNICODE": "päper 🎈", "LINES": "one\ntwo\t", "SIGNS": "a=b=c 'q' \"d\" $HOME %s \\",
        "LOWER_case": "kept", "PYTHONHASHSEED": "0",
    }  # fmt: skip
    # A variable of the suite's process: a driver that inherits the host's variables would pass it
    # on.
    os.environ[_CANARY] = "inherited"

    try:
        code = "import json, os; print(json.dumps(dict(os.environ)))"
        seen = await context.report(code, env=env, network=False)
    finally:
        del os.environ[_CANARY]

    same({name: seen.get(name) for name in env}, env, "The variables that were given")
    others = seen.keys() - env.keys() - OWN_VARIABLES
    same(others, set[str](), "Names of variables that neither the caller nor the protocol gave")


@check("script.large-variables")
async def large_variables(context: Context) -> None:
    """1 MB of variables arrives whole, and one variable of 1 MB does so or is refused."""
    code = """
    import hashlib, json, os
    print(json.dumps(hashlib.sha256("".join(os.environ[f"V{n}"] for n in range(int(os.environ["N"]))).encode()).hexdigest()))
    """
    # 1 MB in all, each below the kernel's limit for one string (MAX_ARG_STRLEN, 128 KiB).
    digest = await context.report(code, env={f"V{n}": chr(97 + n) * 65_000 for n in range(16)} | {"N": "16"})
    same(
        digest, _sha("".join(chr(97 + n) * 65_000 for n in range(16))), "The digest of 16 variables of 65 kB"
    )

    try:
        async with context.running(code, env={"V0": "x" * (1 << 20), "N": "1"}) as program:
            await program.ended()
            refused = isinstance(program.sandbox.failure(), SandboxFailed)
            digest = program.stdout.decode().strip()
    except SandboxFailed:
        # Refused at once.
        return

    # Refused or whole: cut would be the one wrong answer.
    if not refused:
        same(digest, json.dumps(_sha("x" * (1 << 20))), "The digest of a variable of 1 MB")


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@check("script.unicode")
async def unicode(context: Context) -> None:
    """Code in any script arrives byte for byte, whatever its line ends."""
    # Mixed line ends and an escaped letter: a driver that decodes and encodes again would change
    # them.
    code = 'größe = "日本語 🎈 \\u00df"\r\ntext = """a\r\nb"""\r\nimport json, sys\r\n'
    code += "data = open(__file__, 'rb').read()\r\nprint(json.dumps([größe, text, data.hex()]))\r\n"
    seen = await context.report(code)
    same(seen, ["日本語 🎈 ß", "a\nb", code.encode().hex()], "What the code says of itself")


@check("script.syntax-error")
async def syntax_error(context: Context) -> None:
    """A syntax error ends the program with code 1 and is shown with its file and line."""
    async with context.running("x = 1\ny = (\n") as program:
        error = await raises(
            ProgramFailed, program.sandbox.wait_ready(), "Waiting for code that Python cannot read"
        )
        exit_ = await program.ended()
    same((error.code, error.exit_code, exit_), ("program_exited", 1, Exit("exited", code=1)), "The failure")
    expect('main.py", line 2' in program.stderr, f"stderr does not show where the error is: {program.stderr}")
    expect("SyntaxError" in program.stderr, f"stderr does not show the error: {program.stderr}")


@check("script.exception")
async def exception(context: Context) -> None:
    """An uncaught exception is shown as Python shows it, with the program's frames alone."""
    program, exit_ = await context.finished("def deep():\n    raise ValueError('no')\ndeep()\n")
    same(exit_, Exit("exited", code=1), "The exit")
    lines = program.stderr.splitlines()
    same(
        (lines[:1], lines[-1:]),
        (["Traceback (most recent call last):"], ["ValueError: no"]),
        "First and last line",
    )
    # A driver's own frames would tell people of files that they do not have.
    frames = [line.rpartition("/")[2] for line in lines if line.startswith("  File ")]
    same(frames, ['main.py", line 3, in <module>', 'main.py", line 2, in deep'], "The frames")


@check("script.stdin")
async def stdin(context: Context) -> None:
    """Standard input is empty, so that nothing that reads it waits."""
    code = """
    import json, sys
    try:
        line = input()
    except EOFError:
        line = None
    print(json.dumps([line, sys.stdin.read()]))
    """
    same(await context.report(code), [None, ""], "What was read")


_IMPORTING: Final = """
import os
with open(os.path.join(os.path.dirname(__file__), "dependency.py"), "w") as file:
    file.write(os.environ["DEPENDENCY"])
import dependency
"""


@check("script.import-exits")
async def import_exits(context: Context) -> None:
    """A dependency that calls sys.exit when imported ends the program with that code."""
    env = {"DEPENDENCY": "import sys; print('going'); sys.exit(4)"}
    async with context.running(_IMPORTING, env=env) as program:
        error = await raises(ProgramFailed, program.sandbox.wait_ready(), "Waiting for a program that exits")
        exit_ = await program.ended()
    same((error.code, error.exit_code, exit_), ("program_exited", 4, Exit("exited", code=4)), "The failure")
    same(program.stdout, b"going\n", "What it printed")


@check("script.import-works")
async def import_works(context: Context) -> None:
    """A dependency may read stdin, start threads, fork and take its time when imported."""
    # What packages do at import that a fork server must not have done before.
    dependency = """
import os, sys, threading, time
read = sys.stdin.read()
stop = threading.Event()
threads = [threading.Thread(target=stop.wait, daemon=True) for _ in range(4)]
[thread.start() for thread in threads]
child = os.fork()
if child == 0:
    os._exit(7)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
time.sleep(0.5)
"""
    run = """
    import json, uvicorn
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        seen = [dependency.read, sum(thread.is_alive() for thread in dependency.threads), dependency.code]
        await send({"type": "http.response.body", "body": json.dumps(seen).encode()})
    uvicorn.run(app, port=int(os.environ["PORT"]), lifespan="off")
    """

    async with context.running(_IMPORTING, run, env={"DEPENDENCY": dependency}) as program:
        await program.ready()
        same(
            json.loads((await program.ask())[1]),
            ["", 4, 7],
            "What was read, its threads, its child's exit code",
        )


@check("script.no-packages-of-ours")
async def no_packages_of_ours(context: Context) -> None:
    """The program imports what its environment has, and nothing of the runtime's."""
    # The runtime's own packages lie on the same disk.
    code = """
    import importlib.util, json, sys
    names = ["fastapi", "uvicorn", "codewords_mcp", "sqlalchemy", "mcp"]
    print(json.dumps([name for name in names if importlib.util.find_spec(name)]))
    """
    same(await context.report(code), ["fastapi", "uvicorn"], "What can be imported")
