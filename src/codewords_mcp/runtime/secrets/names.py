"""Rules for the names and values of secrets."""

from __future__ import annotations

import re

from codewords_mcp.errors import InvalidInput

MAX_VALUE = 64 << 10
"""Bytes of a secret's value in UTF-8."""

_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)

_RUNTIME = "the runtime sets it itself in every sandbox"
_SHELL = "it steers how programs start, so a secret there would break or hijack them"
_PROXY = "it steers how a workflow reaches the network, which the runtime decides"

_RESERVED = {
    **dict.fromkeys(
        ("PORT", "SERVICE_ID", "LOGLEVEL", "RUNTIME_URI", "TMPDIR", "TMP", "TEMP", "HOSTNAME"), _RUNTIME
    ),
    **dict.fromkeys(
        ("PATH", "HOME", "PWD", "OLDPWD", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TZ"), _SHELL
    ),
    **dict.fromkeys(("IFS", "ENV", "BASH_ENV", "VIRTUAL_ENV"), _SHELL),
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY"), _PROXY),
}
_RESERVED_PREFIXES = {
    "CODEWORDS_": _RUNTIME,
    "LD_": _SHELL,
    "DYLD_": _SHELL,
    "PYTHON": _SHELL,
    "LC_": _SHELL,
    "UV_": _SHELL,
}


def check_name(name: str) -> str:
    """Return the name if it is valid for a secret: 1 to 64 of A-Z, 0-9 and _, a letter first, not
    reserved.

    Raises InvalidInput with the reason. An invalid name is not repeated in the message.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "A secret's name is 1 to 64 characters of A-Z, 0-9 and _, and begins with a letter.",
            hint="For example STRIPE_API_KEY.",
        )

    reason = _reserved_because(name)
    if reason:
        raise InvalidInput(
            f"{name} cannot be a secret's name: {reason}.",
            hint=f"Choose another name, for example MY_{name}.",
        )

    return name


def _reserved_because(name: str) -> str | None:
    if name in _RESERVED:
        return _RESERVED[name]
    return next((reason for prefix, reason in _RESERVED_PREFIXES.items() if name.startswith(prefix)), None)


def check_value(value: str) -> str:
    """Return the value as it is stored: without surrounding newlines, which editors and `echo` add.

    Raises InvalidInput when it is empty, over 64 KiB of UTF-8, contains a NUL (not possible in an
    environment variable), or is not text. The message never repeats the value.
    """
    stripped = value.strip("\r\n")
    if not stripped.strip():
        raise InvalidInput("The secret's value is empty.", hint="Give the value itself.")
    if "\0" in stripped:
        raise InvalidInput(
            "The secret's value holds a NUL character, which no environment variable can carry.",
            hint="Encode binary data first, for example in base64.",
        )

    try:
        size = len(stripped.encode())
    except UnicodeEncodeError:
        raise InvalidInput(
            "The secret's value is not valid text.", hint="Encode binary data first, for example in base64."
        ) from None

    if size > MAX_VALUE:
        raise InvalidInput(
            f"The secret's value has {size} bytes; at most {MAX_VALUE} are kept.",
            hint="Store large data as a file and keep only its key as a secret.",
        )

    return stripped
