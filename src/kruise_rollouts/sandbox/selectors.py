"""Label and field selectors as requests write them, and LabelSelectors as objects hold them.

A parsed selector is a tuple of requirements; `matches_labels` and `matches_fields` judge an object by them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import BadRequest

from .resources import Resource

KEY_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


class Requirement(Struct, frozen=True):
    """`op` is one of in, notin, exists, absent, gt, lt."""

    key: str
    op: str
    values: tuple[str, ...] = ()


Selector: TypeAlias = tuple[Requirement, ...]

_TOKEN = re.compile(r"\s*(==|!=|=|!|<|>|\(|\)|,|[^\s=!<>(),]+)")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def _tokens(text: str) -> list[str]:
    out, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise BadRequest(f"unable to parse requirement: found '{text[at:]}', expected: identifier")
        out.append(found.group(1))
        at = found.end()
    return out


def _expected(found: str, what: str) -> BadRequest:
    return BadRequest(f"unable to parse requirement: found '{found}', expected: {what}")


def is_label_key(key: str) -> bool:
    """Whether `key` is a qualified name."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (_PREFIX.fullmatch(prefix) and len(prefix) <= 253):
        return False
    return _NAME.fullmatch(name) is not None


def is_label_value(value: str) -> bool:
    return value == "" or _NAME.fullmatch(value) is not None


def _checked(requirement: Requirement) -> Requirement:
    if requirement.key.count("/") > 1:
        raise BadRequest(
            f'unable to parse requirement: <nil>: Invalid value: "{requirement.key}": a valid label key {KEY_RULE} '
            "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )
    if not is_label_key(requirement.key):
        raise BadRequest(
            f'unable to parse requirement: <nil>: Invalid value: "{requirement.key}": name part {KEY_RULE}'
        )
    for index, value in enumerate(requirement.values):
        if requirement.op in ("gt", "lt"):
            if not re.fullmatch(r"[+-]?\d+", value):
                raise BadRequest(f"unable to parse requirement: values[0]: Invalid value: "
                                 f"\"{value}\": for 'Gt', 'Lt' operators, the value must be an integer")  # fmt: skip
        elif not is_label_value(value):
            raise BadRequest(
                f'unable to parse requirement: values[{index}][{requirement.key}]: Invalid value: "{value}": '
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
                "must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
                "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            )
    return requirement


_OPERATORS = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt", "in": "in", "notin": "notin"}
_SPECIAL = frozenset(("=", "==", "!=", "!", "<", ">", "(", ")", ","))


@lru_cache(maxsize=1024)
def parse_labels(text: str) -> Selector:
    """The requirements of a label selector; () selects everything. Raises BadRequest."""
    tokens = [*_tokens(text), ""]
    out: list[Requirement] = []
    at = 0
    if tokens[0] == "":
        return ()
    while True:
        negated = tokens[at] == "!"
        at += negated
        key = tokens[at]
        if key in _SPECIAL or key == "":
            if negated or key == "":
                raise _expected(key, "identifier")
            raise BadRequest(f"found '{key}', expected: !, identifier, or 'end of string'")
        operator = tokens[at + 1] if at + 1 < len(tokens) else ""
        if negated or operator in ("", ","):
            out.append(_checked(Requirement(key, "absent" if negated else "exists")))
            at += 1
        elif operator not in _OPERATORS:
            raise _expected(operator, "in, notin, =, ==, !=, gt, lt")
        else:
            values, at = _values(tokens, at + 2, operator)
            out.append(_checked(Requirement(key, _OPERATORS[operator], values)))
        if tokens[at] == "":
            return tuple(out)
        if tokens[at] != ",":
            raise BadRequest(f"found '{tokens[at]}', expected: ',' or 'end of string'")
        at += 1
        if tokens[at] == "":
            raise BadRequest("found '', expected: identifier after ','")


def _values(tokens: list[str], at: int, operator: str) -> tuple[tuple[str, ...], int]:
    """The values after an operator, and where they end."""
    if operator not in ("in", "notin"):
        value = tokens[at]
        if value in ("", ","):
            return ("",), at
        if value in _SPECIAL:
            raise _expected(value, "identifier")
        return (value,), at + 1
    if tokens[at] != "(":
        raise BadRequest(f"unable to parse requirement: found '{tokens[at]}' expected: '('")
    values: list[str] = []
    at += 1
    expect_value = True
    while tokens[at] != ")":
        token = tokens[at]
        if token == "":
            what = "',', ')' or identifier" if expect_value and not values else "',' or ')'"
            raise BadRequest(f"unable to parse requirement: found '', expected: {what}")
        if token == ",":
            if expect_value:
                values.append("")
            expect_value = True
        elif token in _SPECIAL:
            raise BadRequest(f"unable to parse requirement: found '{token}', expected: ',', or identifier")
        else:
            values.append(token)
            expect_value = False
        at += 1
    if expect_value:
        values.append("")
    return tuple(values), at + 1


def matches_labels(selector: Selector, obj: JsonObject) -> bool:
    """Whether the labels of `obj` meet every requirement."""
    labels = obj["metadata"].get("labels") or {}
    return matches(selector, labels)


def matches(selector: Selector, labels: dict[str, str]) -> bool:
    """Whether `labels` meet every requirement."""
    for r in selector:
        value = labels.get(r.key)
        if r.op == "in":
            ok = value is not None and value in r.values
        elif r.op == "notin":
            ok = value is None or value not in r.values
        elif r.op == "exists":
            ok = value is not None
        elif r.op == "absent":
            ok = value is None
        else:
            ok = value is not None and value.lstrip("+-").isdigit() and (
                int(value) > int(r.values[0]) if r.op == "gt" else int(value) < int(r.values[0])
            )  # fmt: skip
        if not ok:
            return False
    return True


_IN_OBJECTS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}


def of_object(selector: JsonObject | None) -> Selector | None:
    """Requirements of a LabelSelector; None (nothing is selected) if there is none."""
    if selector is None:
        return None
    out = [Requirement(k, "in", (v,)) for k, v in (selector.get("matchLabels") or {}).items()]
    for e in selector.get("matchExpressions") or ():
        out.append(Requirement(e["key"], _IN_OBJECTS[e["operator"]], tuple(e.get("values") or ())))
    return tuple(out)


def text_of(selector: Selector) -> str:
    """A selector as scale subresources show it."""
    parts = []
    for r in sorted(selector, key=lambda r: r.key):
        if r.op == "in" and len(r.values) == 1:
            parts.append(f"{r.key}={r.values[0]}")
        elif r.op in ("in", "notin"):
            parts.append(f"{r.key} {r.op} ({','.join(sorted(r.values))})")
        else:
            parts.append(r.key if r.op == "exists" else f"!{r.key}")
    return ",".join(parts)


# Fields that can be selected besides metadata.name and metadata.namespace; a value is where it is, if elsewhere.
_FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    ),
    ("", "events"): (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    ),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "namespaces"): ("status.phase", "name"),
    ("", "secrets"): ("type",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("", "replicationcontrollers"): ("status.replicas",),
    ("batch", "jobs"): ("status.successful",),
    ("certificates.k8s.io", "certificatesigningrequests"): ("spec.signerName",),
}  # fmt: skip
_ELSEWHERE = {"status.successful": "status.succeeded", "name": "metadata.name"}
_IN_NEW_EVENTS = {"regarding": "involvedObject", "reportingController": "reportingComponent"}
_FIELD_TERM = re.compile(r"((?:[^\\,=!]|\\.)*?)(==|!=|=)((?:[^\\,=]|\\.)*)$")


def parse_fields(text: str, resource: Resource) -> Selector:
    """The requirements of a field selector. Raises BadRequest for a field this resource cannot be selected by."""
    out = []
    known = (*_FIELDS.get(resource.storage, ()), *resource.selectable)
    for term in re.split(r"(?<!\\),", text):
        if not term:
            continue
        found = _FIELD_TERM.match(term)
        if found is None:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{term}'")
        field, operator, value = (
            found.group(1).strip(),
            found.group(2),
            re.sub(r"\\(.)", r"\1", found.group(3)),
        )
        if not field and not value:
            continue
        root, dot, rest = field.partition(".")
        field = (
            f"{_IN_NEW_EVENTS[root]}{dot}{rest}"
            if resource.group == "events.k8s.io" and root in _IN_NEW_EVENTS
            else field
        )
        if field not in ("metadata.name", "metadata.namespace") and field not in known:
            raise BadRequest(_unknown_field(resource, field))
        out.append(Requirement(field, "notin" if operator == "!=" else "in", (value,)))
    return tuple(out)


def _unknown_field(resource: Resource, field: str) -> str:
    if resource.storage == ("batch", "jobs"):
        return f'field label "{field}" not supported for Job'
    if resource.custom or resource.storage in _FIELDS:
        return f"field label not supported: {field}"
    return f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def matches_fields(selector: Selector, obj: JsonObject) -> bool:
    """Whether fields of `obj`, in its stored version, meet every requirement. An absent field is ""."""
    return all((_field(obj, r.key) in r.values) == (r.op == "in") for r in selector)


def _field(obj: Json, path: str) -> str:
    if path == "status.podIPs":
        return ",".join(p.get("ip", "") for p in (obj.get("status") or {}).get("podIPs") or ())
    if path == "source":  # of old Events it is the source's component
        return _field(obj, "source.component") or _field(obj, "reportingComponent")
    for part in _ELSEWHERE.get(path, path).split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    if obj is None:
        return {"spec.unschedulable": "false", "spec.hostNetwork": "false"}.get(
            path, "0" if path in _NUMBERS else ""
        )
    return ("true" if obj else "false") if isinstance(obj, bool) else str(obj)


_NUMBERS = frozenset(("status.replicas", "status.successful"))
