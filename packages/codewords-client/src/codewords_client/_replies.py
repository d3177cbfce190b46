"""Answers as scripts read them: an `httpx.Response` that is also its JSON, and records with attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import httpx

_NOTHING: Any = object()


class Reply(httpx.Response):
    """An answer of a workflow or service: all of `httpx.Response`, and item access into its JSON body.

    `reply["x"]`, `reply.get("x")`, `"x" in reply`, `len(reply)` and iteration work on the body. Where it is a JSON
    object the reply is a `dict` too (`ObjectReply`), so it can be returned, merged and dumped as one. As with
    httpx, a reply is always true. Item access raises TypeError where the body is not JSON.
    """

    def __getitem__(self, key: Any) -> Any:
        return self._body()[key]

    def __contains__(self, key: object) -> bool:
        return key in self._body()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._body())

    def __len__(self) -> int:
        return len(self._body())

    def __bool__(self) -> bool:
        return True

    def get(self, key: Any, default: Any = None) -> Any:  # noqa: ARG002  # a body without keys has none of them
        """The value of a key of the body, else the default, whatever the body is."""
        # An object's `get` is the dict's own (`ObjectReply`); lists and scalars have no keys.
        return default

    def _body(self) -> Any:
        try:
            return self.json()
        except ValueError:
            kind = self.headers.get("content-type", "no content type")
            raise TypeError(
                f"The reply is not JSON ({kind}, {len(self.content)} bytes); read .text or .content."
            ) from None


class ObjectReply(dict[str, Any], Reply):  # pyright: ignore[reportIncompatibleMethodOverride]  # a dict's own come first
    """A reply whose body is a JSON object. Compares equal to a dict of the same items."""

    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]  # as any httpx.Response; a dict has none
    __repr__ = Reply.__repr__


def reply(response: httpx.Response) -> Reply:
    """The response, already read, as a `Reply`."""
    body = _object(response)
    if body is None:
        made = Reply.__new__(Reply)
    else:
        made = ObjectReply.__new__(ObjectReply)
        made.update(body)
    # httpx offers no way to copy a response; its state is in its dictionary.
    made.__dict__.update(response.__dict__)
    return made


def _object(response: httpx.Response) -> dict[str, Any] | None:
    # Decided by one byte: a large file need not be parsed to learn that it is no object.
    if response.content.lstrip()[:1] != b"{":
        return None
    try:
        body = response.json()
    except ValueError:
        return None
    if isinstance(body, dict):
        return cast("dict[str, Any]", body)
    return None


class Result(dict[str, Any]):
    """A JSON object whose keys are also attributes, down through its objects and lists."""

    def __getattr__(self, name: str) -> Any:
        value = self.get(name, _NOTHING)
        if value is _NOTHING:
            raise AttributeError(f"no {name!r} here; there is {', '.join(map(str, self)) or 'nothing'}")
        return value


def result(value: dict[str, Any]) -> Result:
    """A JSON object as a `Result`, and the objects in it too."""
    return Result({name: _inner(inner) for name, inner in value.items()})


def _inner(value: object) -> object:
    if isinstance(value, dict):
        return result(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [_inner(inner) for inner in cast("list[object]", value)]
    return value
