"""Trust in the hosts that get secrets from the runtime."""

from __future__ import annotations

import functools
import ssl

from codewords_mcp.runtime.sandboxes.authorities import of_machine


@functools.lru_cache(maxsize=4)
def upstream_context(protocols: tuple[str, ...]) -> ssl.SSLContext:
    """TLS context that verifies certificates and names; offers `protocols` by ALPN.

    Trusts the machine's authorities (`SSL_CERT_FILE` if set).
    """
    context = ssl.create_default_context(cadata=of_machine())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    return context
