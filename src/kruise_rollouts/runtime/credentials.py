"""Who we are to the API server: a fixed token or certificate, a token file, or a program that hands out either.

Blocking code (files, subprocesses), called in a thread by client.py. Where credentials are configured is
kubeconfig.py's matter.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject

TOKEN_FILE_LIFE = timedelta(seconds=60)  # a projected token is replaced on disk long before it expires
EXPIRY_SKEW = timedelta(seconds=30)
EXEC_SECONDS = 60.0
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class CredentialError(Exception):
    """There are no usable credentials; the message says what to do."""


class Proof(Struct, frozen=True):
    """What to show the API server with a request."""

    headers: dict[str, str] = {}
    certificate: bytes = b""  # PEM; b"" for none
    key: bytes = b""  # PEM


class Credentials(Protocol):
    """Where proofs come from."""

    def current(self, now: datetime) -> Proof | None:
        """The proof at hand; None if it must be fetched."""
        ...

    def fetch(self, now: datetime) -> Proof:
        """A fresh proof. May block. Raises CredentialError."""
        ...


class Fixed:
    """Credentials that never change."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof

    def current(self, now: datetime) -> Proof | None:
        return self._proof

    def fetch(self, now: datetime) -> Proof:
        return self._proof


class TokenFile:
    """A bearer token in a file that somebody keeps fresh; read again every minute."""

    def __init__(self, path: Path, base: Proof) -> None:
        self._path = path
        self._base = base
        self._proof: Proof | None = None
        self._until: datetime | None = None

    def current(self, now: datetime) -> Proof | None:
        return self._proof if self._until is not None and now < self._until else None

    def fetch(self, now: datetime) -> Proof:
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise CredentialError(f"the token file {self._path} cannot be read: {error.strerror}") from error
        if not token:
            raise CredentialError(f"the token file {self._path} is empty")
        headers = {**self._base.headers, "Authorization": f"Bearer {token}"}
        self._proof = msgspec.structs.replace(self._base, headers=headers)
        self._until = now + TOKEN_FILE_LIFE
        return self._proof


class ExecConfig(Struct, frozen=True, rename="camel"):
    """users[].user.exec of a kubeconfig."""

    command: str
    api_version: str = EXEC_VERSIONS[0]
    args: tuple[str, ...] | None = ()
    env: tuple[dict[str, str], ...] | None = ()
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = "IfAvailable"


class _ExecStatus(Struct, frozen=True, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    status: _ExecStatus | None = None


_credential = msgspec.json.Decoder(_ExecCredential).decode


class Exec:
    """A program that prints an ExecCredential; run again when that expires or is refused."""

    def __init__(
        self, config: ExecConfig, base: Proof, *, cluster: JsonObject, environ: Mapping[str, str]
    ) -> None:
        """`cluster`: spec.cluster for KUBERNETES_EXEC_INFO, given only if the kubeconfig says so."""
        self._config = config
        self._base = base
        self._cluster = cluster
        self._environ = environ
        self._proof: Proof | None = None
        self._expires: datetime | None = None

    def current(self, now: datetime) -> Proof | None:
        if self._expires is not None and now >= self._expires - EXPIRY_SKEW:
            return None
        return self._proof

    def fetch(self, now: datetime) -> Proof:
        printed = _credential_of(self._config.command, self._run())
        status = printed.status
        if printed.api_version != self._config.api_version:
            raise CredentialError(
                f"{self._config.command} printed an ExecCredential of {printed.api_version or 'no version'}, "
                f"the kubeconfig asks for {self._config.api_version}: set users[].user.exec.apiVersion to match"
            )
        if status is None or not (status.token or status.client_certificate_data):
            raise CredentialError(f"{self._config.command} printed neither a token nor a certificate")
        if status.expiration_timestamp is not None and status.expiration_timestamp <= now:
            raise CredentialError(
                f"{self._config.command} gave credentials that expired on {status.expiration_timestamp}: "
                "log in again with your cloud's tool, and check this machine's clock"
            )
        headers = dict(self._base.headers)
        if status.token:
            headers["Authorization"] = f"Bearer {status.token}"
        self._proof = Proof(
            headers, status.client_certificate_data.encode() or b"", status.client_key_data.encode() or b""
        )
        self._expires = status.expiration_timestamp
        return self._proof

    def _run(self) -> bytes:
        import subprocess  # here, because few need it and every command of the plugin would wait for it

        config = self._config
        interactive = config.interactive_mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
        if config.interactive_mode == "Always" and not interactive:
            raise CredentialError(f"{config.command} wants to ask you something, and there is no terminal")
        spec: JsonObject = {"interactive": interactive}
        if config.provide_cluster_info:
            spec["cluster"] = self._cluster
        info = {"kind": "ExecCredential", "apiVersion": config.api_version, "spec": spec}
        environ = dict(self._environ)
        environ.update({e.get("name", ""): e.get("value", "") for e in config.env or ()})
        environ["KUBERNETES_EXEC_INFO"] = msgspec.json.encode(info).decode()
        try:
            done = subprocess.run(
                [config.command, *(config.args or ())],
                env=environ,
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if interactive else subprocess.PIPE,
                timeout=None if interactive else EXEC_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            hint = f"\n{config.install_hint.strip()}" if config.install_hint else ": install it"
            raise CredentialError(
                f"the kubeconfig gets credentials from {config.command}, not found{hint}"
            ) from error
        except OSError as error:
            raise CredentialError(f"{config.command} cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise CredentialError(f"{config.command} gave no credentials in {EXEC_SECONDS:g} s") from error
        if done.returncode != 0:
            said = (done.stderr or b"").decode("utf-8", "replace").strip()[-500:]
            raise CredentialError(
                f"{config.command} gave no credentials (exit code {done.returncode}): {said or 'it said nothing'}"
            )
        return done.stdout


def _credential_of(command: str, printed: bytes) -> _ExecCredential:
    try:
        found = _credential(printed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CredentialError(f"{command} printed no ExecCredential: {error}") from error
    if found.kind != "ExecCredential":
        raise CredentialError(
            f"{command} printed a {found.kind or 'thing without kind'}, not an ExecCredential"
        )
    return found


def bearer(token: str) -> dict[str, str]:
    """Headers that show `token`."""
    return {"Authorization": f"Bearer {token}"}


def basic(user: str, password: str) -> dict[str, str]:
    """Headers that show a user name and password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def expired_on(certificate: bytes, now: datetime) -> datetime | None:
    """When the PEM `certificate` expired; None if it has not, or cannot be read."""
    from cryptography import x509  # costs 60 ms; wanted only once a server has refused us

    try:
        until = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError:
        return None
    return until if until <= now else None


def command_path(command: str, folder: Path) -> str:
    """A kubeconfig's exec command: one with a slash is relative to the kubeconfig's folder, others to PATH."""
    return str(folder / command) if os.sep in command and not os.path.isabs(command) else command
