"""x-kubernetes-validations: asks a schema's CEL rules about an object, in Kubernetes' words.

A rule that names oldSelf is a transition rule: it is asked only where the old value is known, unless it declares
optionalOldSelf. Rules are compiled when first asked. Whether a rule is well formed is asked in crd_rules.py.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from msgspec import Struct

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.sandbox.cel.program import CelCompileError, Program, compile_cel
from kruise_rollouts.sandbox.cel.values import NONE, CelError, Optional, parse_duration, parse_timestamp

from .structural import ABSENT, Node, old_item, old_property
from .value_check import NO_FIELD, shown, type_name

_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_MESSAGE_LIMIT = 5 * 1024
FIELD_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\['((?:[^'\\]|\\.)*)'\]")


class Rule(Struct, frozen=True):
    """One compiled rule."""

    source: str
    program: Program
    message: str
    message_program: Program | None  # None: none given
    reason: str
    field_path: str  # below the value; "" is the value itself
    transition: bool  # names oldSelf
    optional_old: bool  # oldSelf is an optional


def compile_rule(rule: JsonObject) -> Rule:
    """Raises CelCompileError."""
    source = rule["rule"]
    program = compile_cel(source, ("self", "oldSelf"))
    expression = rule.get("messageExpression", "")
    return Rule(
        source=source,
        program=program,
        message=rule.get("message", ""),
        message_program=compile_cel(expression, ("self", "oldSelf")) if expression else None,
        reason=rule.get("reason") or "FieldValueInvalid",
        field_path=rule.get("fieldPath", ""),
        transition="oldSelf" in program.used,
        optional_old=bool(rule.get("optionalOldSelf")),
    )


def unchecked() -> Cause:
    """Said in place of the rules when the object has not the shape they were written for."""
    return Cause("FieldValueInvalid", f"Invalid value: null: {_UNCHECKED}", NO_FIELD)


class Rules:
    """The rules of one schema."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._compiled: dict[int, tuple[Rule, ...]] = {}  # by id of the node, which the root keeps alive

    def check(self, new: Json, old: Json = ABSENT) -> tuple[Cause, ...]:
        """What the rules say against `new`, which replaces `old`."""
        return tuple(self._walk(new, self._root, "", old))

    def _walk(self, value: Json, node: Node, path: str, old: Json) -> Iterator[Cause]:
        if not node.has_rules or value is None:
            return
        if node.rules:
            yield from self._ask(value, node, path, old)
        if isinstance(value, list) and node.items is not None:
            for index, item in enumerate(value):
                yield from self._walk(item, node.items, f"{path}[{index}]", old_item(old, node, item))
        elif isinstance(value, dict):
            for key in sorted(value):
                child = node.child(key)
                if child is not None:
                    at = (f"{path}.{key}" if path else key) if key in node.properties else f"{path}[{key}]"
                    yield from self._walk(value[key], child, at, old_property(old, key))

    def _ask(self, value: Json, node: Node, path: str, old: Json) -> Iterator[Cause]:
        scope: JsonObject = {"self": to_cel(value, node)}
        known = old is not ABSENT and old is not None
        if known:
            scope["oldSelf"] = to_cel(old, node)
        for rule in self._rules(node):
            if rule.transition and not rule.optional_old and not known:
                continue
            if known and not rule.transition and old == value:
                continue
            asked = scope
            if rule.optional_old:
                asked = {**scope, "oldSelf": Optional(True, scope["oldSelf"]) if known else NONE}
            cause = _verdict(rule, asked, value, path)
            if cause is not None:
                yield cause

    def _rules(self, node: Node) -> tuple[Rule, ...]:
        found = self._compiled.get(id(node))
        if found is None:
            found = self._compiled[id(node)] = tuple(r for r in map(_compiled, node.rules) if r is not None)
        return found


def _compiled(rule: JsonObject) -> Rule | None:
    """None for a rule that does not compile: such a CRD is refused, unless it was stored before."""
    try:
        return compile_rule(rule)
    except CelCompileError:
        return None


def _verdict(rule: Rule, scope: JsonObject, value: Json, path: str) -> Cause | None:
    try:
        if rule.program.evaluate(scope) is True:
            return None
    except CelError as error:
        kind = shown(type_name(value))
        return Cause(
            "FieldValueInvalid",
            f"Invalid value: {kind}: {error} evaluating rule: {rule.message or rule.source}",
            path or NO_FIELD,
        )
    message = _message(rule, scope)
    at = _below(path, rule.field_path)
    simple = not isinstance(value, dict | list)
    match rule.reason:
        case "FieldValueForbidden":
            return Cause(rule.reason, f"Forbidden: {message}", at)
        case "FieldValueRequired":
            return Cause(rule.reason, f"Required value: {message}", at)
        case "FieldValueDuplicate":
            return Cause(rule.reason, f"Duplicate value: {shown(value)}" if simple else "Duplicate value", at)
    text = f"Invalid value: {shown(value)}: {message}" if simple else f"Invalid value: {message}"
    return Cause("FieldValueInvalid", text, at)


def _message(rule: Rule, scope: JsonObject) -> str:
    if rule.message_program is not None:
        try:
            text = rule.message_program.evaluate(scope)
        except CelError:
            text = ""
        if isinstance(text, str) and 0 < len(text.strip()) <= _MESSAGE_LIMIT and "\n" not in text:
            return text.strip()
    return rule.message or f"failed rule: {rule.source.strip()}"


def _below(path: str, field_path: str) -> str:
    """`path` continued by a fieldPath (`.a.b`, `.a['key']`)."""
    for name, key in FIELD_STEP.findall(field_path):
        step = f"[{key}]" if key else name
        path = f"{path}{step}" if key or not path else f"{path}.{step}"
    return path or NO_FIELD


def to_cel(value: Json, node: Node) -> Json:
    """`value` as CEL sees it: strings of some formats become times, durations or bytes."""
    if not node.has_times or value is None:
        return value
    if isinstance(value, list):
        return [to_cel(v, node.items) for v in value] if node.items is not None else value
    if isinstance(value, dict):
        out = {}
        for key, inner in value.items():
            child = node.child(key)
            out[key] = inner if child is None else to_cel(inner, child)
        return out
    return _typed(value, node.format) if isinstance(value, str) else value


def _typed(text: str, form: str) -> Json:
    try:
        match form:
            case "date-time":
                return parse_timestamp(text)
            case "date":
                return parse_timestamp(f"{text}T00:00:00Z")
            case "duration":
                return parse_duration(text)
            case "byte":
                return base64.b64decode(text, validate=True)
    except (CelError, binascii.Error):
        return text
    return text
