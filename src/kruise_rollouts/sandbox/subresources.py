"""Subresources that show the object, or a part of it, in another shape: status and scale."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.custom import value_check
from kruise_rollouts.sandbox.schemas.field_types import WrongType
from kruise_rollouts.sandbox.schemas.fields import check_object
from kruise_rollouts.sandbox.schemas.schema import schema_of

from .refusals import refused_patch
from .resources import Resource, Scale
from .selectors import of_object, text_of


class View(Struct, frozen=True):
    """An object as a subresource shows it (`read`), and the object after what was shown has been put (`write`)."""

    read: Callable[[JsonObject], JsonObject]
    write: Callable[[JsonObject, JsonObject], JsonObject]


WHOLE = View(lambda live: live, lambda live, shown: shown)
_WHOLE_NAMES = frozenset(("status", "finalize", "approval", "ephemeralcontainers", "resize"))


def _read_scale(live: JsonObject, scale: Scale) -> JsonObject:
    meta = live["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: JsonObject = {"replicas": _get(live, scale.status_path) or 0}
    selector = _get(live, scale.selector_path) if scale.selector_path else None
    if isinstance(selector, dict):
        is_map = all(isinstance(v, str) for v in selector.values())
        selector = text_of(of_object({"matchLabels": selector} if is_map else selector) or ())
    if selector:
        status["selector"] = selector
    replicas = _get(live, scale.spec_path)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {k: meta[k] for k in kept if k in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _write_scale(live: JsonObject, shown: JsonObject, scale: Scale) -> JsonObject:
    return _put(live, scale.spec_path.split("."), (shown.get("spec") or {}).get("replicas") or 0)


def without_zero_scale(resource: Resource, live: JsonObject) -> JsonObject:
    """`live` as who applies its scale finds it: no replicas are not written down, so that any number is news."""
    scale = resource.scale
    if scale is None or _get(live, scale.spec_path) != 0:
        return live
    return _without(live, scale.spec_path.split("."))


def _without(obj: JsonObject, path: list[str]) -> JsonObject:
    if len(path) == 1:
        return {k: v for k, v in obj.items() if k != path[0]}
    return {**obj, path[0]: _without(obj[path[0]], path[1:])}


def check_scale(scale: JsonObject) -> JsonObject:
    """A patched Scale, its fields of the right types. Raises Invalid."""
    node = schema_of("autoscaling", "v1", "Scale")
    if node is None:
        return scale
    try:
        return check_object(scale, node)[0]
    except WrongType as wrong:
        raise refused_patch(scale, str(wrong)) from wrong


def negative_scale(scale: JsonObject) -> Cause:
    return value_check.invalid(
        "spec.replicas", scale["spec"]["replicas"], "must be greater than or equal to 0"
    )


def view_of(resource: Resource, subresource: str) -> View | None:
    """The view of a subresource; None if it has none (it is not served, or answered elsewhere)."""
    if subresource == "":
        return WHOLE
    if resource.subresource(subresource) is None:
        return None
    if subresource == "scale" and resource.scale is not None:
        scale = resource.scale
        return View(
            lambda live: _read_scale(live, scale), lambda live, shown: _write_scale(live, shown, scale)
        )
    return WHOLE if subresource in _WHOLE_NAMES else None


def _get(obj: Json, path: str) -> Json:
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def _put(obj: Json, path: list[str], value: Json) -> JsonObject:
    inner = obj if isinstance(obj, dict) else {}
    if len(path) == 1:
        return {**inner, path[0]: value}
    return {**inner, path[0]: _put(inner.get(path[0]), path[1:], value)}
