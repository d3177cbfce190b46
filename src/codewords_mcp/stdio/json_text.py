"""JSON as the stdio proxy reads it: by the scanner of `json`, without the regular expressions that `json` imports."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_SPACE = " \t\n\r"


class _Options:
    """The decoder's options as the scanner takes them."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> NoReturn:
        """Leave NaN and the infinities to `json`."""
        raise ValueError(name)


def _scanner() -> Callable[[str, int], tuple[object, int]] | None:
    try:
        from _json import make_scanner

        return make_scanner(_Options)  # pyright: ignore[reportArgumentType]  # it takes any object with these attributes
    except (ImportError, AttributeError, TypeError):
        return None  # a Python whose scanner differs; `json` knows it


_scan = _scanner()


def decode(data: bytes) -> object:
    """Decode a JSON text. Raises ValueError, and RecursionError where it is too deep."""
    if _scan is not None:
        try:
            text = data.decode().strip(_SPACE)
            value, end = _scan(text, 0)
            if end == len(text):
                return value
        except (ValueError, StopIteration, SystemError):
            # Where `json` is not imported yet, the scanner of Python 3.11 has no class for its error and sets none.
            pass

    # Rare: what is no JSON, or not UTF-8. It raises what is wrong.
    import json

    return json.loads(data)
