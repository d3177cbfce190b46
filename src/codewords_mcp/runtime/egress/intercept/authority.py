"""Certificate authorities of sandboxes: in memory only, and trusted in sandboxes only.

A sandbox with host rules has one of its own, limited to the rules' hosts. Recorded sandboxes share one.
"""

from __future__ import annotations

import functools
import os
import ssl
import tempfile
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from codewords_mcp.runtime.model.addresses import parse_address
from codewords_mcp.runtime.sandboxes import authorities

LIFETIME: Final = timedelta(days=90)
MAX_CONTEXTS: Final = 500
"""Certificates in memory, for a sandbox that connects to any host."""
# A machine whose clock is behind must trust the certificate too.
_SKEW: Final = timedelta(days=1)


class CertificateAuthority:
    """Signs certificates for `hosts`, to which its own certificate is limited (RFC 5280, 4.2.1.10);
    None for any.
    """

    def __init__(self, hosts: Collection[str] | None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CodeWords sandbox authority")])
        self._contexts: dict[tuple[str, str | None], ssl.SSLContext] = {}
        self.made_at = time.monotonic()
        self._certificate = self._certify_itself(hosts)

    @functools.cached_property
    def pem(self) -> str:
        """The certificate that the sandbox must trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def context(self, host: str, protocol: str | None) -> ssl.SSLContext:
        """Context to serve `host` over one protocol ("h2", "http/1.1"; None: none is agreed on), cached up to
        `MAX_CONTEXTS`. A handshake that names another host fails with the reason "CALLBACK_FAILED".
        """
        known = self._contexts.get((host, protocol))
        # One context for each host: its certificate names that host only.
        if known is None:
            # Cleared whole, since certificates can be made again.
            if len(self._contexts) >= MAX_CONTEXTS:
                self._contexts.clear()
            known = self._contexts[(host, protocol)] = self._make_context(host, protocol)
        return known

    def _certify_itself(self, hosts: Collection[str] | None) -> x509.Certificate:
        public = self._key.public_key()
        draft = (
            self._draft(self._name, public)
            # path_length 0: a leaf cannot sign another certificate.
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        if hosts is not None:
            # Critical: a client that does not know name constraints must reject the authority.
            limits = [x509.DNSName(host) for host in sorted(set(hosts))]
            draft = draft.add_extension(x509.NameConstraints(limits, None), critical=True)

        return draft.sign(self._key, hashes.SHA256())

    def _draft(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=public,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - _SKEW,
            not_valid_after=now + LIFETIME,
        )

    @functools.cached_property
    def _leaf_key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def _make_context(self, host: str, protocol: str | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if protocol is not None:
            context.set_alpn_protocols([protocol])
        _load(context, self._chain(host))

        def named(_: Any, name: str | None, __: ssl.SSLContext) -> int | None:
            # Without SNI the certificate alone has to match.
            if name is None or name.lower().removesuffix(".") == host:
                return None
            return int(ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)

        context.sni_callback = named

        return context

    def _chain(self, host: str) -> bytes:
        """The host's certificate and its key, in PEM."""
        public = self._leaf_key.public_key()
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._draft(x509.Name([]), public)
            # The name is here alone, and so critical (RFC 5280, 4.2.1.6): a common name has 64
            # characters at most.
            .add_extension(x509.SubjectAlternativeName([_named(host)]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(own, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        key = self._leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

        return certificate.public_bytes(serialization.Encoding.PEM) + key


def shared_authority() -> CertificateAuthority:
    """The authority of this process's recorded sandboxes; a new one for new sandboxes long before it expires."""
    if time.monotonic() - _shared().made_at > LIFETIME.total_seconds() / 3:
        _shared.cache_clear()
    return _shared()


@functools.lru_cache(maxsize=1)
def _shared() -> CertificateAuthority:
    authority = CertificateAuthority(None)
    authorities.share(authority.pem)
    return authority


def _named(host: str) -> x509.GeneralName:
    address = parse_address(host)
    if address is None:
        return x509.DNSName(host)
    return x509.IPAddress(address)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _load(context: ssl.SSLContext, chain: bytes) -> None:
    """Load a chain."""
    # Python's ssl reads it from a file only: an anonymous one where the kernel has it, so that the
    # key is on no disk.
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("chain", os.MFD_CLOEXEC)
        try:
            os.write(fd, chain)
            context.load_cert_chain(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)

        return

    with tempfile.NamedTemporaryFile() as file:
        file.write(chain)
        file.flush()
        context.load_cert_chain(file.name)
