"""The connection under a Session: sockets, TLS, proxies, and how a failure to connect is told to a person.

http.client instead of runtime/client.py, because a plugin that is typed all day must start in a tenth of a second.
"""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from kruise_rollouts.runtime.credentials import CredentialError, Proof, basic
from kruise_rollouts.runtime.kubeconfig import Connection
from kruise_rollouts.runtime.tls import tls_context

from .errors import CommandError, refusal

Headers = Sequence[tuple[str, str]]


def open_wire(connection: Connection, proof: Proof, seconds: float) -> http.client.HTTPConnection:
    """A connection to the API server, TLS done. `seconds` bound every wait on it.

    Raises OSError and http.client.HTTPException when the server cannot be reached.
    """
    url = urlsplit(connection.server)
    if not url.hostname or url.scheme not in ("http", "https"):
        raise refusal(f'the server address "{connection.server}" is not an http(s) URL')
    port = url.port or (443 if url.scheme == "https" else 80)
    proxy = _proxy(connection, url.scheme, url.hostname)
    if proxy:
        wire = _through(proxy, url.hostname, port, seconds)
    else:
        wire = http.client.HTTPConnection(url.hostname, port, timeout=seconds)
    wire.connect()
    if url.scheme == "https":
        name = connection.tls_server_name or url.hostname
        try:
            context = tls_context(connection, proof)
        except CredentialError as error:
            raise refusal(str(error)) from None
        wire.sock = context.wrap_socket(wire.sock, server_hostname=name)
    return wire


def send(
    wire: http.client.HTTPConnection, method: str, target: str, headers: Headers, body: bytes | None
) -> None:
    """Writes one request; a header may come several times."""
    wire.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers:
        wire.putheader(name, value)
    if body is not None:
        wire.putheader("Content-Length", str(len(body)))
    wire.endheaders(body)


def unreachable(connection: Connection, why: Exception) -> CommandError:
    """What to tell a person when there was no answer."""
    place = urlsplit(connection.server).netloc
    match why:
        case ConnectionRefusedError():
            return CommandError(
                f"The connection to the server {place} was refused - did you specify the right host or port?"
            )
        case ssl.SSLCertVerificationError():
            hint = (
                f"the server's certificate is not the one that {connection.source or 'the kubeconfig'} trusts"
            )
            return CommandError(f"Unable to connect to the server {place}: {why.verify_message}; {hint}")
        case TimeoutError():
            return CommandError(
                f"Unable to connect to the server {place}: it did not answer in time; "
                "is it up, and reachable from here?"
            )
        case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
            return CommandError(
                f"Unable to connect to the server {place}: the connection was closed without an answer"
            )
        case OSError() if why.strerror:
            return CommandError(f"Unable to connect to the server {place}: {why.strerror}")
        case _:
            return CommandError(f"Unable to connect to the server {place}: {why}")


def _proxy(connection: Connection, scheme: str, host: str) -> str:
    """The proxy's URL; "" for none."""
    if connection.proxy:
        return connection.proxy
    without = [w.strip().lstrip(".") for w in _environ("no_proxy").split(",") if w.strip()]
    if any(w == "*" or host == w or host.endswith(f".{w}") for w in without):
        return ""
    return _environ(f"{scheme}_proxy")


def _environ(name: str) -> str:
    return os.environ.get(name) or os.environ.get(name.upper(), "")


def _through(proxy: str, host: str, port: int, seconds: float) -> http.client.HTTPConnection:
    url = urlsplit(proxy)
    if url.scheme != "http" or not url.hostname:
        raise refusal(f'the proxy "{proxy}" is not an http:// URL; unset it, or set NO_PROXY={host}')
    wire = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=seconds)
    headers = {}
    if url.username:
        credentials = basic(url.username, url.password or "")
        headers = {"Proxy-Authorization": credentials["Authorization"]}
    wire.set_tunnel(host, port, headers)
    return wire
