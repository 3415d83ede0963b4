"""One person's talk with one API server, blocking: what a command line needs and no more. Sockets are wire.py's."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from kruise_rollouts import __version__
from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Unauthorized, Unavailable, error_of
from kruise_rollouts.runtime import wall
from kruise_rollouts.runtime.credentials import CredentialError, Fixed, Proof, basic, bearer
from kruise_rollouts.runtime.kubeconfig import Connection, KubeconfigError, connect

from .durations import seconds
from .errors import CommandError, refusal
from .output import warn
from .wire import open_wire, send, unreachable

JSON = "application/json"
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
        return wall.now()

    def mono(self) -> float:
        return wall.mono()

    def get(self, path: str, *, params: Mapping[str, str] | None = None, accept: str = JSON) -> JsonObject:
        return self._json("GET", self._target(path, params), {"Accept": accept})

    def patch(
        self,
        path: str,
        body: Json,
        *,
        content_type: str = MERGE_PATCH,
        params: Mapping[str, str] | None = None,
    ) -> JsonObject:
        headers = {"Accept": JSON, "Content-Type": content_type}
        return self._json("PATCH", self._target(path, params), headers, msgspec.json.encode(body))

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
        try:
            wire = open_wire(self._connection, self._proof(), left + 10.0)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(str(error)) from None
        try:
            self._send(wire, "GET", self._target(path, params), {"Accept": JSON}, None)
            yield from _events(wire.getresponse())
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(str(error)) from None
        finally:
            wire.close()

    def _target(self, path: str, params: Mapping[str, str] | None) -> str:
        target = urlsplit(self._connection.server).path.rstrip("/") + quote(path, safe="/:=,@")
        return f"{target}?{urlencode(params)}" if params else target

    def _json(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None = None
    ) -> JsonObject:
        answer, data = self._round_trip(method, target, headers, body)
        for given in answer.headers.get_all("Warning") or ():
            for text in WARNING.findall(given):
                warn(text.replace('\\"', '"'))
        if answer.status >= 400:
            error = error_of(answer.status, data)
            if isinstance(error, Unauthorized):
                raise self._stranger()
            raise error
        try:
            found: JsonObject = msgspec.json.decode(data)
        except msgspec.DecodeError:
            place = self._connection.server
            raise refusal(
                f"{place} does not answer as a Kubernetes API server does; check the address"
            ) from None
        return found

    def _stranger(self) -> CommandError:
        source = self._connection.source
        return CommandError(
            "error: You must be logged in to the server (Unauthorized)\n"
            f"{self._connection.server} does not accept the credentials of {source}: they may be wrong or have "
            "expired; log in again, or choose another --context"
        )

    def _round_trip(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on the kept connection; on a fresh one if the server has closed that meanwhile."""
        kept = self._open
        try:
            wire = kept or open_wire(self._connection, self._proof(), self._seconds)
            self._open = wire
            self._send(wire, method, target, headers, body)
            answer = wire.getresponse()
            return answer, answer.read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            self._open = None
            if kept is None:
                raise unreachable(self._connection, error) from None
            kept.close()
            return self._round_trip(method, target, headers, body)
        except (OSError, http.client.HTTPException) as error:
            self._open = None
            raise unreachable(self._connection, error) from None

    def _send(
        self,
        wire: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | None,
    ) -> None:
        agent = {"User-Agent": f"kubectl-kruise/{__version__}"}
        sent = {**agent, **self._proof().headers, **headers}
        send(wire, method, target, [*sent.items(), *self._extra], body)

    def _proof(self) -> Proof:
        credentials = self._connection.credentials
        try:
            return credentials.current(self.now()) or credentials.fetch(self.now())
        except CredentialError as error:
            raise refusal(str(error)) from None


def _events(answer: http.client.HTTPResponse) -> Iterator[JsonObject]:
    if answer.status >= 400:
        raise error_of(answer.status, answer.read())
    while line := answer.readline():
        event = msgspec.json.decode(line)
        if event["type"] == "ERROR":
            raise error_of(event["object"].get("code", 500), msgspec.json.encode(event["object"]))
        if event["type"] != "BOOKMARK":
            yield event


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


def _impersonation(flags: SessionFlags) -> list[tuple[str, str]]:
    one = [
        ("Impersonate-User", flags.values.get("as", "")),
        ("Impersonate-Uid", flags.values.get("as_uid", "")),
    ]
    return [(name, value) for name, value in one if value] + [
        ("Impersonate-Group", g) for g in flags.as_groups
    ]


def _timeout(text: str) -> float:
    """Seconds of --request-timeout; "" and "0" mean the usual."""
    return seconds(text) or REQUEST_SECONDS if text else REQUEST_SECONDS
