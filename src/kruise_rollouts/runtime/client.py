"""The Api of a real server, over HTTPS: kept-alive connections, watches, credentials, errors.

No retries here beyond one with fresh credentials after a 401; who calls knows whether trying again makes sense,
and error.retry_after says when.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Callable, Mapping
from urllib.parse import urlsplit

import aiohttp

from kruise_rollouts import __version__
from kruise_rollouts.kube.errors import Unauthorized, Unavailable, error_of
from kruise_rollouts.kube.protocols import Clock

from .clock import WallClock
from .credentials import CredentialError, Proof, expired_on
from .kubeconfig import Connection
from .tls import tls_context

USER_AGENT = f"kruise-rollout/{__version__}"
REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 10.0
# A watch hears nothing for long; whether the other side is still there, the kernel asks after these seconds of
# silence, so often, and gives up after so many questions.
PROBE_AFTER, PROBE_EVERY, PROBES = 10, 5, 3
READ_BUFFER = 1 << 18  # bytes; large lists and event bursts come in large pieces
WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')

_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class HttpApi:
    """kube.protocols.Api over aiohttp. Use it as `async with HttpApi(connection) as api`, or close() it."""

    def __init__(
        self,
        connection: Connection,
        *,
        user_agent: str = USER_AGENT,
        on_warning: Callable[[str], None] = lambda text: None,
        on_answer: Callable[[str, int], None] = lambda method, status: None,
        clock: Clock | None = None,
    ) -> None:
        """`on_warning` is handed the text of each Warning header, `on_answer` each method and status (0: none)."""
        self.connection = connection
        self._on_warning = on_warning
        self._on_answer = on_answer
        self._clock = clock or WallClock()
        # identity: inflating a list costs more time than its transport inside a cluster
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": user_agent,
        }
        self._proxy = connection.proxy or _proxy_of(connection.server)
        self._session: aiohttp.ClientSession | None = None
        self._fetching = asyncio.Lock()
        self._tls: dict[bytes, ssl.SSLContext] = {}  # by client certificate

    async def __aenter__(self) -> HttpApi:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> bytes:
        """See kube.protocols.Api. `timeout`: seconds for the whole exchange."""
        headers = {"Content-Type": content_type} if body is not None else {}
        limit = aiohttp.ClientTimeout(total=timeout or REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            response = await self._send(method, path, params, headers, limit, body)
            async with response:
                answer = await response.read()
        except _BROKEN as error:
            raise self._broken(method, path, error) from error
        self._warn(response)
        if not 200 <= response.status < 300:
            raise self._refusal(response, answer)
        return answer

    async def watch(
        self, path: str, params: Mapping[str, str], *, idle_seconds: float
    ) -> AsyncGenerator[bytes, None]:
        """See kube.protocols.Api. Lines of any length."""
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=idle_seconds)
        try:
            response = await self._send("GET", path, params, {}, limit, None)
            async with response:
                self._warn(response)
                if response.status != 200:
                    raise self._refusal(response, await response.read())
                async for line in _lines(response.content):
                    yield line
        except _BROKEN as error:
            raise self._broken("GET", path, error) from error

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        limit: aiohttp.ClientTimeout,
        body: bytes | None,
    ) -> aiohttp.ClientResponse:
        """The response, its body unread; once more with fresh credentials after a 401."""
        proof = await self._proof(refused=None)
        for last in (False, True):
            response = await self._open().request(
                method,
                self.connection.server + path,
                params=params,
                data=body,
                headers={**headers, **proof.headers},
                timeout=limit,
                allow_redirects=False,
                ssl=self._tls_with(proof),
                server_hostname=self.connection.tls_server_name or None,
                proxy=self._proxy or None,
            )
            self._on_answer(method, response.status)
            if last or response.status != 401:
                break
            fresh = await self._proof(refused=proof)
            if fresh == proof:
                break
            response.release()
            proof = fresh
        return response

    async def _proof(self, *, refused: Proof | None) -> Proof:
        credentials = self.connection.credentials
        async with self._fetching:
            at_hand = credentials.current(self._clock.now())
            if at_hand is not None and at_hand != refused:
                return at_hand
            try:
                return await asyncio.to_thread(credentials.fetch, self._clock.now())
            except CredentialError as error:
                raise Unauthorized(str(error)) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=75, socket_factory=_probed_socket),
                read_bufsize=READ_BUFFER,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _tls_with(self, proof: Proof) -> ssl.SSLContext:
        context = self._tls.get(proof.certificate)
        if context is None:
            try:
                context = tls_context(self.connection, proof)
            except CredentialError as error:
                raise Unauthorized(str(error)) from error
            self._tls = {proof.certificate: context}
        return context

    def _warn(self, response: aiohttp.ClientResponse) -> None:
        for header in response.headers.getall("Warning", ()):
            for text in WARNING.findall(header):
                self._on_warning(re.sub(r"\\(.)", r"\1", text))

    def _refusal(self, response: aiohttp.ClientResponse, answer: bytes) -> Exception:
        seconds = response.headers.get("Retry-After", "")
        error = error_of(response.status, answer, float(seconds) if seconds.isdecimal() else None)
        if response.status == 401:
            proof = self.connection.credentials.current(self._clock.now())
            expired = (
                expired_on(proof.certificate, self._clock.now()) if proof and proof.certificate else None
            )
            why = (
                f"its client certificate expired on {expired:%Y-%m-%d}" if expired else "it may have expired"
            )
            return Unauthorized(
                f"the API server did not accept the credentials of {self.connection.source or 'this client'}: "
                f"{why}. Log in again, or use another kubeconfig"
            )
        return error

    def _broken(self, method: str, path: str, error: BaseException) -> Unavailable:
        self._on_answer(method, 0)
        match error:
            case aiohttp.ClientConnectorCertificateError():
                why = (
                    f"showed a certificate that is not trusted ({error.certificate_error}): "
                    f"check certificate-authority in {self.connection.source or 'the kubeconfig'}"
                )
            case aiohttp.ClientConnectorError():
                why = f"cannot be reached: {error.os_error.strerror or error.os_error}"
            case TimeoutError():
                why = "did not answer in time"
            case _:
                why = f"broke off: {error or type(error).__name__}"
        return Unavailable(f"{method} {path}: the API server {self.connection.server} {why}", code=0)


def _probed_socket(addr_info: aiohttp.AddrInfoType) -> socket.socket:
    """A connection that breaks when the other side has vanished without a word, instead of lasting for ever."""
    family, type_, proto, _, _ = addr_info
    made = socket.socket(family, type_, proto)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", PROBE_AFTER),
        ("TCP_KEEPINTVL", PROBE_EVERY),
        ("TCP_KEEPCNT", PROBES),
    ):
        if hasattr(socket, option):  # not all systems have all of them
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made


async def _lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Lines without their ends. aiohttp's readline refuses lines longer than its buffer; objects may be."""
    begun: list[bytes] = []
    async for chunk in content.iter_any():
        first, *rest = chunk.split(b"\n")
        begun.append(first)
        for piece in rest:
            line = b"".join(begun)
            begun = [piece]
            if line:
                yield line


def _proxy_of(server: str) -> str:
    """The environment's proxy for `server`; "" for none. Never one for this machine itself."""
    url = urlsplit(server)
    host = url.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or urllib.request.proxy_bypass(host):
        return ""
    return urllib.request.getproxies().get(url.scheme, "")
