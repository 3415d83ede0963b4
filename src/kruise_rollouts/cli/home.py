"""The folder of a sandbox: its certificate, its administrator's token, its kubeconfig and, if kept, its objects.

With --data it outlives the process, and a restart has the same address and the same credentials, so that a kubeconfig
once exported goes on working. Without, it is a temporary folder that is removed in the end.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from kruise_rollouts.runtime.credentials import Fixed
from kruise_rollouts.runtime.kubeconfig import KubeconfigError, from_files
from kruise_rollouts.sandbox.wire.listen import (
    Identity,
    kept_identity,
    kubeconfig,
    make_identity,
    write_kubeconfig,
)

from .errors import refusal


class Home(Struct, frozen=True):
    folder: Path
    kept: bool  # whether objects are kept here, too
    identity: Identity
    token: str  # the administrator's
    port: int  # to listen on; 0 for any

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def publish(self, url: str) -> None:
        """Writes the kubeconfig for a server at `url`."""
        write_kubeconfig(self.kubeconfig, kubeconfig(url, self.identity, self.token))


@contextmanager
def home(data: str, port: int, now: datetime) -> Iterator[Home]:
    """The folder `data`, or a temporary one if that is "". `port`: what was asked for, 0 for nothing.

    Raises CommandError if the folder cannot be used.
    """
    if not data:
        folder = Path(tempfile.mkdtemp(prefix="kruise-sandbox-"))
        try:
            yield Home(folder, False, make_identity(now), secrets.token_hex(16), port)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    folder = Path(data).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise refusal(
            f"--data {data} cannot be used: {error.strerror}. Choose a folder of your own"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        token, kept_port = _before(folder)
        yield Home(folder, True, kept_identity(folder, now), token, port or kept_port)
    except BlockingIOError:
        raise refusal(f"another sandbox runs on {folder}. Stop it, or choose another --data") from None
    finally:
        os.close(lock)


def _before(folder: Path) -> tuple[str, int]:
    """Token and port of the last time; a new token and 0 if there was none."""
    try:
        last = from_files([folder / "kubeconfig"], must_exist=True)
    except KubeconfigError:
        return secrets.token_hex(16), 0
    if not isinstance(last.credentials, Fixed):
        return secrets.token_hex(16), 0
    shown = last.credentials.fetch(datetime.min).headers.get("Authorization", "")
    return shown.removeprefix("Bearer ") or secrets.token_hex(16), urlsplit(last.server).port or 0
