"""Documents about the server itself: what it serves (plain and aggregated), its version, its health."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import msgspec
from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import Details, NotAcceptable
from kruise_rollouts.sandbox.wire.negotiate import ACCEPTED, clauses

from .refusals import no_such_path, not_allowed
from .request import Request, Response
from .resources import Registry, Resource

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_AVAILABLE = (
    "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
    "application/vnd.kubernetes.protobuf"
)
_HEALTH = ("healthz", "livez", "readyz")
_CHECKS = ("ping", "log", "etcd", "informer-sync")
TEXT = "text/plain; charset=utf-8"


class _Wanted(Struct, frozen=True):
    """Which form of discovery a client asked for: "" is the plain one."""

    aggregated: str = ""  # v2 or v2beta1


def _wanted(accept: str) -> _Wanted:
    """Raises NotAcceptable."""
    if not accept:
        return _Wanted()
    asked_aggregated = False
    for clause in clauses(accept):
        if clause.media not in ("application/json", "application/*", "*/*", "application/yaml"):
            continue
        if clause.params.get("as") == "APIGroupDiscoveryList":
            asked_aggregated = True
            version = clause.params.get("v", "")
            if version in ("v2", "v2beta1") and clause.params.get("g") == "apidiscovery.k8s.io":
                return _Wanted(version)
        elif "as" not in clause.params:
            return _Wanted()
    if asked_aggregated:
        raise NotAcceptable(ACCEPTED)
    raise NotAcceptable(_AVAILABLE, details=Details())


class Discovery:
    """Answers paths that are no resource. Documents are built once per change of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._documents: dict[str, bytes] = {}
        self._generation = -1
        self.server_address = "127.0.0.1:6443"

    def respond(self, request: Request) -> Response:
        """The document at a path. Raises NotFound, MethodNotAllowed, NotAcceptable."""
        parts = [p for p in request.path.split("/") if p]
        health = bool(parts) and parts[0] in _HEALTH
        if not (parts in ([], ["version"], ["api"], ["apis"]) or health or parts[0] in ("api", "apis")):
            return page_not_found()
        if health:
            return _health(parts, request)
        if parts[:1] == ["apis"] and len(parts) > 1 and self._registry.is_foreign(parts[1]):
            return self._foreign(parts)
        # Kubernetes looks at the method where a version, or the only group of its own, is told.
        if parts in (["version"], ["api"]) or (len(parts) > 1 and parts != ["apis", parts[1]]):
            if len(parts) > 1 and not self._registry.of("" if parts[0] == "api" else parts[1], parts[-1]):
                raise no_such_path()
            if request.method != "GET":
                raise not_allowed()
        accept = request.headers.get("accept", "")
        if parts == ["version"]:
            return _laid_out(VERSION)
        if not parts:
            return _laid_out(self._paths())
        wanted = _wanted(accept)
        if len(parts) == 1 and wanted.aggregated:
            return self._aggregated(parts[0], wanted.aggregated, request)
        return self._plain(parts)

    def _plain(self, parts: list[str]) -> Response:
        match parts:
            case ["api"]:
                return self._document("api", self._core_versions)
            case ["apis"]:
                return self._document("apis", self._groups)
            case ["apis", group] if group in self._registry.groups() and group:
                return self._document(
                    f"apis/{group}", lambda: {"kind": "APIGroup", "apiVersion": "v1", **self._group(group)}
                )
            case ["api", version] if self._registry.of("", version):
                return self._document(f"api/{version}", lambda: self._resources("", version))
            case ["apis", group, version] if self._registry.of(group, version) and group:
                return self._document(f"apis/{group}/{version}", lambda: self._resources(group, version))
        raise no_such_path()

    def _foreign(self, parts: list[str]) -> Response:
        """Of a group that only CRDs serve, or nobody."""
        _, group, *rest = parts
        if len(rest) > 1 or group not in self._registry.groups():
            return page_not_found()
        if rest and not self._registry.of(group, rest[0]):
            return page_not_found()
        return self._plain(parts)

    def _bytes(self, key: str, build: Callable[[], JsonObject]) -> bytes:
        if self._generation != self._registry.generation:
            self._generation = self._registry.generation
            self._documents.clear()
        found = self._documents.get(key)
        if found is None:
            found = self._documents[key] = msgspec.json.encode(build())
        return found

    def _document(self, key: str, build: Callable[[], JsonObject]) -> Response:
        return Response(200, self._bytes(key, build))

    def _paths(self) -> JsonObject:
        registry = self._registry
        paths = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"]
        for group in sorted(g for g in registry.groups() if g):
            paths += [f"/apis/{group}", *(f"/apis/{group}/{v}" for v in sorted(registry.versions(group)))]
        for name in _HEALTH:
            paths += [f"/{name}", *(f"/{name}/{check}" for check in sorted(_CHECKS))]
        return {
            "paths": [*paths, "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/version"]
        }

    def _core_versions(self) -> JsonObject:
        address = {"clientCIDR": "0.0.0.0/0", "serverAddress": self.server_address}
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}

    def _groups(self) -> JsonObject:
        groups = [self._group(g) for g in self._registry.groups() if g]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def _group(self, group: str) -> JsonObject:
        versions = [{"groupVersion": f"{group}/{v}", "version": v} for v in self._registry.versions(group)]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _resources(self, group: str, version: str) -> JsonObject:
        rows: list[JsonObject] = []
        for r in sorted(self._registry.of(group, version), key=lambda r: r.plural):
            rows.append(_plain_row(r))
            for s in r.subresources:
                row: JsonObject = {
                    "name": f"{r.plural}/{s.name}",
                    "singularName": "",
                    "namespaced": r.namespaced,
                }
                if s.version:
                    row |= {"group": s.group, "version": s.version}
                rows.append({**row, "kind": s.kind, "verbs": list(s.verbs)})
        head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{group}/{version}"}
        if not group:
            head = {"kind": "APIResourceList", "groupVersion": version}
        return {**head, "resources": rows}

    def _aggregated(self, root: str, version: str, request: Request) -> Response:
        body = self._bytes(f"{root} {version}", lambda: self._aggregate(root, version))
        tag = f'"{hashlib.sha256(body).hexdigest().upper()}"'
        headers = (("ETag", tag), ("Vary", "Accept"))
        kind = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        if tag in request.headers.get("if-none-match", ""):
            # With its media type: it replaces that of the answer the client has kept.
            return Response(304, b"", kind, headers)
        return Response(200, body, kind, headers)

    def _aggregate(self, root: str, version: str) -> JsonObject:
        registry = self._registry
        items = []
        for group in registry.groups():
            if (root == "api") != (group == ""):
                continue
            versions = [
                {
                    "version": v,
                    "resources": [_row(r) for r in sorted(registry.of(group, v), key=lambda r: r.plural)],
                    "freshness": "Current",
                }
                for v in registry.versions(group)
            ]
            items.append({"metadata": {"name": group} if group else {}, "versions": versions})
        api_version = f"apidiscovery.k8s.io/{version}"
        return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items}


def _plain_row(r: Resource) -> JsonObject:
    row: JsonObject = {
        "name": r.plural,
        "singularName": r.singular,
        "namespaced": r.namespaced,
        "kind": r.kind,
        "verbs": list(r.verbs),
    }
    if r.short_names:
        row["shortNames"] = list(r.short_names)
    if r.categories:
        row["categories"] = list(r.categories)
    if "create" in r.verbs and "get" in r.verbs:  # what is stored, and in which form
        group, _, version = r.storage_version.rpartition("/")
        stored = f"{group}/{version}/{r.kind}".encode()
        row["storageVersionHash"] = base64.b64encode(hashlib.sha256(stored).digest()[:8]).decode()
    return row


def _row(r: Resource) -> JsonObject:
    # Built-in kinds leave the group of their own bodies out, those of CRDs say it; clients cope with both.
    own = {"group": r.group, "version": r.version} if r.custom else {"group": "", "version": ""}
    row: JsonObject = {
        "resource": r.plural,
        "responseKind": {**own, "kind": r.kind},
        "scope": "Namespaced" if r.namespaced else "Cluster",
        "singularResource": r.singular,
        "verbs": list(r.verbs),
    }
    if r.short_names:
        row["shortNames"] = list(r.short_names)
    if r.categories:
        row["categories"] = list(r.categories)
    if r.subresources:
        row["subresources"] = [
            {
                "subresource": s.name,
                "responseKind": {"group": s.group, "version": s.version, "kind": s.kind}
                if s.version
                else {**own, "kind": s.kind},
                "verbs": list(s.verbs),
            }
            for s in r.subresources
        ]
    return row


def _health(parts: list[str], request: Request) -> Response:
    if len(parts) > 1:
        return Response(200, b"ok", TEXT) if parts[1] in _CHECKS else page_not_found()
    if any(k == "verbose" for k, _ in request.query):
        lines = "".join(f"[+]{check} ok\n" for check in _CHECKS)
        return Response(200, f"{lines}{parts[0]} check passed\n".encode(), TEXT)
    return Response(200, b"ok", TEXT)


def _laid_out(document: JsonObject) -> Response:
    """In lines: people read these two."""
    return Response(200, msgspec.json.format(msgspec.json.encode(document), indent=2))


def page_not_found() -> Response:
    """What an unknown path that is not under /api or /apis is answered with."""
    return Response(404, b"404 page not found\n", TEXT)
