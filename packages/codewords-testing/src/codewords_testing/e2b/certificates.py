"""A certificate authority of the loopback E2B's own, and a certificate for every name below its domain."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAYS = timedelta(days=30)


def make(folder: Path, domain: str) -> tuple[Path, ssl.SSLContext]:
    """The authority's certificate in a PEM file, and a context that serves `domain` and what is below it."""
    authority_key, authority = _certificate("Loopback E2B", None, None, [])
    key, leaf = _certificate(domain, authority, authority_key, [domain, f"*.{domain}"])
    trusted, served = folder / "ca.pem", folder / "leaf.pem"
    trusted.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    # Before the key is written, so that nobody else can read it even for a moment.
    served.touch(mode=0o600)
    served.write_bytes(
        leaf.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served)
    # The edge speaks HTTP/1.1 alone, so a client must not choose HTTP/2.
    context.set_alpn_protocols(["http/1.1"])

    return trusted, context


def _certificate(
    name: str,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey | None,
    names: list[str],
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signer = issuer_key or key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A clock that is behind must accept it too.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _DAYS)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(_usage(authority=issuer is None), critical=True)
    )

    if names:
        # Clients check these names and no longer the common name (RFC 9525).
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)

    return key, builder.sign(signer, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip
