"""Certificates of the webhook server: our own CA and a serving certificate. Bytes and times only.

Renewed half a year before they end. A new CA is published beside the old one before anything is served with it,
so that at no moment a caBundle and a served certificate can disagree. Where they are kept is certstore.py's matter.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

CA_NAME = "webhook-cert-ca"
LIFE = timedelta(days=3650)
RENEW_SERVING = timedelta(days=183)  # before its end
RENEW_CA = timedelta(days=365)  # before its end: no serving certificate outlives its CA
OVERLAP = timedelta(
    hours=1
)  # a new CA is published this long before it signs, an old one kept this long after
SKEW = timedelta(minutes=5)  # certificates begin in the past: clocks differ
KEY_BITS = 2048

PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
)  # ours are RSA; a given Secret may hold either


class Bundle(Struct, frozen=True):
    """What is served and what is trusted. All PEM."""

    ca_key: bytes
    ca_cert: bytes  # the CA that signs first, then older ones still to be trusted: the caBundle
    key: bytes
    cert: bytes


class _Serving(Struct, frozen=True):
    """A serving certificate as far as it can be read."""

    cert: x509.Certificate
    key: PrivateKey | None


def bundle_for(names: tuple[str, ...], now: datetime, have: Bundle | None) -> Bundle:
    """A Bundle good for `names` (DNS names or IP addresses; the first is the subject) for another half year.

    An equal one if `have` is good; otherwise as much of it as is. Slow (RSA keys are made): call it in a thread.
    """
    authorities, ca_key = _authorities(have)
    if not authorities or ca_key is None or not _lasts(authorities[0], now, RENEW_CA):
        ca_key, authority = _new_ca(now)
        authorities = [authority, *(a for a in authorities if _lasts(a, now, timedelta(0)))]
    signer = authorities[0]
    served = _serving(have)
    usable = served is not None and served.key is not None and _usable(served.cert, authorities, names, now)
    if served is None or served.key is None or not usable or (
        not _lasts(served.cert, now, RENEW_SERVING) and _begun(signer, now, OVERLAP)
    ):  # fmt: skip
        served = _new_serving(names, now, signer, ca_key)
    if _issued(served.cert, signer) and _begun(served.cert, now, OVERLAP):
        authorities = [signer]
    key = served.key if served.key is not None else ca_key
    return Bundle(_key_pem(ca_key), b"".join(map(_pem, authorities)), _key_pem(key), _pem(served.cert))


def ends(bundle: Bundle) -> datetime:
    """When the serving certificate of `bundle` ends."""
    return x509.load_pem_x509_certificate(bundle.cert).not_valid_after_utc


def _authorities(have: Bundle | None) -> tuple[list[x509.Certificate], PrivateKey | None]:
    """The trusted CAs of `have` and the key of the first; ([], None) if they cannot be read."""
    if have is None:
        return [], None
    try:
        found = x509.load_pem_x509_certificates(have.ca_cert)
    except ValueError:
        return [], None
    key = _private_key(have.ca_key)
    return found, key if key is not None and key.public_key() == found[0].public_key() else None


def _serving(have: Bundle | None) -> _Serving | None:
    """What `have` serves; its key is None if it is another's."""
    if have is None:
        return None
    try:
        cert = x509.load_pem_x509_certificate(have.cert)
    except ValueError:
        return None
    key = _private_key(have.key)
    return _Serving(cert, key if key is not None and key.public_key() == cert.public_key() else None)


def _private_key(pem: bytes) -> PrivateKey | None:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, PrivateKey) else None


def _usable(
    cert: x509.Certificate, authorities: list[x509.Certificate], names: tuple[str, ...], now: datetime
) -> bool:
    """Whether an API server that trusts `authorities` accepts `cert` for all `names` now."""
    try:
        present = set(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return False
    trusted = any(_issued(cert, a) and _lasts(a, now, timedelta(0)) for a in authorities)
    return trusted and _lasts(cert, now, timedelta(0)) and present >= {_general_name(n) for n in names}


def _issued(cert: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _lasts(cert: x509.Certificate, now: datetime, ahead: timedelta) -> bool:
    return cert.not_valid_before_utc <= now and now + ahead < cert.not_valid_after_utc


def _begun(cert: x509.Certificate, now: datetime, ago: timedelta) -> bool:
    """Whether `cert` was made at least `ago`."""
    return cert.not_valid_before_utc + SKEW + ago <= now


def new_key() -> PrivateKey:
    """RSA, as older readers of the Secret expect."""
    return rsa.generate_private_key(65537, KEY_BITS)


def _new_ca(now: datetime) -> tuple[PrivateKey, x509.Certificate]:
    key = new_key()
    # The serial number makes the name of each CA its own: verifiers pick an issuer by name.
    serial = x509.random_serial_number()
    name = _name(CA_NAME, f"{serial:x}"[:16])
    usage = _usage(key_cert_sign=True)
    builder = _builder(name, name, key, now, serial)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return key, builder.sign(key, hashes.SHA256())


def _new_serving(
    names: tuple[str, ...], now: datetime, signer: x509.Certificate, signer_key: PrivateKey
) -> _Serving:
    key = new_key()
    builder = _builder(_name(names[0][:64]), signer.subject, key, now, x509.random_serial_number())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return _Serving(builder.sign(signer_key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(
            issuer, subject, key.public_key(), serial, now - SKEW, now + LIFE
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )  # fmt: skip


def _usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str, serial: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if serial:
        parts.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
    return x509.Name(parts)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: PrivateKey) -> bytes:
    """PKCS#1 (SEC 1 for elliptic curves), the form older readers of the Secret expect."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
