"""A traceback of a workflow, as a check: the exception, the line of the script, and the fix where it is known."""

from __future__ import annotations

import re

from codewords_mcp.runtime.models import Check
from codewords_mcp.runtime.workflows.script import Script

_FRAME = re.compile(r'File "[^"\n]*/main\.py", line (\d+)')
_RAISED = re.compile(
    r"^((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Failed|Invalid\w*)?)(?:: (.*))?$",
    re.MULTILINE,
)
_MODULE = re.compile(r"No module named '([\w.]{1,100})'")
_KEY = re.compile(r"'([A-Za-z_]\w{0,80})'")
# What a name to import is called in the index, where the two differ and people often get it wrong.
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


def explain_crash(script: Script, output: str, when: str = "while it starts") -> Check | None:
    """The failed check for the last traceback in a program's output; None where there is none.

    The program's own words are bounded and marked as such.
    """
    start = output.rfind("Traceback (most recent call last)")
    if start < 0:
        return None
    trace = output[start:]
    raised = list(_RAISED.finditer(trace))
    if not raised:
        return None
    name, said = raised[-1][1], " ".join((raised[-1][2] or "").split())[:200]
    frames = _FRAME.findall(trace)
    line = int(frames[-1]) if frames else None
    message = f"The program ends with {name.rsplit('.', maxsplit=1)[-1]} {when}" + (
        f'; it says: "{said}".' if said else "."
    )
    return Check(id="starts", status="failed", message=message, line=line, fix=_fix(script, name, said))


def _fix(script: Script, name: str, said: str) -> str | None:
    module = _MODULE.search(said)
    if name == "ModuleNotFoundError" and module:
        package = (
            _DISTRIBUTIONS.get(module[1])
            or _DISTRIBUTIONS.get(module[1].split(".")[0])
            or module[1].split(".")[0].replace("_", "-")
        )
        return f'Add "{package}" to `dependencies` in the header.'
    key = _KEY.fullmatch(said)
    if (
        name == "KeyError"
        and key
        and key[1].isupper()
        and key[1] not in {variable.name for variable in script.env}
    ):
        return f'Add "{key[1]}" to env_vars under [tool.env-checker].'
    if "python-multipart" in said:
        return 'Add "python-multipart" to `dependencies` in the header.'
    return None
