"""uv's resolution errors as one sentence that names the package.

uv explains itself in a proof of several lines; the sentence states the step that a person can act
on. Only package names, versions and specifiers of the output are included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from codewords_mcp.errors import EnvironmentFailed

_NAME = r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)(?:\[[A-Za-z0-9,._-]*\])?"
_CONDITION = r"(?:==|>=|<=|~=|!=|<|>)[A-Za-z0-9.+!*_-]{1,40}"
_SPEC = rf"((?:{_CONDITION})(?:,{_CONDITION}){{0,5}})"
_MARKER = r"(?:\{[^}]{0,300}\})?"
_OFFLINE = "network was disabled"
_UNREACHABLE = re.compile(
    r"Failed to fetch|error sending request|dns error|Connection refused|operation timed out|tunnel|peer certificate"
)
_INDEX = re.compile(
    r"https?://(?:[^/\s@]{0,300}@)?([A-Za-z0-9.-]{1,253}(?::\d{1,5})?|\[[0-9a-f:]{2,40}\](?::\d{1,5})?)[/\s)`]"
)
"""The host of an address, without the credentials that may stand before it."""
_REASONS = (
    (re.compile(r"certificate|UnknownIssuer"), "its TLS certificate is not trusted here"),
    (re.compile(r"dns error|lookup address"), "its name cannot be resolved"),
    (re.compile(r"tunnel"), "the proxy makes no connection to it"),
    (re.compile(r"Connection refused"), "the connection was refused"),
    (re.compile(r"timed out"), "it did not answer in time"),
    (re.compile(r"unreachable"), "there is no network route to it"),
    (re.compile(r"reset by peer|connection closed|incomplete"), "it broke off the connection"),
)
_STATUS = re.compile(r"HTTP status [a-z]+ error \((\d{3})")
_NOT_FOUND = re.compile(rf"{_NAME} was not found in the (?:package registry|cache|provided)")
_NO_WHEEL = re.compile(rf"{_NAME}{_SPEC}? has no (?:usable )?wheels")
_NO_VERSION = re.compile(rf"there (?:is|are) no versions? of {_NAME}")
_ONLY = re.compile(rf"only {_NAME}<=([A-Za-z0-9.+!]{{1,40}}) is available")
_TWICE = re.compile(rf"you require {_NAME}{_SPEC} and {_NAME}{_SPEC}")
_DEPENDS = re.compile(rf"{_NAME}{_SPEC}? depends on (?:one of: )?{_NAME}{_MARKER}{_SPEC}")


def explain(stderr: str, python: str, requirements: Iterable[str] = ()) -> EnvironmentFailed:
    """The error for a failed `uv pip compile` or `install` of these requirements for a Python ("3.11")."""
    from packaging.requirements import Requirement

    text = " ".join(stderr.split())
    requested = {requirement.name: str(requirement) for requirement in map(Requirement, requirements)}
    return (
        index_failure(text)
        # From the most certain cause to the least: a package that doesn't exist also shows up
        # as a conflict further down in uv's proof.
        or _missing(text)
        or _required_twice(text)
        or _conflict(text, requested)
        or _wrong_python(text, python)
        or _wheelless(text, python)
        or _version(text, requested)
        or EnvironmentFailed(
            "The dependencies cannot be installed together.",
            hint="Loosen the pins, or leave packages out one by one to find which.",
        )
    )


def index_failure(text: str) -> EnvironmentFailed | None:
    """The error if the package index could not be reached or was not used. None for other output."""
    if _OFFLINE in text:
        return EnvironmentFailed(
            "A package is not in the cache, and the index was not asked since UV_OFFLINE is set.",
            hint="Unset UV_OFFLINE and try again.",
        )
    if not _UNREACHABLE.search(text):
        return None

    index = _INDEX.search(text)
    reason = _index_reason(text)
    if "certificate" in reason:
        hint = "Set SSL_CERT_FILE to the certificates of your network, or UV_NATIVE_TLS=true to take the system's."
    else:
        hint = "Check the network, HTTPS_PROXY or UV_DEFAULT_INDEX, then try again."
    return EnvironmentFailed(
        f"The package index{f' {index[1]}' if index else ''} cannot be reached: {reason}.", hint=hint
    )


def _index_reason(text: str) -> str:
    """The cause that uv names, in our words."""
    if status := _STATUS.search(text):
        return f"it answered with status {status[1]}"
    return next((words for sign, words in _REASONS if sign.search(text)), "the connection failed")


def _missing(text: str) -> EnvironmentFailed | None:
    match = _NOT_FOUND.search(text)
    if match is None:
        return None
    return EnvironmentFailed(
        f"No package called {match[1]} is in the index.",
        hint="Check its spelling: the name to install can differ from the one to import.",
    )


def _required_twice(text: str) -> EnvironmentFailed | None:
    match = _TWICE.search(text)
    if match is None or match[1] != match[3]:
        return None
    return EnvironmentFailed(
        f"The script asks for {match[1]}{match[2]} and for {match[3]}{match[4]} at once.",
        hint="Keep one of them.",
    )


def _conflict(text: str, requested: dict[str, str]) -> EnvironmentFailed | None:
    """The error for a package that needs another version of a pinned one, or of a common
    dependency.
    """
    steps = [step for step in _DEPENDS.finditer(text) if step[3] != "Python"]
    # A step about a pinned package is the one that the author can change.
    step = next((step for step in steps if step[3] in requested), None)
    # These have explanations of their own, which name the thing to change.
    if step is None and ("depends on Python" in text or "has no" in text or not steps):
        return None

    step = step or steps[0]
    package, other = step[1], step[3]
    rival = next(
        (rival_step for rival_step in steps if rival_step[3] == other and rival_step[1] != package), None
    )
    if other in requested:
        against = f"the script asks for {requested[other]}"
    elif rival is not None:
        against = f"{rival[1]}{rival[2] or ''} needs {other}{rival[4]}"
    else:
        against = "other dependencies of the script do not fit that"

    return EnvironmentFailed(
        f"{package}{step[2] or ''} needs {other}{step[4]}, but {against}.",
        hint=_hint(package, rival[1] if rival and other not in requested else other),
    )


def _hint(package: str, other: str) -> str:
    hint = f"Change the version of {package} or of {other}, or leave one pin out."
    if package == "codewords-client":
        hint += ' The runtime brings its own client; `[tool.codewords] client = "pypi"` takes the pinned one.'
    return hint


def _wrong_python(text: str, python: str) -> EnvironmentFailed | None:
    step = next((step for step in _DEPENDS.finditer(text) if step[3] == "Python"), None)
    if step is None:
        return None
    return EnvironmentFailed(
        f"{step[1]}{step[2] or ''} needs Python {step[4]}, and the script runs on {python}.",
        hint="Change `requires-python`, or take another version of the package.",
    )


def _wheelless(text: str, python: str) -> EnvironmentFailed | None:
    match = _NO_WHEEL.search(text)
    if match is None:
        return None
    return EnvironmentFailed(
        f"{match[1]}{match[2] or ''} has no wheel for Python {python} on this machine, "
        "and building it from source would run its code outside the sandbox.",
        hint=f"Take a version of {match[1]} that comes with one, another `requires-python`, or another package.",
    )


def _version(text: str, requested: dict[str, str]) -> EnvironmentFailed | None:
    only = _ONLY.search(text)
    match = only or _NO_VERSION.search(text)
    if match is None:
        return None
    newest = f"; the newest is {only[2]}" if only else ""
    return EnvironmentFailed(
        f"No version of {match[1]} matches {requested.get(match[1], 'what is asked for')}{newest}.",
        hint=f"Take a version of {match[1]} that exists, or leave the pin out.",
    )
