"""Reasons for which a connection is not recorded. Each completes "not recorded: …"."""

from __future__ import annotations

import ssl
from typing import Final

NO_HTTP: Final = "tcp"
NO_HTTP_IN_TLS: Final = "tls without HTTP"
OWN_LIST: Final = "authorities of its own"
"""The program's variables name a list of authorities, which lacks the runtime's."""
PINNED: Final = "pinned certificate"
CLIENT_CERTIFICATE: Final = "client certificate"
PRIVATE: Final = "private certificate"
"""The machine's authorities do not vouch for the host; the program's own may."""
OTHER_TLS: Final = "tls that could not be read"
BROWSER: Final = "a browser's tls"
OTHER_NAME: Final = "tls by another name"
"""The program names another host by TLS than it connected to, or none."""

_DISTRUST: Final = ("CERT", "UNKNOWN_CA")


def distrusts(error: Exception) -> bool:
    """Whether a program's failed handshake says that it does not trust our certificate: by an alert, or by a hang-up."""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        return isinstance(error, ssl.SSLEOFError) or (
            "ALERT" in reason and any(word in reason for word in _DISTRUST)
        )
    # Many clients hang up without an alert.
    return isinstance(error, ConnectionError)
