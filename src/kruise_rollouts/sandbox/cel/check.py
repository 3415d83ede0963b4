"""Types of CEL expressions, as far as a schema gives them: finds unknown fields and calls that can never work.

Where a type is not known (`dyn`) everything is allowed; so nothing that would work is refused. Evaluating does not
depend on what is said here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from kruise_rollouts.sandbox.custom.structural import Node
from kruise_rollouts.sandbox.patterns import pattern_of

from .functions import FUNCTIONS, METHODS, TYPE_NAMES
from .parser import (
    CelSyntaxError,
    Expr,
    Ident,
    Index,
    Invoke,
    Literal,
    MakeList,
    MakeMap,
    Select,
    UInt,
    parse,
)
from .program import NAMESPACES, CelCompileError, located, unescape_name
from .values import Duration, Optional, Timestamp, parse_duration, parse_timestamp, type_of


class Type(Struct, frozen=True):
    """A static type. `params`: of list one, of map key and value, of optional_type one."""

    name: str
    params: tuple[Type, ...] = ()
    fields: Mapping[str, Type] | None = None  # of an object

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.params))})" if self.params else self.name


Types: TypeAlias = dict[str, Type]

DYN, BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL = map(
    Type, ("dyn", "bool", "int", "uint", "double", "string", "bytes", "null")
)
TIMESTAMP, DURATION = Type("timestamp"), Type("duration")
_CLASSES: dict[str, type] = {
    "bool": bool, "int": int, "uint": UInt, "double": float, "string": str, "bytes": bytes, "list": list, "map": dict,
    "object": dict, "timestamp": Timestamp, "duration": Duration, "optional_type": Optional,
}  # fmt: skip
_FORMATS = {"date-time": TIMESTAMP, "date": TIMESTAMP, "duration": DURATION, "byte": BYTES}
_SCALARS = {"boolean": BOOL, "integer": INT, "number": DOUBLE}
_NUMBERS = frozenset(("int", "uint", "double"))
_ORDERED = _NUMBERS | {"string", "bool", "bytes", "timestamp", "duration"}
_RESULTS: dict[str, Type] = {
    **dict.fromkeys(("startsWith", "endsWith", "contains", "matches", "hasValue", "isSorted", "bool", "!", "in"), BOOL),
    **dict.fromkeys(("isIP", "isCIDR", "isURL", "isQuantity", "isSemver", "isGreaterThan", "isLessThan"), BOOL),
    **dict.fromkeys(("sets.contains", "sets.equivalent", "sets.intersects", "containsIP", "containsCIDR"), BOOL),
    **dict.fromkeys(("size", "int", "indexOf", "lastIndexOf", "compareTo", "sign", "asInteger", "getHours"), INT),
    **dict.fromkeys(("getMinutes", "getSeconds", "getFullYear", "getMonth", "getDate", "prefixLength"), INT),
    **dict.fromkeys(("string", "lowerAscii", "upperAscii", "trim", "substring", "replace", "join", "format"), STRING),
    **dict.fromkeys(("charAt", "find", "strings.quote", "getScheme", "getHost", "getHostname", "getPort"), STRING),
    **dict.fromkeys(("split", "findAll"), Type("list", (STRING,))),
    "uint": UINT, "double": DOUBLE, "bytes": BYTES, "duration": DURATION, "timestamp": TIMESTAMP,
    "&&": BOOL, "||": BOOL, "==": BOOL, "!=": BOOL, "<": BOOL, "<=": BOOL, ">": BOOL, ">=": BOOL,
    "asApproximateFloat": DOUBLE,
}  # fmt: skip
_NEVER_NULL = frozenset(("bool", "int", "uint", "double", "string", "bytes", "list", "map"))
_SIGNS = {"!": "!_", "neg": "-_", "in": "@in", "?:": "_?_:_"}


def type_of_node(node: Node, *, root: bool = False) -> Type | None:
    """The type of values of `node`; None if rules cannot see them."""
    if node.int_or_string:
        return DYN
    if node.type == "array":
        inner = type_of_node(node.items) if node.items is not None else None
        return Type("list", (inner,)) if inner is not None else None
    if node.type == "object":
        if node.additional is not None:
            value = type_of_node(node.additional)
            return Type("map", (STRING, value)) if value is not None else None
        return Type("object", fields=_fields(node, root=root))
    if node.type == "string":
        return _FORMATS.get(node.format, STRING)
    return _SCALARS.get(node.type)


def _fields(node: Node, *, root: bool) -> Types:
    found = {name: type_of_node(child) for name, child in node.properties.items()}
    fields = {name: kind for name, kind in found.items() if kind is not None}
    if root or node.embedded:
        names = {"name": STRING, "generateName": STRING}
        fields |= {"apiVersion": STRING, "kind": STRING, "metadata": Type("object", fields=names)}
    return fields


def optional(kind: Type) -> Type:
    return Type("optional_type", (kind,))


def check_cel(source: str, variables: Types) -> Type:
    """The type of the expression. Raises CelCompileError for what can never work."""
    try:
        return _Checker(variables).infer(parse(source), variables)
    except CelSyntaxError as error:
        raise CelCompileError(located(source, error)) from None


class _Checker:
    def __init__(self, variables: Types) -> None:
        self.variables = variables

    def infer(self, tree: Expr, scope: Types) -> Type:
        match tree:
            case Literal(value):
                return NULL if value is None else Type(type_of(value).name)
            case Ident(name):
                return scope.get(name) or (Type("type") if name in TYPE_NAMES else DYN)
            case Select(operand, field, is_optional, at):
                found = _selected(self.infer(operand, scope), field, at)
                return optional(found) if is_optional and found.name != "optional_type" else found
            case Index(operand, index, is_optional):
                self.infer(index, scope)
                found = _element(self.infer(operand, scope))
                return optional(found) if is_optional else found
            case MakeList(items):
                return Type("list", (self.element_of(items, scope),))
            case MakeMap(entries):
                for key, element, _ in entries:
                    self.infer(key, scope)
                    self.infer(element, scope)
                return Type("map", (DYN, DYN))
            case Invoke():
                return self.invoked(tree, scope)

    def element_of(self, items: tuple[tuple[Expr, bool], ...], scope: Types) -> Type:
        """The type of all elements of a list that is written out. They must be alike."""
        first = DYN
        for element, _ in items:
            kind = self.infer(element, scope)
            if not _equatable(first, kind):
                raise _unexpected(first, kind, element)
            first = kind if first is DYN else first
        return first

    def wanted_bool(self, tree: Expr, kind: Type) -> None:
        if kind.name not in ("bool", "dyn"):
            raise _unexpected(BOOL, kind, tree)

    def invoked(self, tree: Invoke, scope: Types) -> Type:
        if tree.receiver is None and tree.name == "has":
            argument = tree.args[0]
            if isinstance(argument, Select):
                _selected(self.infer(argument.operand, scope), argument.field, tree.at)
            return BOOL
        receiver = tree.receiver
        if isinstance(receiver, Ident) and receiver.name in NAMESPACES and receiver.name not in scope:
            for argument in tree.args:
                self.infer(argument, scope)
            return _RESULTS.get(f"{receiver.name}.{tree.name}", DYN)
        if receiver is not None and tree.name in _MACROS and isinstance(tree.args[0], Ident):
            return self.macro(tree, self.infer(receiver, scope), scope)
        args = [self.infer(a, scope) for a in ((receiver, *tree.args) if receiver is not None else tree.args)]
        if tree.name in ("&&", "||"):
            for operand, kind in zip(tree.args, args, strict=True):
                self.wanted_bool(operand, kind)
        _check_call(tree, args)
        _check_literal(tree)
        return _result(tree.name, args)

    def macro(self, tree: Invoke, over: Type, scope: Types) -> Type:
        names = [a.name for a in tree.args if isinstance(a, Ident)]
        count = (
            2
            if tree.name.startswith("transform") or (len(tree.args) == 3 and tree.name not in ("map",))
            else 1
        )
        inner = dict(scope)
        inner |= zip(names[:count], _variables(over, count), strict=False)
        results = [self.infer(a, inner) for a in tree.args[count:]]
        if tree.name in ("all", "exists", "exists_one", "existsOne", "filter") and results:
            self.wanted_bool(tree.args[count], results[0])
        match tree.name:
            case "filter":
                return over
            case "map" | "transformList":
                return Type("list", (results[-1] if results else DYN,))
            case "all" | "exists" | "exists_one" | "existsOne":
                return BOOL
        return DYN


_MACROS = frozenset((
    "all", "exists", "exists_one", "existsOne", "filter", "map", "transformList", "transformMap", "transformMapEntry",
    "optMap", "optFlatMap",
))  # fmt: skip


def _variables(over: Type, count: int) -> tuple[Type, ...]:
    """The types of a macro's variables."""
    match over.name, count:
        case "list", 1:
            return over.params
        case "list", 2:
            return (INT, over.params[0])
        case "map", _ if len(over.params) == 2:
            return over.params[:count]
        case "optional_type", _:
            return over.params
    return (DYN,) * count


def _selected(operand: Type, field: str, at: int) -> Type:
    match operand.name:
        case "object" if operand.fields is not None:
            found = operand.fields.get(unescape_name(field)) or operand.fields.get(field)
            if found is None:
                raise CelSyntaxError(f"undefined field '{field}'", at)
            return found
        case "map" if len(operand.params) == 2:
            return operand.params[1]
        case "optional_type":
            return optional(_selected(operand.params[0], field, at))
        case "bool" | "int" | "uint" | "double" | "string" | "bytes" | "list":
            raise CelSyntaxError(f"type '{operand}' does not support field selection", at)
    return DYN


def _element(operand: Type) -> Type:
    match operand.name:
        case "list":
            return operand.params[0]
        case "map" if len(operand.params) == 2:
            return operand.params[1]
    return DYN


def _result(name: str, args: list[Type]) -> Type:
    if name in ("+", "-", "*", "/", "%", "neg"):
        same = args[0].name in _NUMBERS | {"string", "bytes", "list"} and all(
            a.name == args[0].name for a in args
        )
        return args[0] if same else DYN
    if name == "?:":
        return args[1] if str(args[1]) == str(args[2]) else DYN
    if name in ("min", "max", "sum") and args[0].name == "list":
        return args[0].params[0]
    if name in ("value", "orValue") and args[0].name == "optional_type":
        return args[0].params[0]
    return _RESULTS.get(name, DYN)


def _check_call(tree: Invoke, args: list[Type]) -> None:
    if tree.name in ("<", "<=", ">", ">="):
        fits = _comparable(*args)
    elif tree.name in ("==", "!="):
        fits = _equatable(*args)
    elif tree.name in ("&&", "||"):
        fits = True
    elif tree.name == "?:":
        fits = args[0].name in ("bool", "dyn")
    elif tree.name == "in":
        fits = args[1].name not in ("list", "map") or _equatable(args[0], args[1].params[0])
    else:
        table = METHODS if tree.receiver is not None else FUNCTIONS
        overloads = table.get(tree.name, [])
        fits = not overloads or any(
            len(types) == len(args) and all(_takes(t, a) for t, a in zip(types, args, strict=True))
            for types, _ in overloads
        )
    if not fits:
        raise CelSyntaxError(
            f"found no matching overload for '{_sign(tree)}' applied to '{_applied(tree, args)}'", tree.at
        )


def _unexpected(wanted: Type, found: Type, at: Expr) -> CelSyntaxError:
    return CelSyntaxError(f"expected type '{wanted}' but found '{found}'", at.at)


_WRITTEN: dict[str, Callable[[str], object]] = {
    "matches": pattern_of, "duration": parse_duration, "timestamp": parse_timestamp,
}  # fmt: skip


def _check_literal(tree: Invoke) -> None:
    """An argument that is written out and can never be right."""
    argument = tree.args[-1] if tree.args else None
    parse_argument = _WRITTEN.get(tree.name)
    if parse_argument is None or not isinstance(argument, Literal) or not isinstance(argument.value, str):
        return
    try:
        parse_argument(argument.value)
    except ValueError:
        raise CelSyntaxError(f"invalid {tree.name} argument", argument.at) from None


def _takes(wanted: type, given: Type) -> bool:
    known = _CLASSES.get(given.name)
    return known is None or wanted is object or wanted is known


def _comparable(a: Type, b: Type) -> bool:
    if "dyn" in (a.name, b.name):
        return True
    return (a.name in _NUMBERS and b.name in _NUMBERS) or (a.name == b.name and a.name in _ORDERED)


def _equatable(a: Type, b: Type) -> bool:
    if {a.name, b.name} & {"dyn", "object"}:
        return True
    if "null" in (a.name, b.name):
        return a.name == b.name or not {a.name, b.name} & _NEVER_NULL
    if a.name != b.name:
        return a.name not in _CLASSES or b.name not in _CLASSES
    return all(_equatable(x, y) for x, y in zip(a.params, b.params, strict=False))


def _sign(tree: Invoke) -> str:
    if tree.name.isidentifier() and tree.name not in _SIGNS:
        return tree.name
    return _SIGNS.get(tree.name, f"_{tree.name}_")


def _applied(tree: Invoke, args: list[Type]) -> str:
    if tree.receiver is None:
        return f"({', '.join(map(str, args))})"
    return f"{args[0]}.({', '.join(map(str, args[1:]))})"
