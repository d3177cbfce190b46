"""Checks of the end of programs: by themselves, by us, and its report."""

from __future__ import annotations

import signal

from codewords_mcp.errors import CodewordsError, ProgramFailed, RunTimedOut
from codewords_mcp.runtime.sandboxes.base import Exit, Limits
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.expecting import background, expect, raises, same, together, within
from codewords_mcp.testing.sandboxes.model import Need
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context, Program

# Python may see a signal only after the sleep that it came just before, so the sleep is short.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"heard\\n"))
os.write(1, b"ready\\n")
while True:
    time.sleep(0.05)
"""


@check("end.exit-codes")
async def exit_codes(context: Context) -> None:
    """The exit has the program's own code."""

    async def run_program(code: int) -> Exit:
        return (await context.finished(f"import sys; sys.exit({code})"))[1]

    # 0 and 255 are the ends of the range; 3 is no code that a driver uses itself.
    codes = (0, 1, 3, 255)
    exits = await together(*(run_program(code) for code in codes))
    same(exits, [Exit("exited", code=code) for code in codes], "The exits")


@check("end.signals")
async def signals(context: Context) -> None:
    """The exit has the signal that ended the program."""

    async def run_program(number: signal.Signals) -> Exit:
        return (await context.finished(f"import os; os.kill(os.getpid(), {int(number)})"))[1]

    # SIGKILL is one that a driver sends too: sent by the program it is the program's exit.
    numbers = (signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM)
    exits = await together(*(run_program(number) for number in numbers))
    same(exits, [Exit("signaled", signal=int(number)) for number in numbers], "The exits")


@check("end.before-listening")
async def before_listening(context: Context) -> None:
    """A program that ends before it listens is `program_exited`, with its code, also when that is 0."""
    for code in (0, 3):
        async with context.running(f"import sys; sys.exit({code})") as program:
            error = await raises(
                ProgramFailed, program.sandbox.wait_ready(), "Waiting for a program that exits"
            )
            await program.ended()
            same((error.code, error.exit_code), ("program_exited", code), "The error while waiting")
            failure = program.sandbox.failure()

        if isinstance(failure, ProgramFailed):
            seen = (failure.code, failure.exit_code)
        else:
            seen = failure

        same(seen, ("program_exited", code), "The failure afterwards")


@check("end.never-listens")
async def never_listens(context: Context) -> None:
    """A program that never listens is `program_no_port` once its start time is over, and goes on until it is killed."""
    # Short: the check waits for all of it.
    limits = Limits(start_timeout=0.5)
    async with context.running("import time\ntime.sleep(600)", limits=limits, port=8123) as program:
        error = await raises(
            ProgramFailed, program.sandbox.wait_ready(), "Waiting for a program that never listens"
        )
        same(error.code, "program_no_port", "The code of the error")
        same(program.sandbox.failure(), None, "The failure of a sandbox that goes on")
        same((await within(program.sandbox.kill(), "Killing it")).reason, "killed", "The exit")


@check("end.wrong-port", Need.ISOLATION)
async def wrong_port(context: Context) -> None:
    """A program that listens elsewhere only is `program_wrong_port`, told where."""
    # The program takes another port by changing its own variable.
    code = "import os\nos.environ['PORT'] = '9876'\nserve('served')"
    async with context.running(programs.LITTLE, code) as program:
        error = await raises(
            ProgramFailed, program.sandbox.wait_ready(), "Waiting for a program on another port"
        )
    same(error.code, "program_wrong_port", "The code of the error")
    expect("9876" in error.message, f"The error does not tell the port: {error.message}")


@check("end.served-well")
async def served_well(context: Context) -> None:
    """A program that served and ended with 0 has no failure; one that ended otherwise has."""
    code = """
    import os, sys, uvicorn
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"bye"})
        server.should_exit = True
    server = uvicorn.Server(uvicorn.Config(app, port=int(os.environ["PORT"]), lifespan="off"))
    server.run()
    sys.exit(int(os.environ["CODE"]))
    """
    # An answer was given in both cases: only the status makes the difference.
    for status in (0, 9):
        async with context.running(code, env={"CODE": str(status)}) as program:
            same(await program.ask(), (200, b"bye"), "The answer")
            same(await program.ended(), Exit("exited", code=status), "The exit")
            failure = program.sandbox.failure()

        if isinstance(failure, ProgramFailed):
            seen = failure.exit_code
        else:
            seen = failure

        same(
            seen, status or None, f"The code in the failure of a program that served and ended with {status}"
        )


@check("end.terminated")
async def terminated(context: Context) -> None:
    """`stop` lets a program end in its own way; that is no failure."""
    code = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
    print("ready", flush=True)
    while True:
        time.sleep(0.05)
    """
    async with context.running(code) as program:
        await program.until_printed(b"ready")
        same(await within(program.sandbox.stop(60), "Stopping"), Exit("exited", code=5), "The exit")
        same(program.sandbox.failure(), None, "The failure")


@check("end.termination-ignored")
async def termination_ignored(context: Context) -> None:
    """A program that ignores SIGTERM is killed after its grace."""
    async with context.running(STUBBORN) as program:
        await program.until_printed(b"ready")
        # The grace is spent whole, so it is short.
        same(await within(program.sandbox.stop(0.3), "Stopping"), Exit("killed"), "The exit")
        await program.drained()
    same(program.stdout, b"ready\nheard\n", "The output: the program was asked first")


@check("end.grace")
async def grace(context: Context) -> None:
    """Work after the answer is finished within the grace."""
    code = """
    import asyncio, os
    from fastapi import BackgroundTasks, FastAPI
    app = FastAPI()
    async def work():
        print("began", flush=True)
        await asyncio.sleep(0.5)
        print("finished", flush=True)
    @app.get("/")
    async def root(tasks: BackgroundTasks):
        tasks.add_task(work)
        return "answered"
    if __name__ == "__main__":
        import uvicorn
        uvicorn.run(app, port=int(os.environ["PORT"]), access_log=False)
    """
    async with context.running(code) as program:
        same(await program.ask(), (200, b'"answered"'), "The answer")
        await program.until_printed(b"began")
        await within(program.sandbox.stop(60), "Stopping")
        await program.drained()

    same(program.stdout, b"began\nfinished\n", "The output")


@check("end.kill")
async def kill(context: Context) -> None:
    """`kill` may be called by many and again; the first reason is the exit, for all who wait."""
    async with context.running(STUBBORN) as program:
        sandbox = program.sandbox
        await program.until_printed(b"ready")
        async with background(sandbox.wait_ready()) as waiting:
            # All at once: each must see the same end.
            calls = (sandbox.kill("timed_out"), sandbox.kill(), sandbox.stop(0), sandbox.wait())
            exits = await within(together(*calls), "Killing")
            same(exits, [Exit("timed_out")] * 4, "What each call returned")
            same(await sandbox.kill("out_of_memory"), Exit("timed_out"), "Killing once more")
            failure = sandbox.failure()
            expect(isinstance(failure, RunTimedOut), f"The failure is {failure!r}, not RunTimedOut.")
            await raises(CodewordsError, waiting, "Waiting for a killed sandbox to get ready")


@check("end.kill-after-exit")
async def kill_after_exit(context: Context) -> None:
    """Killing what has ended by itself changes nothing."""
    async with context.running("import sys; sys.exit(3)") as program:
        await program.ended()
        same(await within(program.sandbox.kill(), "Killing"), Exit("exited", code=3), "The exit")
        same(await within(program.sandbox.stop(1), "Stopping"), Exit("exited", code=3), "The exit")


# A child that ignores SIGTERM and holds a witness; the parent lets its own copy go.
_FAMILY = """
import os, signal, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
held = [witness("child")]
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pause()
held.pop().close()
"""
# The usual way to survive a parent: two forks, a session of its own, no open terminal.
_DAEMON = """
import os, signal, tempfile
go = tempfile.gettempdir() + "/go"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        null = os.open("/dev/null", os.O_RDWR)
        [os.dup2(null, fd) for fd in (0, 1, 2)]
        daemon = witness("daemon")
        open(go, "w").close()
        while True:
            signal.pause()
    os._exit(0)
os.wait()
"""


@check("end.timeout-takes-children")
async def timeout_takes_children(context: Context) -> None:
    """Killing takes the program's children along."""
    async with context.running(programs.WITNESS, _FAMILY, "time.sleep(600)") as program:
        await _alive(program, "child")
        same(await within(program.sandbox.kill("timed_out"), "Killing"), Exit("timed_out"), "The exit")
        await program.side.gone("child")


@check("end.exit-takes-children")
async def exit_takes_children(context: Context) -> None:
    """A program that ends takes its children along."""
    async with context.running(programs.WITNESS, _FAMILY, "sys.stdout.flush(); os._exit(0)") as program:
        same(await program.ended(), Exit("exited", code=0), "The exit")
        await program.side.gone("child")


@check("end.daemons", Need.ISOLATION)
async def daemons(context: Context) -> None:
    """A daemon, forked twice in a session of its own and deaf to signals, dies with its sandbox."""
    # The daemon is there before its program ends: it says so by a file.
    for ending, exit_ in (("os._exit(0)", Exit("exited", code=0)), ("signal.pause()", Exit("killed"))):
        code = f"while not os.path.exists(go): __import__('time').sleep(0.01)\n{ending}"
        async with context.running(programs.WITNESS, _DAEMON, code) as program:
            await _alive(program, "daemon")
            if exit_.reason == "killed":
                await within(program.sandbox.kill(), "Killing")
            same(await program.ended(), exit_, "The exit")
            await program.side.gone("daemon")


async def _alive(program: Program, witness: str) -> None:
    await program.side.seen(witness)
    expect(not program.side.went[witness].is_set(), f"The process {witness!r} ended too early.")
