"""Certificates that a program trusts: the machine's own, and that of its sandbox's authority."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

FILE: Final = ".authorities.pem"
"""In the folder that the program sees as its home; it may read it, and only hurts itself by changing it."""
_VARIABLES: Final = (
    "SSL_CERT_FILE",  # OpenSSL: Python's ssl, httpx, httpx2, aiohttp, urllib3, openai, anthropic, curl, Go, Ruby
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "HTTPLIB2_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "DENO_CERT",
)

_SYSTEM: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)


_shared: str | Callable[[], str] = ""


def share(authority: str | Callable[[], str]) -> None:
    """Have the roots of fork servers that start from now on trust this authority, for all sandboxes that name it.

    A function is called for it when the first of them starts.
    """
    # Public: a sandbox that names another trusts this one too, of which only the runtime has the key.
    global _shared  # noqa: PLW0603  # one authority for the process, as its egress has one
    _shared = authority


def shared() -> str:
    """The authority that most sandboxes of this process name; "" if there is none."""
    if not isinstance(_shared, str):
        share(_shared())
    return str(_shared)


def variables(authority: str, file: str) -> dict[str, str]:
    """Variables that make the usual clients trust the bundle at `file`, a path as the program sees it; empty without one."""
    if authority:
        return dict.fromkeys(_VARIABLES, file)
    return {}


def names_list(env: Mapping[str, str]) -> bool:
    """Whether a program's own variables name a list of authorities."""
    return any(env.get(name) for name in _VARIABLES)


def bundle(authority: str) -> bytes:
    """The file's content: an authority in PEM after everything that this machine trusts."""
    # A client that reads the variable replaces its own list by the file: it has to hold everything.
    return of_machine().encode() + b"\n" + authority.encode()


@functools.lru_cache(maxsize=1)
def of_machine() -> str:
    """The authorities that this machine trusts, in PEM: `SSL_CERT_FILE`'s, the system's, or else Mozilla's."""
    named: str | None = ssl.get_default_verify_paths().cafile
    found = next((file for file in (named, *_SYSTEM) if file and Path(file).is_file()), None)
    if found is None:
        # Imported here: most machines have a file of the system's own.
        import certifi

        found = certifi.where()
    return Path(found).read_text(encoding="ascii", errors="ignore")
