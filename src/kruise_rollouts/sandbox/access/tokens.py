"""Tokens of service accounts: signed JWTs as Kubernetes issues them, and what they say about their holder."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.sandbox.request import Response

ISSUER = "https://kubernetes.default.svc"
KEYS = "/openid/v1/jwks"
_CACHED = (("Cache-Control", "public, max-age=3600"),)
_PADDING, _HASH = padding.PKCS1v15(), hashes.SHA256()


class TokenError(ValueError):
    """The text is no token that was issued here."""


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _keep(file: Path, key: rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    part = file.with_suffix(".part")
    part.touch(0o600)
    part.write_bytes(pem)
    part.replace(file)


class Signer:
    """Signs and reads tokens with a key made when it is first needed (that takes a moment).

    `file`: where the key is kept, so that tokens outlive the process; None for nowhere.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        file = self._file
        if file is not None and file.exists():
            kept = serialization.load_pem_private_key(file.read_bytes(), None)
            if not isinstance(kept, rsa.RSAPrivateKey):
                raise ValueError(f"{file} is no key that tokens can be signed with")
            return kept
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if file is not None:
            _keep(file, key)
        return key

    @cached_property
    def key_id(self) -> str:
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return _encode(hashlib.sha256(public).digest())

    def sign(self, claims: JsonObject) -> str:
        """A JWT (RS256) with `claims`."""
        header = {"alg": "RS256", "kid": self.key_id}
        signed = f"{_encode(msgspec.json.encode(header))}.{_encode(msgspec.json.encode(claims))}"
        return f"{signed}.{_encode(self._key.sign(signed.encode(), _PADDING, _HASH))}"

    def read(self, token: str) -> JsonObject:
        """The claims of a token signed here. Raises TokenError; whether it has expired is not looked at."""
        signed, _, signature = token.rpartition(".")
        if signed.count(".") != 1:
            raise TokenError("not a JWT")
        try:
            self._key.public_key().verify(_decode(signature), signed.encode(), _PADDING, _HASH)
            claims = msgspec.json.decode(_decode(signed.split(".")[1]))
        except (InvalidSignature, binascii.Error, msgspec.MsgspecError, UnicodeError) as error:
            raise TokenError("not signed here") from error
        if not isinstance(claims, dict):
            raise TokenError("no claims")
        return claims

    def public_keys(self) -> JsonObject:
        """The JWKS document of /openid/v1/jwks."""
        numbers = self._key.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        key = {
            "use": "sig",
            "kty": "RSA",
            "kid": self.key_id,
            "alg": "RS256",
            "n": _encode(numbers.n.to_bytes(size, "big")),
            "e": _encode(numbers.e.to_bytes(3, "big")),
        }
        return {"keys": [key]}


def open_id(signer: Signer, address: Callable[[], str]) -> dict[str, Callable[[], Response]]:
    """The documents with which others verify tokens, by path. `address`: host:port of the server now."""

    def issuer() -> Response:
        document = {
            "issuer": ISSUER,
            "jwks_uri": f"https://{address()}{KEYS}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return Response(200, msgspec.json.encode(document), headers=_CACHED)

    def keys() -> Response:
        return Response(200, msgspec.json.encode(signer.public_keys()), "application/jwk-set+json", _CACHED)

    return {"/.well-known/openid-configuration": issuer, KEYS: keys}
