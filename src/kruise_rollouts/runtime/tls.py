"""TLS to an API server, the same for the manager and for the plugin."""

from __future__ import annotations

import contextlib
import os
import ssl

from .credentials import CredentialError, Proof
from .kubeconfig import Connection


def tls_context(connection: Connection, proof: Proof) -> ssl.SSLContext:
    """Trust in the connection's CA, with the proof's client certificate.

    Raises CredentialError if one of them cannot be read.
    """
    try:
        context = ssl.create_default_context(cadata=connection.ca or None)
        # CAs made by older cluster tools lack extensions that newer Pythons insist on.
        context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
        if connection.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if proof.certificate:
            _load_pair(context, proof)
    except ssl.SSLError as error:
        raise CredentialError(f"the certificates of {connection.source} cannot be used: {error}") from error
    return context


def _load_pair(context: ssl.SSLContext, proof: Proof) -> None:
    """ssl reads client certificates from files only: a private one, removed at once."""
    import tempfile  # here, because few need it and every command of the plugin would wait for it

    descriptor, name = tempfile.mkstemp(prefix="kruise-rollout-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(proof.certificate + b"\n" + proof.key)
        context.load_cert_chain(name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
