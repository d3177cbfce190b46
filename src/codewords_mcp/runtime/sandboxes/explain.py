"""Sentences for how a program failed, shared by the drivers."""

from __future__ import annotations

import signal

from codewords_mcp.errors import CodewordsError, ProgramFailed, RunTimedOut
from codewords_mcp.runtime.sandboxes.base import Exit, Limits

_SEE_OUTPUT = "Its last output says why."


def size(count: int) -> str:
    """Bytes for people: 2 GiB, 512 MiB, 900 bytes."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count} bytes"


def ended(exit_: Exit, limits: Limits, *, served: bool) -> CodewordsError | None:
    """The error that explains an end to whoever still waits for an answer; None where nothing went wrong."""
    if exit_.reason == "out_of_memory":
        return ProgramFailed(
            "program_out_of_memory",
            f"The workflow used more than its {size(limits.memory)} of memory and was stopped.",
            hint="Work in smaller pieces, or raise CODEWORDS_MEMORY_LIMIT.",
        )
    if exit_.reason == "disk_full":
        return ProgramFailed(
            "program_disk_full",
            f"The workflow used more than its {size(limits.disk)} of disk, or too many files, and was stopped.",
            hint="Remove temporary files as you go, or raise CODEWORDS_DISK_LIMIT.",
        )
    if exit_.reason == "timed_out":
        return RunTimedOut("The workflow ran past its time limit and was stopped.")

    if served:
        when = "before it had answered"
    else:
        when = "before it opened its port"

    if exit_.reason == "signaled":
        message = f"The workflow was ended by {signal_name(exit_.signal)} {when}."
        return ProgramFailed("program_exited", message, hint=_SEE_OUTPUT)

    # An exit that was expected needs no explanation: code 0 after answers.
    if exit_.reason == "exited" and (exit_.code != 0 or not served):
        message = f"The workflow exited with code {exit_.code} {when}."
        hint = _SEE_OUTPUT
        if exit_.code == 0:
            hint = "A workflow ends with uvicorn.run(app, host='0.0.0.0', port=int(os.environ['PORT']))."
        return ProgramFailed("program_exited", message, hint=hint, exit_code=exit_.code)

    return None


def no_port(port: int, seconds: float) -> ProgramFailed:
    """Nothing listens although the start time is over."""
    return ProgramFailed(
        "program_no_port",
        f"The workflow did not open port {port} within {seconds:g} seconds.",
        hint="Start the server without long work before it, with port=int(os.environ['PORT']).",
    )


def wrong_port(port: int, others: list[int]) -> ProgramFailed:
    """Something listens, elsewhere."""
    listed = ", ".join(str(other) for other in others)
    return ProgramFailed(
        "program_wrong_port",
        f"The workflow listens on port {listed}, not on port {port}.",
        hint="Take the port from the environment: port=int(os.environ['PORT']).",
    )


def served_elsewhere(port: int, requested_port: int) -> str:
    """A platform line for a program that named another port and is served all the same."""
    return f"The workflow asked for port {requested_port}; it is served on PORT ({port}) all the same."


def signal_name(number: int | None) -> str:
    """SIGSEGV, or `signal 99`."""
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"
