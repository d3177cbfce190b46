"""The normal form of host names and addresses, and of the entries of a list of hosts."""

from __future__ import annotations

import ipaddress
import re

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.addresses import parse_address

_LONGEST_NUMBER = 64
_DIGITS = "0123456789abcdef"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
# The host of an entry that was written as a URL, or with a port or a path.
_WRITTEN_AS_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?(\[[^\]]*\]|[^:/?#]*)(?:[:/?#].*)?")


def parse_host_entry(entry: str) -> str:
    """The normal form of an entry of a list of hosts: a name, an address, or `*.` and a name.

    Every list that a program's egress is judged by is read here, when it is checked and when it applies. An entry
    covers all ports of its host. Raises InvalidInput, whose hint has the spelling that was likely meant.
    """
    bare = entry.strip().lower()
    if name := _plain_entry(bare):
        return name

    written = _WRITTEN_AS_URL.fullmatch(bare)
    if written and (meant := _plain_entry(written[1])):
        raise InvalidInput(
            "A list of hosts has an entry with a port, a scheme or a path.",
            hint=f'Write "{meant}": an entry covers every port of its host.',
        )
    raise InvalidInput(
        "A list of hosts has an entry that is not a host.",
        hint='Write names or addresses, for example "api.github.com" or "*.example.com".',
    )


def _plain_entry(bare: str) -> str | None:
    below = bare.removeprefix("*.")
    name = normal_host(below)
    if name is None or below == bare:
        return name
    # No name is below an address.
    if parse_address(name) is not None:
        return None
    return f"*.{name}"


def normal_host(text: str) -> str | None:
    """Normalize a host. Returns None if it is neither a name nor an address.

    Names are in lower case without the final dot, international ones in ASCII. Addresses are as
    `ipaddress` writes them, IPv6 with or without brackets. A host whose last label is a number is
    an IPv4 address in a form that clients know (`127.1`, `2130706433`, `0x7f.0.0.1`, `0177.0.0.1`)
    or invalid (WHATWG URL, "ends in a number").
    """
    if text.startswith("[") and text.endswith("]"):
        bare = text[1:-1]
    else:
        bare = text

    # IPv6 in brackets, with or without a zone.
    address = parse_address(bare)
    if address is not None:
        return str(address)

    name = bare.lower().removesuffix(".")
    # Before the name's own check: `1.2.3.4` is a valid name too, and clients dial it as an address.
    if _ends_in_number(name):
        number = _ipv4(name)
        if number is None:
            return None
        return str(number)

    if _NAME.fullmatch(name):
        return name

    return None


def _ends_in_number(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.isascii() and (last.isdigit() or _number(last) is not None)


def _ipv4(name: str) -> ipaddress.IPv4Address | None:
    """Parse 1 to 4 numbers. The last one fills the remaining bytes (WHATWG URL, "IPv4 parser")."""
    numbers = [_number(part) for part in name.split(".")]
    if len(numbers) > 4:
        return None

    *first, last = numbers
    if last is None or last >= 256 ** (5 - len(numbers)):
        return None

    value = last
    for index, part in enumerate(first):
        if part is None or part > 255:
            return None
        value += part << (8 * (3 - index))

    return ipaddress.IPv4Address(value)


def _number(part: str) -> int | None:
    """Parse decimal, hexadecimal after 0x, or octal after 0; None for any other text."""
    # int() of a text of any length would take quadratic time.
    if len(part) > _LONGEST_NUMBER:
        return None

    digits, base = part, 10
    if part.startswith("0x"):
        digits, base = part[2:] or "0", 16
    elif len(part) > 1 and part.startswith("0"):
        digits, base = part[1:], 8

    if not all(digit in _DIGITS[:base] for digit in digits) or not digits:
        return None

    return int(digits, base)
