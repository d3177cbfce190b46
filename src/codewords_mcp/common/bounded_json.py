"""Parse JSON that a program, a client or another service sent.

A value that `parse` returns can be stored, encoded as UTF-8 JSON and walked recursively without an error. JSON beyond
these bounds is refused; callers that store it keep it as text. Standard library only: the stdio proxy parses with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn, TypeAlias, cast

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"
JsonObject: TypeAlias = dict[str, JsonValue]

MAX_DEPTH = 100
"""Levels of arrays and objects. Encoders give up at 200 to 1000 levels, each at another depth."""

_CONTAINERS = (dict, list, tuple)
_PIECE = 64 << 10
"""Bytes of a text whose values are counted at a time."""
_INFINITE = (float("inf"), float("-inf"))


class UnacceptableJson(ValueError):
    """JSON that is valid and outside the bounds. The text says which bound, and repeats nothing of the JSON."""


def parse(data: str | bytes | bytearray, *, unique_keys: bool = False, max_bytes: int | None = None) -> Any:
    """Parse one JSON text. Raises ValueError: JSONDecodeError, UnicodeDecodeError or UnacceptableJson.

    Refused beside what is not JSON: more than `MAX_DEPTH` levels, NaN and the infinities, numbers beyond a float, integers
    beyond the interpreter's limit on digits, lone surrogates, and with `unique_keys` an object that names a key twice.
    """
    if max_bytes is not None and len(data) > max_bytes:
        raise UnacceptableJson(f"it is longer than {max_bytes} bytes")

    if isinstance(data, str):
        text = data
    else:
        # RFC 8259, 8.1: a parser may ignore a byte order mark.
        text = data.decode().removeprefix("\ufeff")

    try:
        value: JsonValue = (_UNIQUE if unique_keys else _DECODER).decode(text)
    except (json.JSONDecodeError, UnacceptableJson):
        raise
    except RecursionError:
        raise UnacceptableJson(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError:
        raise UnacceptableJson("it holds a number with too many digits") from None

    # counting is cheap, and most JSON has fewer brackets than may be nested
    if text.count("[") + text.count("{") > MAX_DEPTH:
        check_depth(value)
    # Only an escape can make half of a pair, or a text that was decoded elsewhere.
    if "\\ud" in text or "\\uD" in text or (isinstance(data, str) and not data.isascii()):
        _check_encodable(value)
    return value


def has_more_values(data: bytes, limit: int, *, piece: int = _PIECE) -> bool:
    """Tell whether a JSON text has more values than about `limit`, before it is parsed: that takes far more memory.

    Of bytes that are no JSON the result says nothing.
    """
    # Most texts have fewer marks, those within strings included.
    if _count_marks(data, 0, len(data)) < limit:
        return False

    # Without escapes every quote begins or ends a string.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    count = 0
    within_string = 0
    for start in range(0, len(plain), piece):
        # A piece at a time: a part for each string of the whole would take more memory than the values.
        parts = plain[start : start + piece].split(b'"')
        outside = b"".join(parts[within_string::2])
        count += _count_marks(outside, 0, len(outside))
        if count > limit:
            return True
        within_string ^= (len(parts) - 1) & 1
    return False


def _count_marks(data: bytes, start: int, end: int) -> int:
    return sum(data.count(mark, start, end) for mark in (b",", b"[", b"{"))


def parse_or_none(data: str | bytes | bytearray) -> JsonValue:
    """Parse one JSON text. None for what is not JSON or is outside the bounds."""
    try:
        return parse(data)
    except ValueError:
        return None


def parse_stored(data: str | bytes | float) -> JsonValue:
    """Parse what an earlier version stored without bounds. Never raises, and returns only what `parse` may return.

    What cannot be encoded is replaced; what is nested too deeply, or is no JSON, stays text.
    """
    if isinstance(data, int | float):  # SQLite keeps a JSON column's numbers as numbers
        return _repaired(data)

    if isinstance(data, str):
        text = data
    else:
        text = data.decode(errors="replace")

    try:
        return parse(text)
    except ValueError:
        pass

    try:
        value: JsonValue = json.loads(text)
        check_depth(value)
        return _repaired(value)
    except (ValueError, RecursionError):
        return storable_text(text)


def check(value: Any) -> None:
    """Hold a value that somebody else parsed to the bounds of `parse`. Raises UnacceptableJson."""
    check_depth(value)
    _check_encodable(value)


def storable_text(text: str) -> str:
    """Replace what a database does not take: NUL and lone surrogates."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _refuse_constant(_name: str) -> NoReturn:
    raise UnacceptableJson("it holds NaN or an infinite number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 8259, 4: what a name means that comes twice is left to the parser.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnacceptableJson("an object in it names a key twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if number in _INFINITE:
        raise UnacceptableJson("it holds a number that is too large")
    return number


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_UNIQUE = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique)


def _elements(container: Any) -> Iterable[Any]:
    if isinstance(container, dict):
        return cast("dict[Any, Any]", container).values()
    return container


def _repaired(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return None
    if isinstance(value, dict):
        return {storable_text(key): _repaired(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_repaired(item) for item in value]

    return value


def check_depth(value: Any) -> None:
    """Raise UnacceptableJson for more than `MAX_DEPTH` levels. Goes level by level: nesting is no depth of calls."""
    level: list[Any] = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _elements(parent) if isinstance(child, _CONTAINERS)]
        if not level:
            return
    raise UnacceptableJson(f"it is nested more than {MAX_DEPTH} levels deep")


def _check_encodable(value: Any) -> None:
    try:
        _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise UnacceptableJson("it holds half of a surrogate pair") from None
    except (TypeError, ValueError, RecursionError):
        raise UnacceptableJson("it holds NaN, an infinite number or a value that is not JSON") from None
