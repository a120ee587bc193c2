"""Certificates for a SuperLink and keys for SuperNodes, made on this machine for this network."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP384R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from app.runs.flower.home import write_secret
from data.files import write_bytes

CA, CERTIFICATE, PRIVATE = "ca.pem", "server.pem", "server.key"
VALID = timedelta(days=825)
"""Longer ones are refused by some systems."""


def make_certificates(directory: Path, address: str) -> None:
    """A certificate authority of this network's own, whose key is not kept, and the SuperLink's certificate.

    Args:
        directory: where they lie afterwards.
        address: the host name or IP address by which nodes reach the SuperLink, beside localhost.
    """
    authority, server = generate_private_key(SECP384R1()), generate_private_key(SECP384R1())
    issuer = _name("PersaRank network")
    root = _certificate(issuer, authority, issuer, authority, x509.BasicConstraints(True, None))
    names = [_named(name) for name in dict.fromkeys(("localhost", "127.0.0.1", address))]
    own = _certificate(_name(address), server, issuer, authority, x509.SubjectAlternativeName(names))
    write_bytes(directory / CA, root.public_bytes(Encoding.PEM))
    write_bytes(directory / CERTIFICATE, own.public_bytes(Encoding.PEM))
    write_secret(directory / PRIVATE, server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def make_key(private: Path) -> Path:
    """A SuperNode's key, and beside it, under ``.pub``, what the SuperLink has to know of it."""
    key = generate_private_key(SECP384R1())
    write_secret(private, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = private.with_suffix(".pub")
    write_bytes(public, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    return public


def _certificate(
    subject: x509.Name,
    key: EllipticCurvePrivateKey,
    issuer: x509.Name,
    by: EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(by, hashes.SHA256())
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _named(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)
