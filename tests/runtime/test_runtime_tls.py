"""TLS to an API server, as the manager and the plugin have it."""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kruise_rollouts.runtime.certs import bundle_for
from kruise_rollouts.runtime.credentials import CredentialError, Proof
from kruise_rollouts.runtime.kubeconfig import Connection
from kruise_rollouts.runtime.tls import tls_context

BUNDLE = bundle_for(("localhost",), datetime(2026, 1, 1, tzinfo=UTC), None)


class _Nobody:
    async def proof(self, fresh: bool = False) -> Proof:
        raise AssertionError("nobody asks here")


def connection(ca: str = "", insecure: bool = False) -> Connection:
    return Connection("https://localhost", _Nobody(), ca=ca, insecure=insecure)  # type: ignore[arg-type]


def test_a_cluster_whose_ca_is_of_an_older_tool_is_reached_with_a_newer_python() -> None:
    context = tls_context(connection(ca=BUNDLE.ca_cert.decode()), Proof())
    assert not context.verify_flags & ssl.VerifyFlags.VERIFY_X509_STRICT
    assert context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED


def test_who_asks_not_to_verify_is_not_verified_for() -> None:
    context = tls_context(connection(insecure=True), Proof())
    assert (context.check_hostname, context.verify_mode) == (False, ssl.CERT_NONE)


def test_a_client_certificate_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tls_context(connection(), Proof(certificate=BUNDLE.cert, key=BUNDLE.key))
    with pytest.raises(CredentialError, match=r"the certificates of .* cannot be used"):
        tls_context(connection(), Proof(certificate=b"none", key=b"none"))
    assert not list(tmp_path.iterdir())
