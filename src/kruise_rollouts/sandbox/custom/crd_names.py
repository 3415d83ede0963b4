"""What becomes of a CustomResourceDefinition: the status its API server gives it, and the resources it serves.

Pure: `next_status` and `served_resources` look at CRD objects only. The object that keeps the registry in step is
in crd.py; whether a CRD may be stored at all is asked in crd_rules.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.sandbox.resources import Column, Resource, Scale, Subresource

APPROVAL = "api-approved.kubernetes.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_VERSION = re.compile(r"^v(\d+)(?:(alpha|beta)(\d+))?$")


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as Kubernetes prefers them: v10, v2, v1, v1beta2, v1beta1, v1alpha1, then others by name."""
    found = _VERSION.match(version)
    if found is None:
        return (3, 0, 0, version)
    major, stage, minor = found.groups()
    return ({None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0), "")


def is_protected(group: str) -> bool:
    """Groups of the Kubernetes community, whose APIs need approval."""
    return group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))


def condition(crd: JsonObject, type: str) -> JsonObject | None:
    """The condition `type` of `crd`; None if it has none."""
    conditions: Json = (crd.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == type), None)


def is_true(crd: JsonObject, type: str) -> bool:
    found = condition(crd, type)
    return found is not None and found.get("status") == "True"


def next_status(crd: JsonObject, others: Iterable[JsonObject], now: str) -> JsonObject:
    """The status of `crd` beside the `others` stored; equal to the present one if nothing changes.

    `now`: RFC 3339, for conditions that change.
    """
    accepted, conflict = _accept(crd, others)
    conditions = []
    approval = _approval(crd)
    if approval is not None:
        conditions.append(approval)
    if conflict is None:
        conditions.append(_condition("NamesAccepted", True, "NoConflicts", "no conflicts found"))
        text = "the initial names have been accepted"
        conditions.append(_condition("Established", True, "InitialNamesAccepted", text))
    else:
        conditions.append(_condition("NamesAccepted", False, *conflict))
        established = condition(crd, "Established")
        if established is None or established["status"] != "True":
            established = _condition("Established", False, "NotAccepted", "not all names are accepted")
        conditions.append(established)
    status: JsonObject = dict(crd.get("status") or {})
    status["acceptedNames"] = accepted
    status["conditions"] = with_conditions(status.get("conditions") or [], conditions, now)
    stored = list(status.get("storedVersions") or ())
    now_stored = storage_version(crd)
    status["storedVersions"] = stored if now_stored in stored else [*stored, now_stored]
    return status


def terminating(status: JsonObject, reason: str, message: str, now: str) -> JsonObject:
    """`status` with the condition Terminating."""
    wanted = _condition("Terminating", True, reason, message)
    return {**status, "conditions": with_conditions(status.get("conditions") or [], [wanted], now)}


def with_conditions(was: list[JsonObject], wanted: list[JsonObject], now: str) -> list[JsonObject]:
    """`was` with `wanted` put in place; lastTransitionTime moves only where the status changes."""
    out = list(was)
    for new in wanted:
        index = next((i for i, c in enumerate(out) if c.get("type") == new["type"]), None)
        if index is None:
            out.append({"lastTransitionTime": now, **new})
        elif any(out[index].get(k) != v for k, v in new.items()):
            moved = out[index].get("status") != new["status"]
            out[index] = {
                **new,
                "lastTransitionTime": now if moved else out[index].get("lastTransitionTime", now),
            }
    return out


def _condition(type: str, holds: bool, reason: str, message: str) -> JsonObject:
    return {"type": type, "status": str(holds), "reason": reason, "message": message}


def _approval(crd: JsonObject) -> JsonObject | None:
    if not is_protected(crd["spec"]["group"]):
        return None
    kind = "KubernetesAPIApprovalPolicyConformant"
    text = (crd["metadata"].get("annotations") or {}).get(APPROVAL, "")
    if not text:
        return _condition(
            kind, False, "MissingAnnotation", f"protected groups must have the annotation {APPROVAL!r}"
        )
    if text.startswith("unapproved"):
        return _condition(kind, False, "UnapprovedAnnotation", f'not approved: "{text}"')
    return _condition(kind, True, "ApprovedAnnotation", f"approved in {text}")


def _accept(crd: JsonObject, others: Iterable[JsonObject]) -> tuple[JsonObject, tuple[str, str] | None]:
    """The names `crd` may use, and why not all of them: (reason, message) or None.

    Names belong to who was accepted with them first; what is in conflict keeps its previously accepted value.
    """
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if (
            other["spec"]["group"] == crd["spec"]["group"]
            and other["metadata"]["name"] != crd["metadata"]["name"]
        ):
            taken = (other.get("status") or {}).get("acceptedNames") or {}
            resources.update(n for n in (taken.get("plural"), taken.get("singular")) if n)
            resources.update(taken.get("shortNames") or ())
            kinds.update(n for n in (taken.get("kind"), taken.get("listKind")) if n)
    names = crd["spec"]["names"]
    out: JsonObject = dict((crd.get("status") or {}).get("acceptedNames") or {"plural": "", "kind": ""})
    conflict: tuple[str, str] | None = None
    for field, reason, pool in (
        ("plural", "PluralConflict", resources),
        ("singular", "SingularConflict", resources),
        ("shortNames", "ShortNamesConflict", resources),
        ("kind", "KindConflict", kinds),
        ("listKind", "ListKindConflict", kinds),
    ):
        wanted = names.get(field)
        clashing = [n for n in (wanted if isinstance(wanted, list) else [wanted]) if n in pool]
        if clashing:
            conflict = (reason, "; ".join(f'"{n}" is already in use' for n in clashing))
        elif wanted:
            out[field] = wanted
        else:
            out.pop(field, None)
    if names.get("categories"):
        out["categories"] = names["categories"]
    else:
        out.pop("categories", None)
    return out, conflict


def storage_version(crd: JsonObject) -> str:
    """The name of the version objects are stored in."""
    versions = (crd.get("spec") or {}).get("versions") or ()
    return next((str(v["name"]) for v in versions if v.get("storage")), "")


def served_resources(crd: JsonObject) -> tuple[Resource, ...]:
    """The resources `crd` serves now, preferred version first; () until it is established."""
    if not is_true(crd, "Established"):
        return ()
    versions = [v for v in crd["spec"]["versions"] if v.get("served")]
    return tuple(_resource(crd, v) for v in sorted(versions, key=lambda v: version_rank(v["name"])))


def _resource(crd: JsonObject, version: JsonObject) -> Resource:
    spec, names = crd["spec"], crd["status"]["acceptedNames"]
    group = spec["group"]
    below = version.get("subresources") or {}
    subresources = []
    if below.get("status") is not None:
        subresources.append(Subresource("status", names["kind"], ("get", "patch", "update")))
    if below.get("scale") is not None:
        subresources.append(Subresource("scale", "Scale", ("get", "patch", "update"), "autoscaling", "v1"))
    return Resource(
        group=group,
        version=version["name"],
        plural=names["plural"],
        singular=names.get("singular", ""),
        kind=names["kind"],
        list_kind=names.get("listKind") or f"{names['kind']}List",
        namespaced=spec["scope"] == "Namespaced",
        verbs=_VERBS,
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(subresources),
        columns=_columns(version),
        custom=True,
        storage=(group, names["plural"]),
        storage_version=f"{group}/{storage_version(crd)}",
        scale=_scale(below.get("scale")),
        selectable=tuple(f["jsonPath"].removeprefix(".") for f in version.get("selectableFields") or ()),
        warning=_deprecation(crd, version),
    )


def _columns(version: JsonObject) -> tuple[Column, ...]:
    wanted = version.get("additionalPrinterColumns")
    if not wanted:
        wanted = [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]
    return tuple(
        Column(
            name=c["name"],
            type=c.get("type", "string"),
            format=c.get("format", ""),
            priority=c.get("priority", 0),
            json_path=c["jsonPath"],
            description=c.get("description", ""),
        )
        for c in wanted
    )


def _scale(scale: JsonObject | None) -> Scale | None:
    if scale is None:
        return None
    return Scale(
        scale["specReplicasPath"].removeprefix("."),
        scale["statusReplicasPath"].removeprefix("."),
        scale.get("labelSelectorPath", "").removeprefix("."),
    )


def _deprecation(crd: JsonObject, version: JsonObject) -> str:
    if not version.get("deprecated"):
        return ""
    given: str | None = version.get("deprecationWarning")
    if given is not None:
        return given
    group, kind, name = crd["spec"]["group"], crd["spec"]["names"]["kind"], version["name"]
    text = f"{group}/{name} {kind} is deprecated"
    better = [
        v["name"]
        for v in sorted(crd["spec"]["versions"], key=lambda v: version_rank(v["name"]))
        if v.get("served") and not v.get("deprecated") and version_rank(v["name"]) < version_rank(name)
    ]
    return f"{text}; use {group}/{better[0]} {kind}" if better else text
