"""What metadata may hold, for every kind."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.custom.value_check import forbidden, invalid, required

from .resources import Resource
from .selectors import KEY_RULE

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
ANNOTATIONS_BYTES = 256 * 1024
# Names of these are path segments only: they may hold colons and capitals.
_FREE_NAMES = frozenset(("roles", "rolebindings", "clusterroles", "clusterrolebindings"))
# Names of these are a single label: they become part of DNS names or of host names.
_LABEL_NAMES = frozenset((("", "namespaces"), ("", "services"), ("apps", "statefulsets")))
_STANDARD_FINALIZERS = frozenset(("kubernetes", "orphan", "foregroundDeletion"))


def check_metadata(resource: Resource, new: JsonObject, old: JsonObject | None) -> tuple[Cause, ...]:
    """Why the metadata of `new` is refused; () if it is fine. `old` is None when it is created."""
    meta = new["metadata"]
    causes: list[Cause] = []
    was = old["metadata"] if old is not None else {}
    if old is None:
        causes += _names(resource, meta)
        if (meta.get("generation") or 0) < 0:
            causes.append(
                invalid("metadata.generation", meta["generation"], "must be greater than or equal to 0")
            )
    for key, check in (
        ("labels", _labels),
        ("annotations", _annotations),
        ("ownerReferences", _owners),
        ("finalizers", _finalizers),
    ):
        value = meta.get(key)
        if value and value is not was.get(key):  # what is stored has been checked
            causes += _as_often(resource, key, tuple(check(value)), update=old is not None)
    if was.get("deletionTimestamp"):
        causes += _late_finalizers(meta, was)
    return tuple(causes)


# An update of these is checked like a new object, too.
_CHECKED_WHOLE = frozenset((("", "configmaps"), ("", "secrets"), ("", "serviceaccounts")))


def _as_often(resource: Resource, key: str, causes: tuple[Cause, ...], *, update: bool) -> tuple[Cause, ...]:
    """`causes` as often as they are found: an update is checked by several, and each says so."""
    if not update:
        return causes
    whole = resource.storage in _CHECKED_WHOLE
    if key != "finalizers":
        return causes * (4 if whole else 3)
    if whole:
        return causes * 2
    return tuple(c for c in causes if "[" not in c.field) if resource.custom else causes


def _names(resource: Resource, meta: JsonObject) -> Iterator[Cause]:
    base, name = meta.get("generateName") or "", meta.get("name") or ""
    if base:
        yield from _name(resource, "metadata.generateName", base.rstrip("-") or base)
    if name and resource.storage == ("networking.k8s.io", "ipaddresses"):
        yield from _address(name)
    elif name:
        yield from _name(resource, "metadata.name", name)
    else:
        yield required("metadata.name", "name or generateName is required")


def _address(name: str) -> Iterator[Cause]:
    """What is wrong with a name that has to be an IP address."""
    try:
        canonical = str(ipaddress.ip_address(name))
    except ValueError:
        numbers = name.split(".")
        zeroes = len(numbers) == 4 and all(n.isdigit() for n in numbers)
        why = "must not have leading 0s" if zeroes and any(n != str(int(n)) for n in numbers) else (
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        )  # fmt: skip
        yield invalid("metadata.name", name, why)
        return
    if canonical != name:
        yield invalid("metadata.name", name, f'must be in canonical form ("{canonical}")')


def _name(resource: Resource, field: str, name: str) -> Iterator[Cause]:
    if resource.plural in _FREE_NAMES and not resource.custom:
        for bad in ("/", "%"):
            if bad in name:
                yield invalid(field, name, f"may not contain '{bad}'")
        if name in (".", ".."):
            yield invalid(field, name, f"may not be '{name}'")
        return
    if resource.storage in _LABEL_NAMES:
        if "." in name:
            yield invalid(field, name, "must not contain dots")
        elif len(name) > 63:
            yield invalid(field, name, "must be no more than 63 characters")
        elif not _LABEL.fullmatch(name):
            yield invalid(field, name, LABEL_RULE)
        return
    if len(name) > 253:
        yield invalid(field, name, "must be no more than 253 characters")
    elif not _SUBDOMAIN.fullmatch(name):
        yield invalid(field, name, SUBDOMAIN_RULE)


def _key(field: str, key: str) -> Iterator[Cause]:
    """Whether `key` is a qualified name."""
    if key.count("/") > 1:
        yield invalid(
            field,
            key,
            f"a valid label key {KEY_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        )
        return
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        yield invalid(field, key, "prefix part must be non-empty")
    elif slash and len(prefix) > 253:
        yield invalid(field, key, "prefix part must be no more than 253 characters")
    elif slash and not _SUBDOMAIN.fullmatch(prefix):
        yield invalid(field, key, f"prefix part {SUBDOMAIN_RULE}")
    if not name:
        yield invalid(field, key, "name part must be non-empty")
    elif len(name) > 63:
        yield invalid(field, key, "name part must be no more than 63 bytes")
    if not _NAME_PART.fullmatch(name):
        yield invalid(field, key, f"name part {KEY_RULE}")


def _labels(labels: JsonObject) -> Iterator[Cause]:
    for key, value in sorted(labels.items()):
        yield from _key("metadata.labels", key)
        if len(value) > 63:
            yield invalid("metadata.labels", value, "must be no more than 63 bytes")
        if value and not _NAME_PART.fullmatch(value):
            yield invalid("metadata.labels", value, _VALUE_RULE)


def _annotations(annotations: JsonObject) -> Iterator[Cause]:
    for key in sorted(annotations):
        yield from _key("metadata.annotations", key.lower())
    if sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items()) > ANNOTATIONS_BYTES:
        text = f"Too long: may not be more than {ANNOTATIONS_BYTES} bytes"
        yield Cause("FieldValueTooLong", text, "metadata.annotations")


def _owners(owners: list[JsonObject]) -> Iterator[Cause]:
    controllers = []
    for owner in owners:
        version = owner.get("apiVersion") or ""
        if not version:
            yield invalid("metadata.ownerReferences.apiVersion", version, "version must not be empty")
        if not owner.get("kind"):
            yield invalid("metadata.ownerReferences.kind", "", "must not be empty")
        for key in ("name", "uid"):
            if not owner.get(key):
                yield invalid(f"metadata.ownerReferences.{key}", "", "must not be empty")
        if (version, owner.get("kind")) == ("v1", "Event"):
            yield invalid(
                "metadata.ownerReferences",
                "/v1, Kind=Event",
                "/v1, Kind=Event is disallowed from being an owner",
            )
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        shown = ",".join(f'"{c}"' for c in controllers[:-1])
        why = 'Only one reference can have Controller set to true. Found "true" in references for '
        yield invalid(
            "metadata.ownerReferences", owners, f"{why}{shown.strip(chr(34))} and {controllers[-1]}"
        )


def _finalizers(finalizers: list[str]) -> Iterator[Cause]:
    for index, name in enumerate(finalizers):
        yield from _key("metadata.finalizers", name)
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid(f"metadata.finalizers[{index}]", name, why)
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        why = "finalizer orphan and foregroundDeletion cannot be both set"
        yield invalid("metadata.finalizers", finalizers, why)


def _late_finalizers(meta: JsonObject, was: JsonObject) -> Iterator[Cause]:
    before: Json = was.get("finalizers") or ()
    added = [f for f in meta.get("finalizers") or () if f not in before]
    if added:
        shown = ", ".join(f'"{f}"' for f in added)
        why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
        cause = forbidden("metadata.finalizers", why)
        yield from (cause, cause)  # it is checked for the metadata and again for the object
