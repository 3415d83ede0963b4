"""Which resources are served: the built-in ones (recorded facts in data/discovery.json) and those of CRDs.

A `Resource` is one resource in one version: names, verbs, subresources, printed columns. The `Registry` finds them
by path or by kind and can change while the server runs (custom/crd.py adds and removes). How objects are stored, checked
or printed does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import TypeAlias

import msgspec
from msgspec import Struct

StorageKey: TypeAlias = tuple[
    str, str
]  # group and plural under which objects are stored, whatever the version


class Column(Struct, frozen=True):
    """One column of a printed table."""

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0  # 0: always shown; above: with -o wide
    json_path: str = ""  # of CRDs; built-in columns are computed in tables/table.py
    description: str = ""


class Subresource(Struct, frozen=True):
    """A subresource and the kind its bodies have."""

    name: str  # "status"
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""  # "": group and version of the resource itself


class Scale(Struct, frozen=True):
    """Where a resource keeps what its scale subresource shows; dotted paths without a leading dot."""

    spec_path: str = "spec.replicas"
    status_path: str = "status.replicas"
    selector_path: str = ""  # "": none shown; of CRDs a string, of built-ins a LabelSelector


class Resource(Struct, frozen=True):
    """One resource in one version."""

    group: str  # "" for the core group
    version: str
    plural: str
    singular: str
    kind: str
    list_kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = ()
    columns: tuple[Column, ...] = ()
    custom: bool = False  # defined by a CRD
    storage: StorageKey = ("", "")
    storage_version: str = ""  # the version objects are kept in: "apps/v1"
    scale: Scale | None = None  # None: no scale subresource
    selectable: tuple[str, ...] = ()  # extra field selectors of a CRD: "spec.host"
    warning: str = ""  # not "": sent with every answer of a deprecated version
    served: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """As messages name it: `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        return any(s.name == "status" for s in self.subresources)

    def subresource(self, name: str) -> Subresource | None:
        return next((s for s in self.subresources if s.name == name), None)


Listener: TypeAlias = Callable[[], None]


class Registry:
    """All resources served now. Groups and versions keep the server's order of preference."""

    def __init__(self, resources: tuple[Resource, ...] = ()) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._listeners: list[Listener] = []
        self.generation = 0  # grows with every change
        for resource in resources:
            self._by_path[(resource.group, resource.version, resource.plural)] = resource
        self._native = frozenset(r.group for r in resources)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def by_kind(self, group: str, kind: str, version: str = "") -> Resource | None:
        """The resource of `kind`; the preferred version unless `version` says which."""
        for r in self._by_path.values():
            if r.kind == kind and r.group == group and (not version or r.version == version):
                return r
        return None

    def stored(self, storage: StorageKey) -> Resource | None:
        """The resource in the version its objects are stored in (or the preferred one if that is not served)."""
        found = None
        for r in self._by_path.values():
            if r.storage == storage:
                if r.api_version == r.storage_version:
                    return r
                found = found or r
        return found

    def versions(self, group: str) -> tuple[str, ...]:
        """Versions of `group`, preferred first."""
        return tuple(dict.fromkeys(r.version for r in self._by_path.values() if r.group == group))

    def groups(self) -> tuple[str, ...]:
        """All groups, the core group ("") first."""
        return tuple(dict.fromkeys(r.group for r in self._by_path.values()))

    def is_foreign(self, group: str) -> bool:
        """Whether Kubernetes itself serves nothing in this group."""
        return group not in self._native

    def of(self, group: str, version: str) -> tuple[Resource, ...]:
        return tuple(r for r in self._by_path.values() if r.group == group and r.version == version)

    def __iter__(self) -> Iterator[Resource]:
        return iter(tuple(self._by_path.values()))

    def add(self, *resources: Resource) -> None:
        """Serves `resources` from now on, in place of those with the same group, version and plural."""
        for resource in resources:
            self._by_path[(resource.group, resource.version, resource.plural)] = resource
        self._changed()

    def remove(self, group: str, plural: str) -> None:
        """Serves no version of `plural` any more."""
        for key in [k for k in self._by_path if k[0] == group and k[2] == plural]:
            del self._by_path[key]
        self._changed()

    def on_change(self, listener: Listener) -> None:
        """`listener` is called after every add and remove."""
        self._listeners.append(listener)

    def _changed(self) -> None:
        self.generation += 1
        for listener in tuple(self._listeners):
            listener()


class _Kind(Struct):
    group: str
    version: str
    kind: str


class _Sub(Struct, rename="camel"):
    subresource: str
    response_kind: _Kind
    verbs: tuple[str, ...]


class _Row(Struct, rename="camel"):
    resource: str
    response_kind: _Kind
    scope: str
    singular_resource: str
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[_Sub, ...] = ()
    columns: tuple[tuple[str, str, str, int], ...] = ()


class _Group(Struct):
    group: str
    version: str
    resources: tuple[_Row, ...]


# Two versions of one thing, or two groups that show the same objects: where they are kept, and in which version.
_SHARED: dict[tuple[str, str], tuple[StorageKey, str]] = {
    ("events.k8s.io", "events"): (("", "events"), "v1"),
    ("autoscaling", "horizontalpodautoscalers"): (
        ("autoscaling", "horizontalpodautoscalers"),
        "autoscaling/v2",
    ),
}
_SCALES = {
    ("apps", "deployments"): Scale(selector_path="spec.selector"),
    ("apps", "replicasets"): Scale(selector_path="spec.selector"),
    ("apps", "statefulsets"): Scale(selector_path="spec.selector"),
    ("", "replicationcontrollers"): Scale(selector_path="spec.selector"),
}
_DEPRECATED = {
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ("", "v1", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
}


def _resource(group: str, version: str, row: _Row) -> Resource:
    api_version = f"{group}/{version}" if group else version
    storage, storage_version = _SHARED.get((group, row.resource), ((group, row.resource), api_version))
    return Resource(
        group=group,
        version=version,
        plural=row.resource,
        singular=row.singular_resource,
        kind=row.response_kind.kind,
        list_kind=f"{row.response_kind.kind}List",
        namespaced=row.scope == "Namespaced",
        verbs=row.verbs,
        short_names=row.short_names,
        categories=row.categories,
        subresources=tuple(
            Subresource(
                s.subresource, s.response_kind.kind, s.verbs, s.response_kind.group, s.response_kind.version
            )
            for s in row.subresources
        ),
        columns=tuple(Column(*column) for column in row.columns),
        storage=storage,
        storage_version=storage_version,
        scale=_SCALES.get((group, row.resource)),
        warning=_DEPRECATED.get((group, version, row.resource), ""),
    )


def built_in() -> Registry:
    """A registry of everything Kubernetes serves without CRDs."""
    raw = files("kruise_rollouts.sandbox").joinpath("data/discovery.json").read_bytes()
    groups = msgspec.json.decode(raw, type=tuple[_Group, ...])
    return Registry(tuple(_resource(g.group, g.version, row) for g in groups for row in g.resources))
