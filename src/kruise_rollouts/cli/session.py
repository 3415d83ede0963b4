"""One person's connection to one API server, blocking: what a command line needs and no more.

http.client instead of runtime/client.py, because a plugin that is typed all day must start in a tenth of a second.
"""

from __future__ import annotations

import http.client
import re
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from kruise_rollouts import __version__
from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Unauthorized, Unavailable, error_of
from kruise_rollouts.runtime.clock import WallClock
from kruise_rollouts.runtime.credentials import CredentialError, Fixed, Proof, basic, bearer
from kruise_rollouts.runtime.kubeconfig import Connection, KubeconfigError, connect

from .errors import CommandError, refusal

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')
WATCH_SECONDS = 300  # a watch is asked for at most this long, then again
REQUEST_SECONDS = 30.0


class SessionFlags(Struct, frozen=True):
    """What the command line says about the cluster; the rest comes from the kubeconfig."""

    namespace: str = ""
    as_groups: tuple[str, ...] = ()
    insecure: bool = False
    values: dict[str, str] = {}  # kubeconfig, context, server, token, ...


class Session:
    """Requests to the API server. Raises ApiError when it refuses, CommandError when it cannot be reached."""

    def __init__(self, flags: SessionFlags) -> None:
        self._clock = WallClock()
        values = flags.values
        try:
            self._connection = _overridden(
                connect(values.get("kubeconfig", ""), values.get("context", "")), flags
            )
        except KubeconfigError as error:
            raise refusal(str(error)) from None
        self.namespace = flags.namespace or self._connection.namespace
        self._seconds = _timeout(values.get("request_timeout", ""))
        self._extra = _impersonation(flags)
        self._open: http.client.HTTPConnection | None = None

    def now(self) -> datetime:
        return self._clock.now()

    def mono(self) -> float:
        return self._clock.mono()

    def get(
        self, path: str, *, params: Mapping[str, str] | None = None, accept: str = "application/json"
    ) -> JsonObject:
        return self._json("GET", path, params=params, accept=accept)

    def patch(
        self,
        path: str,
        body: Json,
        *,
        content_type: str = MERGE_PATCH,
        params: Mapping[str, str] | None = None,
    ) -> JsonObject:
        return self._json(
            "PATCH", path, params=params, body=msgspec.json.encode(body), content_type=content_type
        )

    def watch(
        self, path: str, name: str, resource_version: str, deadline: float | None
    ) -> Iterator[JsonObject]:
        """Watch events of one object until the server ends the watch or `deadline` (of mono()) is near.

        Raises Gone when `resource_version` is too old, Unavailable when the connection breaks.
        """
        left = (
            WATCH_SECONDS if deadline is None else max(1, min(WATCH_SECONDS, int(deadline - self.mono()) + 1))
        )
        params = {
            "watch": "1", "fieldSelector": f"metadata.name={name}", "resourceVersion": resource_version,
            "timeoutSeconds": str(left), "allowWatchBookmarks": "true",
        }  # fmt: skip
        wire = self._connect(left + 10.0)
        try:
            answer = self._send(wire, "GET", path, params, None, {"Accept": "application/json"})
            if answer.status >= 400:
                raise error_of(answer.status, answer.read())
            while line := answer.readline():
                event = msgspec.json.decode(line)
                if event["type"] == "ERROR":
                    raise error_of(event["object"].get("code", 500), msgspec.json.encode(event["object"]))
                if event["type"] != "BOOKMARK":
                    yield event
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(str(error)) from None
        finally:
            wire.close()

    def _json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> JsonObject:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        answer, data = self._round_trip(method, path, params or {}, body, headers)
        for text in WARNING.findall(answer.headers.get("Warning", "") or ""):
            print(f"Warning: {text}", file=sys.stderr)
        if answer.status >= 400:
            error = error_of(answer.status, data)
            if isinstance(error, Unauthorized):
                raise CommandError("error: You must be logged in to the server (Unauthorized)")
            raise error
        found: JsonObject = msgspec.json.decode(data)
        return found

    def _round_trip(
        self, method: str, path: str, params: Mapping[str, str], body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on the kept connection; on a fresh one if the server has closed that meanwhile."""
        kept = self._open is not None
        wire = self._open or self._connect(self._seconds)
        self._open = wire
        try:
            answer = self._send(wire, method, path, params, body, headers)
            return answer, answer.read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            wire.close()
            self._open = None
            if kept:
                return self._round_trip(method, path, params, body, headers)
            raise self._unreachable("the connection was closed without an answer") from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(str(error)) from None

    def _send(
        self,
        wire: http.client.HTTPConnection,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        target = urlsplit(self._connection.server).path.rstrip("/") + quote(path, safe="/:=,@")
        if params:
            target += "?" + urlencode(params)
        sent = {
            "User-Agent": f"kubectl-kruise/{__version__}",
            **self._proof().headers,
            **self._extra,
            **headers,
        }
        wire.request(method, target, body=body, headers=sent)
        return wire.getresponse()

    def _proof(self) -> Proof:
        credentials = self._connection.credentials
        try:
            return credentials.current(self.now()) or credentials.fetch(self.now())
        except CredentialError as error:
            raise refusal(str(error)) from None

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        url = urlsplit(self._connection.server)
        if not url.hostname or url.scheme not in ("http", "https"):
            raise refusal(f'the server address "{self._connection.server}" is not an http(s) URL')
        if url.scheme == "http":
            return http.client.HTTPConnection(url.hostname, url.port, timeout=seconds)
        return http.client.HTTPSConnection(url.hostname, url.port, timeout=seconds, context=self._tls())

    def _tls(self) -> ssl.SSLContext:
        connection, proof = self._connection, self._proof()
        context = ssl.create_default_context(cadata=connection.ca or None)
        if connection.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if proof.certificate:
            with tempfile.NamedTemporaryFile() as pair:  # the ssl module reads certificates from files only
                pair.write(proof.certificate + b"\n" + proof.key)
                pair.flush()
                context.load_cert_chain(pair.name)
        return context

    def _unreachable(self, why: str) -> CommandError:
        url = urlsplit(self._connection.server)
        if "refused" in why:
            return CommandError(
                f"The connection to the server {url.netloc} was refused - did you specify the right host or port?"
            )
        return CommandError(f"Unable to connect to the server {url.netloc}: {why}")


def _overridden(connection: Connection, flags: SessionFlags) -> Connection:
    """`connection` with what the command line says instead."""
    values = flags.values
    changes: JsonObject = {}
    if "server" in values:
        changes["server"] = values["server"].rstrip("/")
    if "certificate_authority" in values:
        changes["ca"] = _file(values["certificate_authority"]).decode()
    if flags.insecure:
        changes["insecure"] = True
    if "tls_server_name" in values:
        changes["tls_server_name"] = values["tls_server_name"]
    if "token" in values:
        changes["credentials"] = Fixed(Proof(bearer(values["token"])))
    elif "username" in values:
        changes["credentials"] = Fixed(Proof(basic(values["username"], values.get("password", ""))))
    elif "client_certificate" in values and "client_key" in values:
        proof = Proof({}, _file(values["client_certificate"]), _file(values["client_key"]))
        changes["credentials"] = Fixed(proof)
    return msgspec.structs.replace(connection, **changes)


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise refusal(f"{path} cannot be read: {error.strerror}") from None


def _impersonation(flags: SessionFlags) -> dict[str, str]:
    headers = {
        "Impersonate-User": flags.values.get("as", ""),
        "Impersonate-Uid": flags.values.get("as_uid", ""),
    }
    if flags.as_groups:
        headers["Impersonate-Group"] = flags.as_groups[0]
    return {k: v for k, v in headers.items() if v}


def _timeout(text: str) -> float:
    digits = text.removesuffix("s")
    return float(digits) if digits.replace(".", "", 1).isdigit() and float(digits) > 0 else REQUEST_SECONDS
