"""Which objects a command names: TYPE NAME, TYPE/NAME, TYPE1,TYPE2 NAME, TYPE alone, -f and -k, resolved by discovery."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from kruise_rollouts.kube.effects import JsonObject
from kruise_rollouts.kube.errors import NotAcceptable, NotFound
from kruise_rollouts.kube.objects import Kind

from .errors import CommandError, refusal
from .session import Session

OURS = "rollouts.kruise.io"  # of several groups with a "rollout", as with Argo Rollouts, ours is meant
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"


class Served(Struct, frozen=True):
    """One resource type that the server serves, in one version."""

    kind: Kind
    singular: str
    short_names: tuple[str, ...]
    preferred: bool  # the version the server prefers for its group

    @property
    def group(self) -> str:
        return self.kind.api_version.rpartition("/")[0]

    @property
    def resource_name(self) -> str:
        """ "deployments.apps", as errors name it."""
        return f"{self.kind.plural}.{self.group}" if self.group else self.kind.plural

    @property
    def kind_name(self) -> str:
        """ "Deployment.apps", as errors name a kind."""
        return f"{self.kind.kind}.{self.group}" if self.group else self.kind.kind

    def label(self, name: str) -> str:
        """ "deployment.apps/busybox", as results name it."""
        kind = self.kind.kind.lower()
        return f"{kind}.{self.group}/{name}" if self.group else f"{kind}/{name}"


class Named(Struct, frozen=True):
    """One object that a command acts on."""

    served: Served
    ns: str
    name: str

    @property
    def path(self) -> str:
        return self.served.kind.path(self.ns, self.name)

    @property
    def label(self) -> str:
        return self.served.label(self.name)


class Discovery:
    """The server's resource types, asked for once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._all: list[Served] | None = None

    def all(self) -> list[Served]:
        if self._all is None:
            self._all = [*self._read("/api"), *self._read("/apis")]
        return self._all

    def find(self, word: str) -> Served:
        """The type that `word` names: plural, singular, kind, short name, type.group or type.version.group."""
        wanted = word.lower()
        for exact in (True, False):
            hits = [s for s in self.all() if _names(s, wanted, exact)]
            if hits:
                return min(hits, key=lambda s: (s.group != OURS, not s.preferred))
        raise _unknown_type(word)

    def by_version(self, api_version: str, kind: str) -> Served:
        """The type of a manifest. Raises CommandError if it is not served."""
        served = self.served(api_version, kind)
        if served is None:
            raise refusal(f'no matches for kind "{kind}" in version "{api_version}"' + _hint(api_version))
        return served

    def served(self, api_version: str, kind: str) -> Served | None:
        """The type of a manifest; None if the server does not serve it."""
        wanted = (api_version, kind)
        return next((s for s in self.all() if (s.kind.api_version, s.kind.kind) == wanted), None)

    def _read(self, root: str) -> Iterable[Served]:
        try:
            answer = self._session.get(root, accept=AGGREGATED)
        except (NotAcceptable, NotFound):
            answer = {}
        if answer.get("kind") == "APIGroupDiscoveryList":
            return list(_aggregated(answer))
        return list(self._plain(root, answer))

    def _plain(self, root: str, answer: JsonObject) -> Iterable[Served]:
        if root == "/api":
            groups = [(v, True) for v in answer.get("versions", ["v1"])]
        else:
            groups = [
                (v["groupVersion"], v["groupVersion"] == g.get("preferredVersion", {}).get("groupVersion"))
                for g in answer.get("groups", ())
                for v in g.get("versions", ())
            ]
        for version, preferred in groups:
            for r in self._session.get(f"{root}/{version}").get("resources", ()):
                if "/" not in r["name"]:
                    kind = Kind(version, r["kind"], r["name"], bool(r.get("namespaced")))
                    yield Served(kind, r.get("singularName", ""), tuple(r.get("shortNames") or ()), preferred)


def _unknown_type(word: str) -> CommandError:
    hint = _hint(OURS) if word.lower().partition(".")[0] in ("rollout", "rollouts") else ""
    return refusal(f'the server doesn\'t have a resource type "{word}"{hint}')


def _hint(api_version: str) -> str:
    if api_version.partition("/")[0] != OURS:
        return ""
    return "\nKruise Rollouts is not installed in this cluster, or not visible to you: see `kruise-rollout install -h`"


def _aggregated(answer: JsonObject) -> Iterable[Served]:
    for group in answer.get("items", ()):
        name = group.get("metadata", {}).get("name", "")
        for position, version in enumerate(group.get("versions", ())):
            api_version = f"{name}/{version['version']}" if name else version["version"]
            for r in version.get("resources", ()):
                kind = Kind(
                    api_version, r["responseKind"]["kind"], r["resource"], r.get("scope") == "Namespaced"
                )
                yield Served(
                    kind, r.get("singularResource", ""), tuple(r.get("shortNames") or ()), position == 0
                )


def _names(served: Served, wanted: str, exact: bool) -> bool:
    """`exact`: by plural, singular, kind or short name; otherwise qualified by group, or by version and group."""
    short = {served.kind.plural, served.singular, served.kind.kind.lower(), *served.short_names}
    if exact:
        return wanted in short
    word, _, rest = wanted.partition(".")
    version = served.kind.api_version.rpartition("/")[2]
    return word in short and rest in (served.group, f"{version}.{served.group}")


def select(words: Sequence[str], discovery: Discovery, session: Session) -> list[Named]:
    """Objects named on the command line; a TYPE alone means every object of it in the namespace."""
    if any("/" in w for w in words):
        return [_slashed(w, discovery, session.namespace) for w in words]
    if not words:
        raise refusal("required resource not specified")
    types = [discovery.find(t) for t in words[0].split(",") if t]
    if len(words) > 1:
        return [Named(t, _ns(t, session.namespace), name) for t in types for name in words[1:]]
    found = []
    for served in types:
        ns = _ns(served, session.namespace)
        for item in session.get(served.kind.path(ns)).get("items", ()):
            found.append(Named(served, ns, item["metadata"]["name"]))
    return found


def _slashed(word: str, discovery: Discovery, ns: str) -> Named:
    kind, _, name = word.partition("/")
    if not kind or not name or "/" in name:
        raise refusal(
            f"arguments in resource/name form must have a single resource and name, got {word!r}; "
            "write TYPE/NAME for each object, e.g. rollout/busybox"
        )
    served = discovery.find(kind)
    return Named(served, _ns(served, ns), name)


def _ns(served: Served, ns: str) -> str:
    return ns if served.kind.namespaced else ""


def from_files(paths: Sequence[str], recursive: bool, discovery: Discovery, session: Session) -> list[Named]:
    """Objects that manifests name; the manifest's apiVersion decides the version used."""
    documents = [d for path in paths for d in read_manifests(path, recursive)]
    return [_manifest(d, discovery, session) for d in documents]


def from_kustomization(folder: str, discovery: Discovery, session: Session) -> list[Named]:
    """Objects of a kustomization, built by kubectl, which knows how."""
    import subprocess  # here, because few need it and everybody waits for an import

    try:
        built = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True)
    except FileNotFoundError:
        raise refusal("-k needs kubectl on PATH to build the kustomization") from None
    except subprocess.CalledProcessError as failed:
        raise refusal(failed.stderr.decode("utf-8", "replace").strip()) from None
    return [_manifest(d, discovery, session) for d in _documents(built.stdout, folder)]


def read_manifests(path: str, recursive: bool = False) -> list[JsonObject]:
    """Documents of a file, a folder's *.yaml, *.yml and *.json, or standard input ("-"); Lists are unpacked."""
    if path == "-":
        return _documents(sys.stdin.buffer.read(), "standard input")
    place = Path(path)
    if place.is_dir():
        pattern = "**/*" if recursive else "*"
        files = sorted(f for f in place.glob(pattern) if f.suffix in (".yaml", ".yml", ".json"))
        return [d for f in files for d in _documents(f.read_bytes(), str(f))]
    try:
        return _documents(place.read_bytes(), path)
    except OSError:
        raise refusal(f'the path "{path}" does not exist') from None


def _documents(data: bytes, source: str) -> list[JsonObject]:
    import yaml  # as above

    try:
        loaded = [d for d in yaml.load_all(data, Loader=yaml.CSafeLoader) if d]
    except yaml.YAMLError as error:
        raise refusal(f"{source} is neither YAML nor JSON: {error}") from None
    found: list[JsonObject] = []
    for d in loaded:
        if not isinstance(d, dict):
            raise refusal(f"{source} holds something that is not a Kubernetes object")
        found += (
            d["items"]
            if str(d.get("kind", "")).endswith("List") and isinstance(d.get("items"), list)
            else [d]
        )
    return found


def _manifest(document: JsonObject, discovery: Discovery, session: Session) -> Named:
    meta = document.get("metadata") or {}
    if not (document.get("apiVersion") and document.get("kind") and meta.get("name")):
        raise refusal("a manifest needs apiVersion, kind and metadata.name")
    served = discovery.by_version(str(document["apiVersion"]), str(document["kind"]))
    return Named(served, _ns(served, meta.get("namespace") or session.namespace), meta["name"])
