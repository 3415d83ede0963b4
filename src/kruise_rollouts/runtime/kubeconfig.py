"""Which API server to talk to, and as whom: from kubeconfig files or from inside a pod.

Files are merged as kubectl does it: of several entries with one name the first file's wins. Talking is client.py's
matter.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject

from .credentials import Credentials, Exec, ExecConfig, Fixed, Proof, TokenFile, basic, bearer, command_path

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(Exception):
    """No usable configuration; the message says what to do."""


class Connection(Struct, frozen=True):
    """An API server and how to reach it."""

    server: str  # URL without a slash at the end
    credentials: Credentials
    ca: str = ""  # PEM; "": the system's certificates
    insecure: bool = False
    tls_server_name: str = ""
    proxy: str = ""
    namespace: str = "default"  # of the context
    source: str = ""  # where this was read, for messages


class _Cluster(Struct, frozen=True, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _User(Struct, frozen=True, rename={
    "token_file": "tokenFile", "client_certificate": "client-certificate", "client_key": "client-key",
    "client_certificate_data": "client-certificate-data", "client_key_data": "client-key-data",
    "auth_provider": "auth-provider", "as_user": "as", "as_uid": "as-uid", "as_groups": "as-groups",
    "as_user_extra": "as-user-extra",
}):  # fmt: skip
    token: str = ""
    token_file: str = ""
    username: str = ""
    password: str = ""
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    exec: ExecConfig | None = None
    auth_provider: JsonObject | None = None
    as_user: str = ""
    as_uid: str = ""
    as_groups: tuple[str, ...] = ()
    as_user_extra: dict[str, tuple[str, ...]] = {}


class _Context(Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(Struct, frozen=True):
    name: str
    cluster: _Cluster = _Cluster()


class _NamedUser(Struct, frozen=True):
    name: str
    user: _User | None = None


class _NamedContext(Struct, frozen=True):
    name: str
    context: _Context = _Context()


class _File(Struct, frozen=True):
    clusters: tuple[_NamedCluster, ...] | None = ()
    users: tuple[_NamedUser, ...] | None = ()
    contexts: tuple[_NamedContext, ...] | None = ()
    current_context: str = msgspec.field(default="", name="current-context")


class _Merged:
    """All files as one; each cluster and user with the folder its relative paths start from."""

    def __init__(self) -> None:
        self.clusters: dict[str, tuple[_Cluster, Path]] = {}
        self.users: dict[str, tuple[_User, Path]] = {}
        self.contexts: dict[str, _Context] = {}
        self.current = ""

    def add(self, path: Path, file: _File) -> None:
        for cluster in file.clusters or ():
            self.clusters.setdefault(cluster.name, (cluster.cluster, path.parent))
        for user in file.users or ():
            self.users.setdefault(user.name, (user.user or _User(), path.parent))
        for context in file.contexts or ():
            self.contexts.setdefault(context.name, context.context)
        self.current = self.current or file.current_context


def connect(
    kubeconfig: str = "",
    context: str = "",
    *,
    environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> Connection:
    """The API server to use: `kubeconfig`, else $KUBECONFIG, else the pod we run in, else ~/.kube/config.

    Raises KubeconfigError.
    """
    if kubeconfig:
        return from_files([Path(kubeconfig)], context, environ=environ, must_exist=True)
    listed = [Path(p) for p in environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    if listed:
        return from_files(listed, context, environ=environ)
    if environ.get("KUBERNETES_SERVICE_HOST") and (service_account / "token").exists():
        return in_cluster(environ=environ, service_account=service_account)
    home = Path(environ.get("HOME", "~")).expanduser() / ".kube" / "config"
    if not home.exists():
        raise KubeconfigError(
            f"no cluster to talk to: KUBECONFIG is not set, {home} does not exist and this is not a pod. "
            "Set KUBECONFIG or pass --kubeconfig"
        )
    return from_files([home], context, environ=environ)


def in_cluster(
    *, environ: Mapping[str, str] = os.environ, service_account: Path = SERVICE_ACCOUNT
) -> Connection:
    """The API server of the pod we run in, as its ServiceAccount. Raises KubeconfigError outside of a pod."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise KubeconfigError("this is not a pod: KUBERNETES_SERVICE_HOST is not set. Pass --kubeconfig")
    if ":" in host:
        host = f"[{host}]"
    namespace = service_account / "namespace"
    return Connection(
        server=f"https://{host}:{port}",
        credentials=TokenFile(service_account / "token", Proof()),
        ca=_read(service_account / "ca.crt", "the cluster's CA").decode(),
        namespace=namespace.read_text(encoding="utf-8").strip() if namespace.exists() else "default",
        source="the pod's ServiceAccount",
    )


def from_files(
    paths: list[Path], context: str = "", *, environ: Mapping[str, str] = os.environ, must_exist: bool = False
) -> Connection:
    """The connection that `context` (else the current context) names in the merged files. Raises KubeconfigError."""
    merged = _Merged()
    for path in paths:
        if path.exists() or must_exist:
            merged.add(path, _load(path))
    names = ":".join(map(str, paths))
    if not must_exist and not any(path.exists() for path in paths):
        raise KubeconfigError(f"the kubeconfig {names} does not exist. Check KUBECONFIG or pass --kubeconfig")
    wanted = context or merged.current
    if not wanted:
        raise KubeconfigError(f"{names} names no current context: {_choose(merged)}")
    if wanted not in merged.contexts:
        raise KubeconfigError(f"there is no context {wanted!r} in {names}: {_choose(merged)}")
    chosen = merged.contexts[wanted]
    if chosen.cluster not in merged.clusters:
        raise KubeconfigError(
            f"context {wanted!r} names the cluster {chosen.cluster!r}, which is not in {names}"
        )
    if chosen.user and chosen.user not in merged.users:
        raise KubeconfigError(f"context {wanted!r} names the user {chosen.user!r}, who is not in {names}")
    cluster, folder = merged.clusters[chosen.cluster]
    user, user_folder = merged.users.get(chosen.user, (_User(), folder))
    if not cluster.server:
        raise KubeconfigError(f"the cluster {chosen.cluster!r} in {names} has no server")
    ca = _pem(
        cluster.certificate_authority_data, cluster.certificate_authority, folder, "certificate-authority"
    )
    return Connection(
        server=cluster.server.rstrip("/"),
        credentials=_credentials(chosen.user, user, user_folder, _exec_cluster(cluster, ca), environ),
        ca=ca.decode(),
        insecure=cluster.insecure_skip_tls_verify,
        tls_server_name=cluster.tls_server_name,
        proxy=cluster.proxy_url,
        namespace=chosen.namespace or "default",
        source=f"context {wanted!r} of {names}",
    )


def _choose(merged: _Merged) -> str:
    if not merged.contexts:
        return "there are no contexts in it. Check KUBECONFIG or pass --kubeconfig"
    return f"choose one with --context or `kubectl config use-context`: {', '.join(sorted(merged.contexts))}"


def _credentials(
    name: str, user: _User, folder: Path, cluster: JsonObject, environ: Mapping[str, str]
) -> Credentials:
    if user.auth_provider is not None:
        raise KubeconfigError(
            f"the user {name!r} uses auth-provider, which Kubernetes has dropped: use an exec plugin instead"
        )
    certificate = _pem(user.client_certificate_data, user.client_certificate, folder, "client-certificate")
    key = _pem(user.client_key_data, user.client_key, folder, "client-key")
    if bool(certificate) != bool(key):
        raise KubeconfigError(
            f"the user {name!r} needs both a client certificate and a client key, or neither"
        )
    base = Proof(_impersonation(user), certificate, key)
    if user.exec is not None:
        config = msgspec.structs.replace(user.exec, command=command_path(user.exec.command, folder))
        return Exec(config, base, cluster=cluster, environ=environ)
    if user.token_file:
        return TokenFile(folder / user.token_file, base)
    headers = dict(base.headers)
    if user.token:
        headers.update(bearer(user.token))
    elif user.username:
        headers.update(basic(user.username, user.password))
    return Fixed(msgspec.structs.replace(base, headers=headers))


def _impersonation(user: _User) -> dict[str, str]:
    # One header per name is all a dict can carry; several groups would need repeated headers.
    if len(user.as_groups) > 1 or any(len(v) > 1 for v in user.as_user_extra.values()):
        raise KubeconfigError("impersonating several groups or extra values at once is not supported")
    headers = {"Impersonate-User": user.as_user, "Impersonate-Uid": user.as_uid}
    headers["Impersonate-Group"] = "".join(user.as_groups)
    headers.update({f"Impersonate-Extra-{name}": "".join(v) for name, v in user.as_user_extra.items()})
    return {name: value for name, value in headers.items() if value}


def _exec_cluster(cluster: _Cluster, ca: bytes) -> JsonObject:
    """spec.cluster of KUBERNETES_EXEC_INFO."""
    found: JsonObject = {"server": cluster.server}
    if cluster.insecure_skip_tls_verify:
        found["insecure-skip-tls-verify"] = True
    if ca:
        found["certificate-authority-data"] = base64.b64encode(ca).decode()
    if cluster.tls_server_name:
        found["tls-server-name"] = cluster.tls_server_name
    if cluster.proxy_url:
        found["proxy-url"] = cluster.proxy_url
    return found


def _pem(data: str, file: str, folder: Path, what: str) -> bytes:
    """The bytes given in place (base64) or in a file; b"" if neither."""
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise KubeconfigError(f"{what}-data in the kubeconfig is not base64: {error}") from error
    return _read(folder / file, what) if file else b""


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KubeconfigError(f"{what} cannot be read from {path}: {error.strerror}") from error


def _load(path: Path) -> _File:
    text = _read(path, "the kubeconfig")
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(text, type=_File)  # JSON is YAML that is read in no time
    import yaml  # here, because the import takes longer than anything else a short command does

    try:
        loaded = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return msgspec.convert(loaded if loaded is not None else {}, _File)
    except yaml.YAMLError as error:
        raise KubeconfigError(f"the kubeconfig {path} is not YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise KubeconfigError(f"the kubeconfig {path} is not as it should be: {error}") from error
