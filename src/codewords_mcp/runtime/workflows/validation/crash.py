"""A workflow's traceback as a check: the exception, the line of the script, and the fix if it is
known.
"""

from __future__ import annotations

import re

from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.workflows.script import Script

OWN_FILE = r'(?![^"\n]*/site-packages/)[^"\n]*/main\.py'
"""The program's file in a traceback; packages have modules of this name too."""
_FRAME = re.compile(rf'File "{OWN_FILE}", line (\d+)')
_RAISED = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?:: ?(.*))?")
_GROUPED = re.compile(
    r"^[ |+]*((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Failed|Invalid\w*))(?:: (.*))?$",
    re.MULTILINE,
)
_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "Traceback", "During", "The"})
"""First words of a server's own log lines."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_MODULE = re.compile(r"No module named '([\w.]{1,100})'")
_KEY = re.compile(r"'([A-Za-z_]\w{0,80})'")
# import name → distribution name, for packages where the two differ and people often confuse them
_DISTRIBUTIONS = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "google.generativeai": "google-generativeai",
    "google.genai": "google-genai",
    "jwt": "pyjwt",
    "multipart": "python-multipart",
    "PIL": "pillow",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "serpapi": "google-search-results",
    "sklearn": "scikit-learn",
    "slack_sdk": "slack-sdk",
    "slugify": "python-slugify",
    "yaml": "pyyaml",
}


def last_exception(output: str) -> tuple[str, str, str] | None:
    """(name, message on one line, traceback) of the last exception in a program's output.

    The exception is the first line after the frames that is not indented: a server's own line may
    follow it.
    """
    text = _COLOURS.sub("", output)
    # The last one: an exception with a cause prints the cause first.
    start = text.rfind("Traceback (most recent call last)")
    if start < 0:
        return None

    trace = text[start:]
    lines = trace.splitlines()[1:]
    for number, line in enumerate(lines):
        if line[:1] not in {"", " ", "\t"}:
            raised = _RAISED.fullmatch(line)
        else:
            raised = None

        if raised and raised[1] not in _LEVELS:
            message = " ".join((raised[2] or "").split())[:200]
            if not message and number + 1 < len(lines) and raised[2] is not None:
                message = " ".join(lines[number + 1].split())[:200]
            return raised[1], message, "\n".join(trace.splitlines()[: number + 2])

    # Exception groups are printed with margins of `|` and `+`, so no line begins at column 0.
    grouped = [match for match in _GROUPED.finditer(trace) if match[1] not in _LEVELS]
    if not grouped:
        return None

    return grouped[-1][1], " ".join((grouped[-1][2] or "").split())[:200], trace


def own_line(trace: str) -> int | None:
    """The line of the script that a traceback ends in; None where it has none.

    Deeper frames are in packages, which the author can't change.
    """
    frames = _FRAME.findall(trace)
    return int(frames[-1]) if frames else None


def explain_crash(script: Script, output: str, when: str = "while it starts") -> Check | None:
    """The failed check for the last traceback in a program's output, None without one.

    The program's own text is bounded and quoted.
    """
    exception = last_exception(output)
    if exception is None:
        return None

    name, text, trace = exception
    line = own_line(trace)
    message = f"The program ends with {name.rsplit('.', maxsplit=1)[-1]} {when}"
    message += f'; it says: "{text}".' if text else "."

    return Check(id="starts", status="failed", message=message, line=line, fix=_fix(script, name, text))


def _fix(script: Script, name: str, message: str) -> str | None:
    module = _MODULE.search(message)
    if name == "ModuleNotFoundError" and module:
        package = (
            _DISTRIBUTIONS.get(module[1])
            or _DISTRIBUTIONS.get(module[1].split(".")[0])
            or module[1].split(".")[0].replace("_", "-")
        )
        return f'Add "{package}" to `dependencies` in the header.'

    key = _KEY.fullmatch(message)
    if (
        name == "KeyError"
        and key
        and key[1].isupper()
        and key[1] not in {variable.name for variable in script.env}
    ):
        return f'Add "{key[1]}" to env_vars under [tool.env-checker].'
    if "python-multipart" in message:
        return 'Add "python-multipart" to `dependencies` in the header.'

    return None
