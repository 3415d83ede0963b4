"""Whether a CustomResourceDefinition may be stored, in Kubernetes' words. Its schemas are judged in schema_rules.py.

`default_crd` fills in what may be left out; `validate_crd` says what is wrong. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.admission.client_rules import client_causes, review_version_causes
from kruise_rollouts.sandbox.metadata import SUBDOMAIN_RULE

from .crd_names import APPROVAL, is_protected, is_true, storage_version
from .schema_rules import schema_causes
from .value_check import KIND_RULE, LABEL_1035_RULE, forbidden, invalid, required, shown, unsupported

_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SIMPLE_PATH = re.compile(r"\.[^.\s].*")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_POLICY_URL = "https://github.com/kubernetes/enhancements/pull/1111"
_NO_CONDITION: JsonObject = {"type": "", "status": "", "lastTransitionTime": None}
_HOISTED = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")


def default_crd(crd: JsonObject) -> JsonObject:
    """`crd` with defaults: names that follow from others, no conversion."""
    spec = dict(crd.get("spec") or {})
    names = dict(spec.get("names") or {})
    kind = names.get("kind") or ""
    if kind:
        names.setdefault("singular", kind.lower())
        names.setdefault("listKind", f"{kind}List")
    spec["names"] = names
    conversion = dict(spec.get("conversion") or {"strategy": "None"})
    webhook = conversion.get("webhook") or {}
    service = (webhook.get("clientConfig") or {}).get("service")
    if service is not None and "port" not in service:
        client = {**webhook["clientConfig"], "service": {**service, "port": 443}}
        conversion["webhook"] = {**webhook, "clientConfig": client}
    spec["conversion"] = conversion
    out = {**crd, "spec": spec}
    return {**out, "status": _default_status(out)} if "status" in crd else out


def _default_status(crd: JsonObject) -> JsonObject:
    """Its status, with what every status shows; the version objects are stored in has been stored once."""
    status: JsonObject = {
        "acceptedNames": {"plural": "", "kind": ""},
        "conditions": None,
        **(crd["status"] or {}),
    }
    conditions = status["conditions"]
    if conditions is not None:
        status["conditions"] = [{**_NO_CONDITION, **c} for c in conditions]
    stored, now = list(status.get("storedVersions") or ()), storage_version(crd)
    if now and now not in stored:
        stored.append(now)
    status["storedVersions"] = stored or None
    return status


def validate_crd(new: JsonObject, old: JsonObject | None) -> tuple[Cause, ...]:
    """What is wrong with `new`, which replaces `old` (None: created)."""
    spec = new.get("spec") or {}
    names = spec.get("names") or {}
    causes = [
        *_identity(new, spec, names),
        *_names(names),
        *_versions(spec),
        *_conversion(spec.get("conversion") or {}),
    ]
    if old is None:
        causes += _approval(new)
        if not storage_version(new):
            causes.append(invalid("status.storedVersions", None, "must have at least one stored version"))
    if spec.get("preserveUnknownFields"):
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        causes.append(invalid("spec.preserveUnknownFields", True, why))
    if old is not None:
        causes += [*_unchanged(spec, old), *_stored_versions(new)]
    return tuple(causes)


def _identity(new: JsonObject, spec: JsonObject, names: JsonObject) -> Iterator[Cause]:
    group, name = spec.get("group") or "", new["metadata"].get("name", "")
    if name != f"{names.get('plural', '')}.{group}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    if not group:
        yield required("spec.group")
    elif not _SUBDOMAIN.fullmatch(group):
        yield invalid("spec.group", group, SUBDOMAIN_RULE)
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")
    scope = spec.get("scope") or ""
    if not scope:
        yield required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield unsupported("spec.scope", scope, ("Cluster", "Namespaced"))


def _names(names: JsonObject) -> Iterator[Cause]:
    for field in ("plural", "singular", "kind", "listKind"):
        value, at = names.get(field) or "", f"spec.names.{field}"
        if not value:
            yield required(at)
        elif field in ("plural", "singular") and not _LABEL.fullmatch(value):
            yield invalid(at, value, LABEL_1035_RULE)
        elif field in ("kind", "listKind") and not _LABEL.fullmatch(value.lower()):
            yield invalid(at, value, KIND_RULE)
    for field in ("shortNames", "categories"):
        for index, value in enumerate(names.get(field) or ()):
            if not _LABEL.fullmatch(value):
                yield invalid(f"spec.names.{field}[{index}]", value, LABEL_1035_RULE)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield invalid("spec.names.listKind", names["listKind"], "kind and listKind may not be the same")


def hoisted(spec: JsonObject) -> bool:
    """Whether all versions say the same: Kubernetes then names fields as if they stood outside the versions."""
    versions = spec.get("versions") or ()
    first = [versions[0].get(f) for f in _HOISTED] if versions else []
    return bool(versions) and all([v.get(f) for f in _HOISTED] == first for v in versions)


def _versions(spec: JsonObject) -> Iterator[Cause]:
    versions: list[JsonObject] = spec.get("versions") or []
    names = [v.get("name", "") for v in versions]
    if sum(bool(v.get("storage")) for v in versions) != 1:
        yield _whole_list(spec, "must have exactly one version marked as storage version")
    if len(set(names)) != len(names):
        yield _whole_list(spec, "must contain unique version names")
    outside = hoisted(spec)
    for index, version in enumerate(versions):
        at = f"spec.versions[{index}]"
        if not _LABEL.fullmatch(names[index]):
            if index == 0:  # it is spec.version as well, as CRDs with one version once had it
                yield invalid("spec.version", names[index], LABEL_1035_RULE)
            yield invalid(f"{at}.name", names[index], LABEL_1035_RULE)
        if version.get("deprecationWarning") is not None and not version.get("deprecated"):
            why = "can only be set for deprecated versions"
            yield invalid(f"{at}.deprecationWarning", version["deprecationWarning"], why)
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"{at}.schema.openAPIV3Schema")
        elif not outside:
            yield from _version(version, at, f"{at}.schema")
    if outside and versions and (versions[0].get("schema") or {}).get("openAPIV3Schema"):
        yield from _version(versions[0], "spec", "spec.validation")


def _whole_list(spec: JsonObject, why: str) -> Cause:
    """A complaint about spec.versions, which is shown without what its versions share."""
    if spec.get("versions") is None:
        return invalid("spec.versions", None, why)
    fields = ("name", "served", "storage", "deprecated", "deprecationWarning")
    unset = {"name": "", "deprecationWarning": None}
    shared = ("Schema", "Subresources", "AdditionalPrinterColumns", "SelectableFields")
    texts = []
    for version in spec["versions"]:
        said = [f"{shown(f[0].upper() + f[1:])}:{shown(version.get(f, unset.get(f, False)))}" for f in fields]
        texts.append("{" + ",".join([*said, *(f'"{name}":null' for name in shared)]) + "}")
    return Cause("FieldValueInvalid", f"Invalid value: [{','.join(texts)}]: {why}", "spec.versions")


def _version(version: JsonObject, at: str, schema_at: str) -> Iterator[Cause]:
    schema = version["schema"]["openAPIV3Schema"]
    yield from schema_causes(schema, f"{schema_at}.openAPIV3Schema")
    scale = (version.get("subresources") or {}).get("scale")
    if scale is not None:
        yield from _scale(scale, f"{at}.subresources.scale")
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        yield from _column(column, f"{at}.additionalPrinterColumns[{index}]")
    for index, field in enumerate(version.get("selectableFields") or ()):
        yield from _selectable(
            field.get("jsonPath") or "", schema, f"{at}.selectableFields[{index}].jsonPath"
        )


def _scale(scale: JsonObject, at: str) -> Iterator[Cause]:
    for field, root in (
        ("specReplicasPath", ".spec"),
        ("statusReplicasPath", ".status"),
        ("labelSelectorPath", ""),
    ):
        path = scale.get(field) or ""
        if not path:
            if root:
                yield required(f"{at}.{field}")
        elif not _SIMPLE_PATH.fullmatch(path):
            yield invalid(f"{at}.{field}", path, "must be a simple json path starting with .")
        elif root and not path.startswith(f"{root}."):
            yield invalid(f"{at}.{field}", path, f"should be a json path under {root}")
        elif not root and not path.startswith((".spec.", ".status.")):
            yield invalid(f"{at}.{field}", path, "should be a json path under either .spec or .status")


def _column(column: JsonObject, at: str) -> Iterator[Cause]:
    if not column.get("name"):
        yield required(f"{at}.name")
    kind, form, path = column.get("type") or "", column.get("format") or "", column.get("jsonPath") or ""
    if not kind:
        yield required(f"{at}.type")
    elif kind not in _COLUMN_TYPES:
        yield invalid(f"{at}.type", kind, f"must be one of {','.join(_COLUMN_TYPES)}")
    if form and form not in _COLUMN_FORMATS:
        yield invalid(f"{at}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}")
    if not path:
        yield required(f"{at}.JSONPath")
    elif not _SIMPLE_PATH.fullmatch(path):
        yield invalid(f"{at}.JSONPath", path, "must be a simple json path starting with .")


def _selectable(path: str, schema: JsonObject, at: str) -> Iterator[Cause]:
    if not path.startswith("."):
        yield invalid(at, path, f"is an invalid path: expected [ or . but got: {path}")
        return
    node: Json = schema
    for name in path[1:].split("."):
        node = ((node or {}).get("properties") or {}).get(name)
    if node is None:
        yield invalid(at, path, "is an invalid path: does not refer to a valid field")
    elif node.get("type") not in ("string", "boolean", "integer"):
        why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
        yield invalid(at, path, why)


def _conversion(conversion: JsonObject) -> Iterator[Cause]:
    strategy = conversion.get("strategy") or ""
    webhook = conversion.get("webhook") or {}
    versions, at = webhook.get("conversionReviewVersions") or [], "spec.conversion.conversionReviewVersions"
    if strategy not in ("None", "Webhook"):
        yield unsupported("spec.conversion.strategy", strategy, ("None", "Webhook"))
    if strategy != "Webhook":
        if versions:
            yield forbidden(at, "should not be set when strategy is not set to Webhook")
        if webhook.get("clientConfig"):
            why = "should not be set when strategy is not set to Webhook"
            yield forbidden("spec.conversion.webhookClientConfig", why)
        return
    client = webhook.get("clientConfig")
    if client is None:
        yield required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook")
    else:
        yield from client_causes(client, "spec.conversion.webhookClientConfig")
    yield from review_version_causes(versions, at, "")


def _approval(new: JsonObject) -> Iterator[Cause]:
    if not is_protected((new.get("spec") or {}).get("group") or ""):
        return
    at = f"metadata.annotations[{APPROVAL}]"
    text = (new["metadata"].get("annotations") or {}).get(APPROVAL, "")
    wanted = f'protected groups must have approval annotation "{APPROVAL}"'
    if not text:
        yield required(at, f"{wanted}, see {_POLICY_URL}")
    elif not text.startswith("unapproved") and not (urlsplit(text).scheme and urlsplit(text).netloc):
        why = f'{wanted} with either a URL or a reason starting with "unapproved", see {_POLICY_URL}'
        yield invalid(at, text, why)


def _unchanged(spec: JsonObject, old: JsonObject) -> Iterator[Cause]:
    was = old["spec"]
    fields = ["group", "scope"] if is_true(old, "Established") else ["group"]
    for field in fields:
        if spec.get(field) != was.get(field):
            yield invalid(f"spec.{field}", spec.get(field), "field is immutable")
    named = ("kind", "plural") if is_true(old, "Established") else ("plural",)
    for field in named:
        if (spec.get("names") or {}).get(field) != was["names"].get(field):
            yield invalid(f"spec.names.{field}", (spec.get("names") or {}).get(field), "field is immutable")


def _stored_versions(new: JsonObject) -> Iterator[Cause]:
    stored = (new.get("status") or {}).get("storedVersions") or []
    known = {v.get("name") for v in (new.get("spec") or {}).get("versions") or ()}
    for index, name in enumerate(stored):
        if name not in known and name != storage_version(new):
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions "
                f"until a storage migration ensures no data remains persisted in {name} and removes {name} from "
                "status.storedVersions"
            )
            yield Cause(
                "FieldValueInvalid", f"Invalid value: {shown(name)}: {why}", f"status.storedVersions[{index}]"
            )
