"""Variables of the environment that set up a runtime, compared without reading what they mean.

Reading settings loads pydantic, which costs a stdio proxy six times its start and twice its memory. Where a proxy has the
variables that the runtime was started with, letter for letter, there is nothing to read.
"""

from __future__ import annotations

from _blake2 import blake2b  # `hashlib` would bring OpenSSL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_THE_PROXY = frozenset({"CODEWORDS_HOME", "CODEWORDS_LOG_LEVEL", "CODEWORDS_RUNTIME"})
"""Variables of the proxy that are no settings of the runtime."""


def variable_fingerprints(environment: Mapping[str, str], key: str) -> dict[str, str]:
    """Fingerprint the text of each variable that can set up a runtime, by its name.

    `key` is the home's. Values are secrets at times: without it nobody can guess one and compare.
    """
    return {
        name: _fingerprint(name, value, key)
        for name, value in environment.items()
        if name.startswith("CODEWORDS_") and name not in _OF_THE_PROXY
    }


def _fingerprint(name: str, value: str, key: str) -> str:
    text = f"{name}={value}".encode(errors="surrogateescape")
    # 48 bits are enough to see that two values differ.
    return blake2b(text, key=blake2b(key.encode()).digest(), digest_size=6).hexdigest()
