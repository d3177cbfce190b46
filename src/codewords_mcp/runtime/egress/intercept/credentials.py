"""Placeholders of a sandbox: their secrets, and where in a request they may be replaced."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_from_bytes, unquote_plus

from codewords_mcp.runtime.secrets.encodings import forms
from codewords_mcp.runtime.secrets.multi_pattern import MultiPattern
from codewords_mcp.runtime.secrets.placeholders import LENGTH, PATTERN
from codewords_mcp.runtime.secrets.rules import HostRule, InjectionPoint

Headers = list[tuple[bytes, bytes]]

_POINT_TEXTS: Final[dict[str, str]] = {
    "header": "a header",
    "basic": "basic authentication",
    "query": "the query",
    "path": "the path",
}
_NOT_IN_HEADER: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Misplaced(Exception):  # an outcome, caught inside this package
    """A placeholder is in a part of the request that its rule does not allow.

    `reason` completes "was refused: …".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, repr=False)
class SandboxCredential:
    """One secret of one sandbox."""

    name: str
    placeholder: str
    value: str
    rule: HostRule


class Credentials:
    """All secrets with a host rule that one sandbox has."""

    def __init__(self, every: Collection[SandboxCredential]) -> None:
        self.every = tuple(every)
        # Found by their marks: one search finds all placeholders, whoever they belong to.
        self._by_mark = {c.placeholder.encode()[-LENGTH:]: c for c in every}
        self._hosts = {host for c in every for host in c.rule.hosts}
        # Encodings that hide the mark from `PATTERN`: base64, hexadecimal and the like.
        encoded = {
            form: c.name.encode() for c in every for form in forms(c.placeholder) if not PATTERN.search(form)
        }
        if encoded:
            self._encoded = MultiPattern(sorted(encoded.items()))
        else:
            self._encoded = None

    @property
    def hosts(self) -> set[tuple[str, int]]:
        """(name, port) of every rule."""
        return self._hosts

    def swap(
        self, host: str, port: int, target: bytes, headers: Headers
    ) -> tuple[bytes, Headers, tuple[str, ...]]:
        """Target and headers with values, and the names of inserted secrets. Raises Misplaced."""
        used: set[str] = set()
        swap = _Swap(self._by_mark, host, port, used)
        # Each parameter by itself: a rule may name the one that may hold the value.
        path, question, query = target.partition(b"?")
        parameters = [swap.text(part, "query", _in_url, _parameter_name(part)) for part in query.split(b"&")]
        target = swap.text(path, "path", _in_url) + question + b"&".join(parameters)
        swapped = [(_without(name), self._header(swap, name, value)) for name, value in headers]
        return target, swapped, tuple(sorted(used))

    def _header(self, swap: _Swap, name: bytes, value: bytes) -> bytes:
        scheme, is_basic, pair = _basic(value)
        if is_basic and name.lower() == b"authorization":
            swapped = swap.text(pair, "basic", _as_it_is)
            if swapped == pair:
                return value
            return scheme + b" " + base64.b64encode(swapped)
        return swap.text(value, "header", _in_header, name.decode("latin-1").lower())

    def named(self, text: bytes) -> bytes:
        """Text with `[secret NAME]` in place of placeholders, which differ in every sandbox."""
        # The usual case, and cheaper than a search for each placeholder.
        if b"cwph" not in text:
            return text
        for credential in self.every:
            text = text.replace(credential.placeholder.encode(), f"[secret {credential.name}]".encode())
        return text

    def named_in_header(self, value: bytes) -> bytes:
        """Like `named`, also within basic authentication, which is then left decoded."""
        scheme, _, pair = _basic(value)
        named = self.named(pair)
        if named == pair:
            return self.named(value)
        return scheme + b" " + named

    def watch(self) -> PlaceholderScan:
        """A scan for data outside a request's head: a body, or a connection without TLS."""
        return PlaceholderScan(self._by_mark, self._encoded)


class PlaceholderScan:
    """Finds placeholders in one stream, across its chunks."""

    def __init__(self, by_mark: dict[bytes, SandboxCredential], encoded: MultiPattern | None) -> None:
        self._by_mark = by_mark
        self._encoded = encoded
        self._tail = b""

    def found(self, chunk: bytes) -> str | None:
        """Description of a placeholder found in the stream so far, or None."""
        # A placeholder may be cut by a chunk's end.
        data = self._tail + chunk
        matched = PATTERN.search(data)
        if matched is not None:
            return _describe(self._by_mark.get(matched.group()))
        if self._encoded is not None and (matches := self._encoded.find(data)):
            return f"the placeholder of {self._encoded.endings(matches[0][1])[0][1].decode()}, encoded"
        self._tail = data[-_TAIL:]
        return None


# Bytes: one less than the longest encoding of a placeholder that is searched.
_TAIL: Final = 255


@dataclass(frozen=True, slots=True)
class _Swap:
    by_mark: dict[bytes, SandboxCredential]
    host: str
    port: int
    used: set[str]

    def text(
        self, text: bytes, point: InjectionPoint, encode: Callable[[str, bytes], bytes], name: str = ""
    ) -> bytes:
        # The usual case.
        if b"cwph" not in text:
            return text
        for mark in set(PATTERN.findall(text)):
            credential = self._judged(mark, point, name)
            placeholder = credential.placeholder.encode()
            text = text.replace(placeholder, encode(credential.name, credential.value.encode()))
            # A mark without the placeholder's beginning: a cut or altered placeholder.
            if mark in text:
                raise Misplaced(f"it holds {_describe(credential)} without its beginning")
            self.used.add(credential.name)
        return text

    def _judged(self, mark: bytes, point: InjectionPoint, name: str) -> SandboxCredential:
        credential = self.by_mark.get(mark)
        if credential is None:
            raise Misplaced(f"it holds {_describe(None)}")
        if (self.host, self.port) not in credential.rule.hosts:
            raise Misplaced(
                f"it holds {_describe(credential)}, whose rule is for {_list(credential.rule.names)} only"
            )
        if not credential.rule.allows(point, name):
            allowed = _list([_point_text(point) for point in credential.rule.places])
            raise Misplaced(
                f"it holds {_describe(credential)} in {_POINT_TEXTS[point]}, and its rule lets it stand in {allowed} only"
            )

        return credential


def _parameter_name(part: bytes) -> str:
    """The name of a parameter whose value holds a placeholder; "" if its name holds one."""
    name, equals, _ = part.partition(b"=")
    if not equals or PATTERN.search(name):
        return ""
    return unquote_plus(name.decode("latin-1"))


def _point_text(point: str) -> str:
    kind, colon, name = point.partition(":")
    if not colon:
        return _POINT_TEXTS[kind]
    if kind == "header":
        return f"the header {name}"
    return f"the query parameter {name}"


def _basic(value: bytes) -> tuple[bytes, bool, bytes]:
    """(scheme, whether a header's value is basic authentication, its user and password)."""
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() != b"basic":
        return scheme, False, b""
    try:
        return scheme, True, base64.b64decode(rest.strip(), validate=True)
    except binascii.Error:
        return scheme, True, b""


def _describe(credential: SandboxCredential | None) -> str:
    if credential is None:
        return "a placeholder that does not belong to this sandbox"
    return f"the placeholder of {credential.name}"


def _list(names: Iterable[str]) -> str:
    return " and ".join(names)


def _without(name: bytes) -> bytes:
    if PATTERN.search(name):
        raise Misplaced("it holds a placeholder in a header's name")
    return name


def _in_header(name: str, value: bytes) -> bytes:
    # A line break would end the header, and what follows would be another one.
    if _NOT_IN_HEADER.search(value) or value != value.strip():
        raise Misplaced(f"the value of {name} has characters that no header can carry")
    return value


def _in_url(_: str, value: bytes) -> bytes:
    # Characters that are reserved in a URL are escaped: a value is one piece of it.
    return quote_from_bytes(value, safe="-._~:").encode()


def _as_it_is(_: str, value: bytes) -> bytes:
    return value
