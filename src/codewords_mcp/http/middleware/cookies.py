"""Cookies between browsers and workflows: the runtime's own reach no workflow, and no workflow sets one beyond its origin."""

from __future__ import annotations

from codewords_mcp.http.middleware.headers import Headers

_RESERVED = (
    "codewords_",
    "__host-codewords_",
    "__secure-codewords_",
    "__http-codewords_",
    "__host-http-codewords_",
)
"""The beginning of the names of the runtime's own cookies, in lower case, whatever the port."""
ORIGIN_WIDE = frozenset(
    {
        b"accept-ch", b"alt-svc", b"clear-site-data", b"critical-ch", b"nel", b"report-to", b"reporting-endpoints",
        b"service-worker-allowed", b"strict-transport-security",
    }
)  # fmt: skip
"""Headers of an answer that concern all of its origin, which is not the workflow's where it shares the runtime's."""


def is_reserved(name: str) -> bool:
    """Whether a cookie of this name is the runtime's own, or another runtime's at another port."""
    return name.strip().lower().startswith(_RESERVED)


def without_reserved(headers: Headers) -> Headers:
    """The headers of a request without the runtime's own cookies."""
    passed: Headers = []
    for name, value in headers:
        if name != b"cookie":
            passed.append((name, value))
            continue

        parts = [part.strip() for part in value.split(b";")]
        others = [part for part in parts if part and not _names_reserved(part)]
        if others:
            passed.append((name, b"; ".join(others)))
    return passed


def on_own_origin(headers: Headers) -> Headers:
    """A workflow's answer on its own origin: its cookies are for this very host, and none has a name of ours.

    It clears none either: a browser would clear those of all hosts of the site.
    """
    return [
        (name, _for_host_only(value) if name == b"set-cookie" else value)
        for name, value in headers
        if name != b"clear-site-data" and not (name == b"set-cookie" and _sets_reserved(value))
    ]


def on_runtime_origin(headers: Headers, *, by_browser: bool) -> Headers:
    """A workflow's answer on the runtime's origin: it sets no cookie of a browser there, and nothing of the whole origin."""
    return [
        (name, value)
        for name, value in headers
        if name not in ORIGIN_WIDE and not (name == b"set-cookie" and (by_browser or _sets_reserved(value)))
    ]


def _names_reserved(part: bytes) -> bool:
    return is_reserved(part.partition(b"=")[0].decode("latin-1"))


def _sets_reserved(value: bytes) -> bool:
    name, separator, rest = value.partition(b";")[0].partition(b"=")
    if separator and not name.strip():
        # `=name=value` has no name; browsers send it back as `name=value`.
        return b"=" in rest
    return is_reserved(name.decode("latin-1"))


def _for_host_only(value: bytes) -> bytes:
    first, *attributes = value.split(b";")
    passed = [one for one in attributes if one.partition(b"=")[0].strip().lower() != b"domain"]
    return b";".join([first, *passed])
