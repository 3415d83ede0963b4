"""The sandbox on a socket: HTTPS on loopback with a certificate of its own, and a kubeconfig that trusts it.

Nothing is decided here: a request becomes a `Request`, the server's `Response` is written back.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import re
import ssl
import tempfile
from asyncio.sslproto import SSLProtocol
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import msgspec
from aiohttp import HttpVersion11, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct
from multidict import CIMultiDict

from kruise_rollouts.kube.errors import TooLarge
from kruise_rollouts.sandbox.request import Query, Request, Response
from kruise_rollouts.sandbox.server import Server, refusal

LIMIT_BYTES = 3 * 1024 * 1024  # of a body
HEAD_BYTES = 1 << 20  # of the path, and of each header
AT_ONCE_BYTES = (
    1 << 18
)  # of an answer, and of what its client has not read yet, that are written without waiting
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
LIFETIME = timedelta(days=3650)


# asyncio gives every TLS connection a buffer of 256 KiB and fills it: a thousand idle clients would cost 250 MiB. A
# record of TLS has at most 16 KiB, so less is enough. (uvloop has buffers of its own.)
SSLProtocol.max_size = 32 * 1024


class Identity(Struct, frozen=True):
    """A certificate for loopback and its key, PEM. It is its own authority."""

    certificate: bytes
    key: bytes


def make_identity(
    now: datetime, names: tuple[str, ...] = ("localhost", "kubernetes.default.svc")
) -> Identity:
    """A new self-signed certificate for 127.0.0.1, ::1 and `names`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kruise-rollout sandbox")])
    start = now.astimezone(UTC) - timedelta(days=1)  # clients' clocks may be late
    addresses = [x509.IPAddress(ipaddress.ip_address(a)) for a in ("127.0.0.1", "::1")]
    public = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + LIFETIME)
        .add_extension(
            x509.SubjectAlternativeName([*(x509.DNSName(n) for n in names), *addresses]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Identity(certificate.public_bytes(pem), private)


def kept_identity(folder: Path, now: datetime) -> Identity:
    """The identity kept in `folder`, made if there is none yet, so that kubeconfigs outlive a restart."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    if certificate.exists() and key.exists():
        return Identity(certificate.read_bytes(), key.read_bytes())
    made = make_identity(now)
    write_kubeconfig(key, made.key)
    write_kubeconfig(certificate, made.certificate)
    return made


def ssl_context(identity: Identity) -> ssl.SSLContext:
    """A server context; the key touches the disk only for as long as ssl needs to read it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        key.touch(0o600)
        certificate.write_bytes(identity.certificate)
        key.write_bytes(identity.key)
        context.load_cert_chain(certificate, key)
    return context


def kubeconfig(url: str, identity: Identity, token: str, name: str = "kruise-sandbox") -> bytes:
    """A kubeconfig (JSON, which is YAML too) for the administrator of the sandbox."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": url,
                    "certificate-authority-data": base64.b64encode(identity.certificate).decode(),
                },
            }
        ],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "preferences": {},
    }
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def write_kubeconfig(path: Path, content: bytes) -> None:
    """Writes the file readable by its owner only, at once whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    part.touch(0o600)
    part.chmod(0o600)
    part.write_bytes(content)
    part.replace(path)


class Listener:
    """Serves a Server on 127.0.0.1."""

    def __init__(self, server: Server, identity: Identity, port: int = 0, host: str = "127.0.0.1") -> None:
        self._server = server
        self._identity = identity
        self._host = host
        self._wanted_port = port
        self._runner: web.ServerRunner | None = None
        self._date: tuple[datetime | None, str] = (None, "")
        self.port = port

    @property
    def url(self) -> str:
        return f"https://{self._host}:{self.port}"

    async def start(self) -> None:
        """Listens when this returns; `port` is the one that was found."""
        # A client that goes away ends its watch at once, not when the next event cannot be written.
        low_level = web.Server(
            self._serve,
            access_log=None,
            keepalive_timeout=3600.0,
            handler_cancellation=True,
            auto_decompress=False,  # Kubernetes takes bodies as they are
            max_line_size=HEAD_BYTES,  # selectors can be long
            max_field_size=HEAD_BYTES,
        )
        self._runner = web.ServerRunner(low_level, shutdown_timeout=1.0)
        await self._runner.setup()
        context = await asyncio.to_thread(ssl_context, self._identity)
        site = web.TCPSite(
            self._runner,
            self._host,
            self._wanted_port,
            ssl_context=context,
            backlog=1024,
        )
        await site.start()
        addresses = self._runner.addresses
        self.port = addresses[0][1]
        self._server.discovery.server_address = f"{self._host}:{self.port}"

    async def stop(self) -> None:
        """Ends all watches and closes the socket."""
        self._server.watcher.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, raw: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await _body(raw)
        except TooLarge as large:
            return self._whole(raw, refusal(large))
        headers: dict[str, str] = {}
        for name, value in raw.headers.items():  # one that comes several times (Impersonate-Group) is a list
            name = name.lower()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        query = tuple(raw.query.items())
        if _BROKEN_ESCAPE.search(raw.raw_path):
            query = _readable(raw.raw_path)
        request = Request(raw.method, raw.path, query, headers, body)
        answer = await self._server.respond(request)
        if answer.stream is None:
            return self._whole(raw, answer)
        return await _stream(raw, answer)

    def _whole(self, raw: web.BaseRequest, answer: Response) -> web.StreamResponse:
        """The answer as one piece of bytes wherever that is right, which is much faster."""
        transport = raw.transport
        if (
            transport is None
            or not raw.keep_alive
            or raw.version != HttpVersion11
            or raw.method == "HEAD"
            or answer.status in (204, 304)
            or len(answer.body) + transport.get_write_buffer_size() > AT_ONCE_BYTES
        ):
            return web.Response(status=answer.status, body=answer.body, headers=CIMultiDict(_named(answer)))
        now = self._server.parts.clock.now().replace(microsecond=0)
        if self._date[0] != now:
            self._date = (now, format_datetime(now.astimezone(UTC), usegmt=True))
        return _OnePiece(transport, answer, self._date[1])


def _readable(path: str) -> Query:
    """The parameters that can be decoded; others are passed over."""
    parts = urlsplit(path).query.split("&")
    return tuple(pair for part in parts if not _BROKEN_ESCAPE.search(part) for pair in parse_qsl(part, True))


async def _body(raw: web.BaseRequest) -> bytes:
    """The whole body. Raises TooLarge as soon as it is."""
    if not raw.body_exists:
        return b""
    chunks, size = [], 0
    async for chunk in raw.content.iter_any():
        size += len(chunk)
        if size > LIMIT_BYTES:
            raise TooLarge(f"Request entity too large: limit is {LIMIT_BYTES}")
        chunks.append(chunk)
    return b"".join(chunks)


def _named(answer: Response) -> tuple[tuple[str, str], ...]:
    named = (("Content-Type", answer.content_type), *answer.headers)
    if any(name == "Cache-Control" for name, _ in answer.headers):
        return named
    return (*named, ("Cache-Control", "no-cache, private"))


_ONE_LINE = {ord("\r"): " ", ord("\n"): " "}


class _OnePiece(web.StreamResponse):
    """An answer that is written with its head at once, on a connection that stays open."""

    def __init__(self, transport: asyncio.WriteTransport, answer: Response, date: str) -> None:
        super().__init__(status=answer.status)
        self._transport = transport
        fixed = (("Date", date), ("Content-Length", str(len(answer.body))))
        lines = (f"{name}: {value.translate(_ONE_LINE)}\r\n" for name, value in (*_named(answer), *fixed))
        head = f"HTTP/1.1 {answer.status} {self.reason}\r\n{''.join(lines)}\r\n"
        self._bytes = head.encode() + answer.body

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(self._bytes)


async def _stream(raw: web.BaseRequest, answer: Response) -> web.StreamResponse:
    """Writes chunks as they come; a reader that does not read stops here, and its watch falls behind and ends."""
    response = web.StreamResponse(status=answer.status, headers=CIMultiDict(_named(answer)))
    response.enable_chunked_encoding()
    await response.prepare(raw)
    assert answer.stream is not None
    stream = answer.stream
    try:
        with contextlib.suppress(ConnectionError):
            async for chunk in stream:
                await response.write(chunk)
            await response.write_eof()
    finally:
        await stream.aclose()
    return response
