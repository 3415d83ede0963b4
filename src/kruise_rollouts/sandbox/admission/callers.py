"""How the sandbox reaches webhooks: over HTTPS, or a handler in this process.

A `Caller` posts a review to a URL. `AppCaller` hands it to a registered handler and passes anything else on;
`HttpCaller` connects, with a service's address looked up in the Endpoints of the sandbox. What a review says is
webhooks.py's and custom/conversion.py's matter.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.protocols import Clock
from kruise_rollouts.runtime.clock import within
from kruise_rollouts.sandbox.store import Store

Respond: TypeAlias = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]  # path, body -> status, body

_CERTIFICATE_FAULTS = {10: "certificate has expired or is not yet valid"}
_UNKNOWN_AUTHORITY = "certificate signed by unknown authority"
_WRONG_NAME = (62, 64)  # OpenSSL: the certificate is for another host, another address


class CallFailed(Exception):
    """No answer; the message says why, in the words Kubernetes puts after `Post "<url>": `."""


class Caller(Protocol):
    """Posts reviews."""

    async def post(self, url: str, body: bytes, ca_bundle: bytes, timeout: float) -> tuple[int, bytes]:
        """Status and body of the answer. `ca_bundle` is PEM, b"" for the system's; `timeout` in seconds.

        Raises CallFailed.
        """
        ...


def service_url(service: JsonObject) -> str:
    """The URL of a clientConfig's service, without a query."""
    path = str(service.get("path") or "/")
    port = service.get("port") or 443
    return f"https://{service['name']}.{service['namespace']}.svc:{port}{path if path.startswith('/') else '/' + path}"


class NoCaller:
    """For a sandbox that calls nobody."""

    async def post(self, url: str, body: bytes, ca_bundle: bytes, timeout: float) -> tuple[int, bytes]:
        host, port = urlsplit(url).hostname or "", urlsplit(url).port or 443
        if _is_address(host):
            raise CallFailed(f"dial tcp {host}:{port}: connect: connection refused")
        raise CallFailed(f"dial tcp: lookup {host}: no such host")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class AppCaller:
    """Hands reviews for registered hosts to handlers in this process."""

    def __init__(self, clock: Clock, otherwise: Caller | None = None) -> None:
        self._clock = clock
        self._otherwise: Caller = otherwise if otherwise is not None else NoCaller()
        self._apps: dict[str, Respond] = {}

    def register(self, host: str, respond: Respond) -> None:
        """`respond(path, body)` answers for `host`, with or without a port: "name.namespace.svc", "127.0.0.1:9443"."""
        self._apps[host] = respond

    def unregister(self, host: str) -> None:
        self._apps.pop(host, None)

    async def post(self, url: str, body: bytes, ca_bundle: bytes, timeout: float) -> tuple[int, bytes]:
        parts = urlsplit(url)
        respond = self._apps.get(parts.netloc) or self._apps.get(parts.hostname or "")
        if respond is None:
            return await self._otherwise.post(url, body, ca_bundle, timeout)
        try:
            return await within(self._clock, timeout, respond(parts.path, body))
        except TimeoutError:
            raise CallFailed("context deadline exceeded") from None


class Services:
    """Finds where a service of the sandbox really listens."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, host: str, port: int) -> tuple[str, int]:
        """Address and port to connect to. Hosts that are no service stand for themselves. Raises CallFailed."""
        name, ns, *rest = [*host.split("."), "", ""]
        if rest[:1] != ["svc"]:
            return host, port
        service = self._store.get("", "services", ns, name)
        if service is None:
            raise CallFailed(f'service "{name}" not found')
        ports = [p for p in service["spec"].get("ports") or () if p.get("port") == port]
        if not ports:
            raise CallFailed(f'no service port {port} found for service "{name}"')
        for address, target in self._ready(ns, name, str(ports[0].get("name") or "")):
            return address, target
        raise CallFailed(f'no endpoints available for service "{name}"')

    def _ready(self, ns: str, name: str, port: str) -> list[tuple[str, int]]:
        endpoints: Json = self._store.get("", "endpoints", ns, name) or {}
        return [
            (a["ip"], p["port"])
            for subset in endpoints.get("subsets") or ()
            for a in subset.get("addresses") or ()
            for p in subset.get("ports") or ()
            if str(p.get("name") or "") == port
        ]


class HttpCaller:
    """HTTPS. Connections are kept; `aclose` ends them."""

    def __init__(self, resolve: Callable[[str, int], tuple[str, int]]) -> None:
        self._resolve = resolve
        self._trust: dict[bytes, ssl.SSLContext] = {}
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, url: str, body: bytes, ca_bundle: bytes, timeout: float) -> tuple[int, bytes]:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        address, target = self._resolve(host, port)
        at = urlunsplit((parts.scheme, f"{address}:{target}", parts.path, parts.query, ""))
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with self._session.post(
                at,
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "Accept": "application/json, */*",
                    "Host": parts.netloc,
                },
                ssl=self._context(ca_bundle),
                server_hostname=host if address != host else None,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as answer:
                return answer.status, await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise CallFailed(_why(error, host, f"{address}:{target}")) from error

    def _context(self, ca_bundle: bytes) -> ssl.SSLContext:
        found = self._trust.get(ca_bundle)
        if found is None:
            try:
                found = ssl.create_default_context(cadata=ca_bundle.decode() or None)
            except (ssl.SSLError, ValueError):
                raise CallFailed(
                    "unable to load root certificates: unable to parse bytes as PEM block"
                ) from None
            # Certificates that cert-manager and others issue lack what newer OpenSSL insists on.
            found.verify_flags &= ~ssl.VERIFY_X509_STRICT
            self._trust[ca_bundle] = found
        return found


def _why(error: Exception, host: str, address: str) -> str:
    if isinstance(error, TimeoutError):
        return "context deadline exceeded"
    inner = error.__cause__ if isinstance(error.__cause__, OSError) else getattr(error, "os_error", error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
    if isinstance(inner, ssl.SSLCertVerificationError):
        if inner.verify_code in _WRONG_NAME:
            return f"tls: failed to verify certificate: x509: certificate is not valid for {host}"
        fault = _CERTIFICATE_FAULTS.get(inner.verify_code, _UNKNOWN_AUTHORITY)
        return f"tls: failed to verify certificate: x509: {fault}"
    if isinstance(inner, ssl.SSLError):
        return "tls: first record does not look like a TLS handshake"
    if isinstance(inner, socket.gaierror):
        return f"dial tcp: lookup {host}: no such host"
    if isinstance(inner, OSError) and inner.errno == errno.ECONNREFUSED:
        return f"dial tcp {address}: connect: connection refused"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    return str(error)
