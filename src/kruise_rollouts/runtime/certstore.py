"""Keeps the webhook certificates: in a Secret all replicas share, or in a folder; and in the server's SSLContext.

`CertKeeper` makes, renews, reloads and hands out; what is in a Bundle and when it is renewed is certs.py's matter,
what is done with its caBundle is the caller's.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Protocol

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.errors import AlreadyExists, ApiError, Conflict
from kruise_rollouts.kube.objects import SECRET, Meta
from kruise_rollouts.kube.protocols import Api, Clock

from .apply import MERGE_PATCH
from .certs import Bundle, bundle_for
from .clock import within
from .fetch import get_object
from .log import log_of

log = log_of(__name__)

CHECK_SECONDS = (
    600.0  # between looks at the Secret: another replica may have renewed it; less than certs.OVERLAP
)
RETRY_SECONDS = 5.0
# After a look; doubles until nobody has asked for a while: others may be writing against us.
CALM_SECONDS = 0.5
RACES = 5


class _Secret(Struct, frozen=True):
    metadata: Meta = Meta()
    data: dict[str, bytes] | None = None  # msgspec decodes base64 into bytes


class Store(Protocol):
    """Where a Bundle lives between restarts."""

    async def load(self) -> Bundle | None:
        """What is kept; None if nothing usable is."""
        ...

    async def save(self, bundle: Bundle) -> bool:
        """Keeps `bundle` in place of what load() gave; False if somebody else was faster. Raises ApiError, OSError."""
        ...


class SecretStore:
    """A Secret; its labels and other data stay as they are."""

    def __init__(self, api: Api, ns: str, name: str) -> None:
        self._api = api
        self._ns = ns
        self._name = name
        self._loaded: _Secret | None = None

    async def load(self) -> Bundle | None:
        self._loaded = await get_object(self._api, SECRET, self._ns, self._name, _Secret)
        data = (self._loaded.data if self._loaded else None) or {}
        ca_key, ca_cert = data.get("ca-key.pem", b""), data.get("ca-cert.pem", b"")
        key, cert = data.get("key.pem", b""), data.get("cert.pem", b"")
        return Bundle(ca_key, ca_cert, key, cert) if ca_cert else None

    async def save(self, bundle: Bundle) -> bool:
        data = {
            "ca-key.pem": bundle.ca_key,
            "ca-cert.pem": bundle.ca_cert,
            "key.pem": bundle.key,
            "tls.key": bundle.key,
            "cert.pem": bundle.cert,
            "tls.crt": bundle.cert,
        }
        try:
            if self._loaded is None:
                meta = {"name": self._name, "namespace": self._ns}
                body = {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": meta,
                    "type": "Opaque",
                    "data": data,
                }
                await self._api.request("POST", SECRET.path(self._ns), body=msgspec.json.encode(body))
            else:
                at = {"resourceVersion": self._loaded.metadata.resource_version}
                await self._api.request(
                    "PATCH",
                    SECRET.path(self._ns, self._name),
                    body=msgspec.json.encode({"metadata": at, "data": data}),
                    content_type=MERGE_PATCH,
                )
        except (AlreadyExists, Conflict):
            return False
        return True


class FolderStore:
    """Files of one process; for a manager outside of the cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def load(self) -> Bundle | None:
        try:
            names = ("ca-key.pem", "ca-cert.pem", "key.pem", "cert.pem")
            return Bundle(*[(self._folder / name).read_bytes() for name in names])
        except FileNotFoundError:
            return None

    async def save(self, bundle: Bundle) -> bool:
        write_private(self._folder / "ca-key.pem", bundle.ca_key)
        write_files(self._folder, bundle)
        return True


class CertKeeper:
    """Keeps the served certificate good: `ensure()` once before listening, then `run()` as a task."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        names: tuple[str, ...],
        folder: Path,
        on_bundle: Callable[[Bundle], Awaitable[None]],
        rng: Random | None = None,
    ) -> None:
        """`on_bundle` is told the Bundle after each look, changed or not: what depends on it heals. It may raise
        ApiError; `names` as for bundle_for; `folder` gets the files that are served."""
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._store = store
        self._clock = clock
        self._names = names
        self._folder = folder
        self._on_bundle = on_bundle
        self._rng = rng or Random()
        self._bundle: Bundle | None = None  # as served
        self._asked = asyncio.Event()

    def look_again(self) -> None:
        """Something that is kept here has changed: run() looks now."""
        self._asked.set()

    async def ensure(self) -> Bundle:
        """The Bundle now served. Raises ApiError or OSError; what was served before then goes on."""
        for _ in range(RACES):
            have = await self._store.load()
            known = have or self._bundle  # of a deleted Secret: what we serve is already trusted
            bundle = await asyncio.to_thread(bundle_for, self._names, self._clock.now(), known)
            if bundle == have or await self._store.save(bundle):
                break
        else:
            raise Conflict("the certificates are being changed by others all the time")
        if bundle != self._bundle:
            await asyncio.to_thread(self._serve, bundle)
            self._bundle = bundle
            log.info("serving certificate loaded")
        await self._on_bundle(bundle)
        return bundle

    async def run(self) -> None:
        """Looks again and again until cancelled."""
        pause, calm = CHECK_SECONDS, CALM_SECONDS
        while True:
            try:
                await within(self._clock, pause * self._rng.uniform(0.9, 1.0), self._asked.wait())
            except TimeoutError:
                calm = CALM_SECONDS
            self._asked.clear()
            try:
                await self.ensure()
                pause = CHECK_SECONDS
            except (ApiError, OSError, msgspec.MsgspecError) as error:
                log.warning("certificates could not be checked", error=str(error))
                pause = RETRY_SECONDS
            await self._clock.sleep(calm)
            calm = min(calm * 2, CHECK_SECONDS)

    def _serve(self, bundle: Bundle) -> None:
        """New connections get the new certificate; ssl reads it from files only."""
        write_files(self._folder, bundle)
        self.tls.load_cert_chain(self._folder / "tls.crt", self._folder / "tls.key")


def write_files(folder: Path, bundle: Bundle) -> None:
    """What is served, readable by nobody else. The CA's key is not among it."""
    for name, content in (
        ("tls.key", bundle.key),
        ("key.pem", bundle.key),
        ("tls.crt", bundle.cert),
        ("cert.pem", bundle.cert),
        ("ca-cert.pem", bundle.ca_cert),
    ):
        write_private(folder / name, content)


def write_private(path: Path, content: bytes) -> None:
    """Replaces `path` in one step; only this user may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise
