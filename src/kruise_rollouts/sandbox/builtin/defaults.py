"""The form built-in kinds have once the server has understood them: zeroes left out, quantities shortest, defaults in.

One walk along the schema does all. Which default a type has is said by functions in defaults_pods.py,
defaults_workloads.py and defaults_other.py; which zeroes are written nevertheless is recorded in data/zeroes.json.
What a value may be is validation.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import TypeAlias

import msgspec

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.resources import Resource
from kruise_rollouts.sandbox.schemas.schema import ABSENT, Node, schema_of

from . import defaults_other, defaults_pods, defaults_workloads
from .scalars import INT_OR_STRING, SCALAR_FORMS

Complete: TypeAlias = Callable[[JsonObject], JsonObject]

# What completes an object of a type once its members are complete, by the end of the type's name.
_COMPLETE: dict[str, Complete] = {
    **defaults_pods.COMPLETE,
    **defaults_workloads.COMPLETE,
    **defaults_other.COMPLETE,
}
# Types whose objects many others share: a walk through one is made once.
_SHARED = frozenset(("Container", "PodSpec", "PodTemplateSpec", "Volume", "Toleration", "PodSecurityContext"))
_REMEMBERED = 8192  # objects
# Fields of features that are off in the recorded release: what is written there is forgotten.
_OFF = {
    "RollingUpdateStatefulSetStrategy": ("maxUnavailable",),
    "LeaseSpec": ("strategy", "preferredHolder"),
}


class _Recorded(msgspec.Struct, frozen=True):
    always: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()


@cache
def _zeroes() -> dict[str, _Recorded]:
    raw = files("kruise_rollouts.sandbox").joinpath("data/zeroes.json").read_bytes()
    return msgspec.json.decode(raw, type=dict[str, _Recorded])


class _Form:
    """How values of one schema node are completed. Children are made when first asked for."""

    __slots__ = (
        "_known",
        "_node",
        "_off",
        "_seen",
        "_zeroes",
        "always",
        "complete",
        "items",
        "kept",
        "scalar",
        "zero",
    )

    def __init__(self, node: Node, *, kept: bool = False) -> None:
        self._node = node
        self._known: dict[str, _Form | None] = {}
        self._zeroes = _zeroes().get(node.definition, _Recorded())
        name = node.definition.rpartition(".")[2]
        self.scalar = SCALAR_FORMS.get(name)
        self.complete = _COMPLETE.get(node.definition) or _COMPLETE.get(name)
        self._off = frozenset(_OFF.get(name, ()))
        self.kept = kept  # is written even if empty
        self.zero: Json = self._zero()
        self.items: _Form | None = None  # of list elements and map values; None: they are as they are
        below = node.items if node.type == "array" else None if node.properties else node.additional
        if (
            below is not None
            and below is not node
            and not below.opaque
            and (below.type != "string" or below.definition)
        ):
            self.items = _form_of(below)
        self._seen: dict[int, JsonObject] | None = {} if name in _SHARED else None
        self.always: tuple[tuple[str, _Form], ...] | None = None

    def _zero(self) -> Json:
        """What the value is if it is written without ever having been given."""
        if "default" not in self._node.raw or self._node.definition.endswith(("Time", "FieldsV1")):
            return None
        return 0 if self._node.definition == INT_OR_STRING else self._node.raw["default"]

    def member(self, key: str) -> _Form | None:
        if key in self._known:
            return self._known[key]
        node = self._node.child(key) if self._node.properties else None
        kept = key in self._zeroes.kept or key in self._zeroes.always
        if node is None or node.opaque:
            found = None
        elif node.raw.get("default") is None and node.definition and not kept:
            found = _form_of(node)
        else:
            found = _Form(node, kept=kept)
        self._known[key] = found
        return found

    def missing(self, obj: JsonObject) -> list[tuple[str, Json]]:
        """Members that every such object is written with and `obj` has not."""
        if self.always is None:
            found = (
                (key, self.member(key))
                for key in sorted(self._zeroes.always)
                if key != "metadata" or self._plain
            )
            self.always = tuple((key, form) for key, form in found if form is not None)
        return [
            (k, form.value(form.zero) if form.zero == {} else form.zero)
            for k, form in self.always
            if k not in obj
        ]

    @property
    def _plain(self) -> bool:
        """Whether this is no object of its own, with a status that starts as rules.py says."""
        return "kind" not in self._node.properties

    def value(self, value: Json) -> Json:
        """`value`, completed; ABSENT if it says nothing. The same object if nothing is to be changed."""
        if self.scalar is not None:
            return self.scalar(value)
        if type(value) is dict:
            if self._node.properties:
                return self.struct(value)
            return self._map(value)
        if type(value) is list:
            return self._list(value)
        return value

    def _map(self, value: JsonObject) -> Json:
        if not value:
            return value if self.kept else ABSENT
        if self.items is None:
            return value
        out = {key: self.items.value(v) for key, v in value.items()}
        return value if all(out[k] is value[k] for k in value) else out

    def _list(self, value: list[Json]) -> Json:
        if not value:  # an empty list is stored as none, which some fields show as null
            return None if self.kept else ABSENT
        if self.items is None:
            return value
        out = [self.items.value(v) for v in value]
        return value if all(a is b for a, b in zip(out, value, strict=True)) else out

    def struct(self, obj: JsonObject) -> JsonObject:
        seen = self._seen
        if seen is not None and seen.get(id(obj)) is obj:
            return obj
        changed: JsonObject = {}
        known = self._known
        for key, value in obj.items():
            form = known.get(key) or self.member(key)
            if form is None:
                continue
            if value.__class__ in _COMPOSED or form.scalar is not None:
                new = form.value(value)
            elif value or form.kept:
                continue
            else:
                new = ABSENT
            if new is not value:
                changed[key] = new
        out = obj
        if changed:
            out = {k: changed.get(k, v) for k, v in obj.items()}
            out = {k: v for k, v in out.items() if v is not ABSENT}
        missing = self.missing(out)
        if missing:
            out = {**out, **dict(missing)}
        if self._off and not self._off.isdisjoint(out):
            out = {k: v for k, v in out.items() if k not in self._off}
        if self.complete is not None:
            out = self.complete(out)
        if seen is not None:
            if len(seen) >= _REMEMBERED:
                seen.clear()
            seen[id(out)] = out
        return out


_COMPOSED = (dict, list)
_forms: dict[str, _Form] = {}


def _form_of(node: Node) -> _Form:
    if not node.definition or node.raw.get("default") is not None:
        return _Form(node)
    found = _forms.get(node.definition)
    if found is None:
        found = _forms[node.definition] = _Form(node)
    return found


@cache
def _form_of_kind(group: str, version: str, kind: str) -> _Form | None:
    node = schema_of(group, version, kind)
    return None if node is None else _form_of(node)


def apply_defaults(resource: Resource, obj: JsonObject) -> JsonObject:
    """`obj` with defaults filled in; the same dict if nothing was missing. Never changes `obj`."""
    form = None if resource.custom else _form_of_kind(resource.group, resource.version, resource.kind)
    if form is None:
        return obj
    return form.struct(obj)
