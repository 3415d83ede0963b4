"""CEL for Kubernetes: `compile_cel(source, variables)` gives a Program that evaluates many times.

A tree becomes nested closures once; evaluating is then plain Python calls. Names are checked when compiling, types
when evaluating. Rules of custom resources (self, oldSelf, messages) are in custom/cel_rules.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from kruise_rollouts.kube.effects import Json

from . import kinds as cel_kinds  # register Kubernetes' functions
from . import library as cel_library  # register Kubernetes' functions
from .functions import FUNCTIONS, METHODS, TYPE_NAMES, Overload, call
from .macros import MACROS, Scope, Step
from .parser import (
    RESERVED,
    CelSyntaxError,
    Expr,
    Ident,
    Index,
    Invoke,
    Literal,
    MakeList,
    MakeMap,
    Select,
    parse,
)  # fmt: skip
from .values import NONE, CelError, Optional, no_overload

__all__ = ["CelCompileError", "CelError", "Program", "cel_kinds", "cel_library", "compile_cel"]


NAMESPACES = ("optional", "sets", "strings", "math", "lists", "format", "ip", "cidr", "base64")
_ESCAPED = {"__underscores__": "__", "__dot__": ".", "__dash__": "-", "__slash__": "/"}
_KEYWORDS = RESERVED | {"true", "false", "null", "in"}


class CelCompileError(ValueError):
    """The source cannot be compiled; the message shows where, as Kubernetes shows it."""


class Program:
    """A compiled expression."""

    def __init__(self, source: str, step: Step, used: frozenset[str]) -> None:
        self.source = source
        self.used = used  # free identifiers
        self._step = step

    def evaluate(self, variables: Scope) -> Json:
        """The value. Raises CelError."""
        return self._step(variables)


def compile_cel(source: str, variables: Iterable[str]) -> Program:
    """Raises CelCompileError for a syntax error, an unknown function or identifier."""
    compiler = _Compiler(frozenset(variables))
    try:
        step = compiler.step(parse(source), frozenset())
    except CelSyntaxError as error:
        raise CelCompileError(located(source, error)) from None
    return Program(source, step, frozenset(compiler.used))


def located(source: str, error: CelSyntaxError) -> str:
    """The message of `error` with the line it is in, as Kubernetes shows it."""
    line = source.count("\n", 0, error.at)
    start = source.rfind("\n", 0, error.at) + 1
    column = error.at - start
    text = source[start:].split("\n", 1)[0]
    return f"compilation failed: ERROR: <input>:{line + 1}:{column + 1}: {error.message}\n | {text}\n | {'.' * column}^"


def unescape_name(name: str) -> str:
    """The property a CEL identifier stands for: `x__dash__y` is x-y, `__namespace__` is namespace."""
    if "__" not in name:
        return name
    if name.startswith("__") and name.endswith("__") and name[2:-2] in _KEYWORDS:
        return name[2:-2]
    for escaped, text in _ESCAPED.items():
        name = name.replace(escaped, text)
    return name


class _Compiler:
    def __init__(self, variables: frozenset[str]) -> None:
        self.variables = variables
        self.used: set[str] = set()

    def step(self, tree: Expr, local: frozenset[str]) -> Step:
        match tree:
            case Literal(value):
                return lambda scope: value
            case Ident(name, at):
                return self.ident(name, at, local)
            case Select():
                return self.select(tree, local)
            case Index(operand, index, optional):
                return _index(self.step(operand, local), self.step(index, local), optional)
            case MakeList(items):
                return _make_list([(self.step(e, local), o) for e, o in items])
            case MakeMap(entries):
                return _make_map([(self.step(k, local), self.step(v, local), o) for k, v, o in entries])
            case Invoke():
                return self.invoke(tree, local)

    def ident(self, name: str, at: int, local: frozenset[str]) -> Step:
        if name in local or name in self.variables:
            if name not in local:
                self.used.add(name)
            return lambda scope: scope[name]
        known = TYPE_NAMES.get(name)
        if known is None:
            raise CelSyntaxError(f"undeclared reference to '{name}' (in container '')", at)
        return lambda scope: known

    def select(self, tree: Select, local: frozenset[str]) -> Step:
        return _select(self.step(tree.operand, local), tree.field, tree.optional)

    def invoke(self, tree: Invoke, local: frozenset[str]) -> Step:
        macro = self.macro(tree, local)
        if macro is not None:
            return macro
        name, receiver, args = tree.name, tree.receiver, tree.args
        if isinstance(receiver, Ident) and receiver.name in NAMESPACES and receiver.name not in local:
            joined = f"{receiver.name}.{name}"
            if joined in FUNCTIONS:
                name, receiver = joined, None
        table = FUNCTIONS if receiver is None else METHODS
        if name not in table:
            raise CelSyntaxError(f"undeclared reference to '{name}' (in container '')", tree.at)
        steps = [self.step(a, local) for a in ((receiver, *args) if receiver is not None else args)]
        match name:
            case "&&" | "||":
                return _logic(steps[0], steps[1], until=name == "||")
            case "?:":
                return _choice(*steps)
        return _apply(table[name], steps)

    def macro(self, tree: Invoke, local: frozenset[str]) -> Step | None:
        args = tree.args
        if tree.receiver is None:
            if tree.name != "has" or len(args) != 1:
                return None
            if not isinstance(args[0], Select):
                raise CelSyntaxError("invalid argument to has() macro", args[0].at)
            return _has(self.step(args[0].operand, local), args[0].field)
        build = MACROS.get((tree.name, len(args)))
        if build is None:
            return None
        count = build[1]
        names = [a.name for a in args[:count] if isinstance(a, Ident)]
        if len(names) != count:
            if tree.name in ("all", "exists", "existsOne", "exists_one", "map", "filter"):
                wrong = next(a for a in args[:count] if not isinstance(a, Ident))
                raise CelSyntaxError("argument must be a simple name", wrong.at)
            return None
        over = self.step(tree.receiver, local)
        inner = local | frozenset(names)
        return build[0](over, names, [self.step(a, inner) for a in args[count:]])


def _select(operand: Step, field: str, optional: bool) -> Step:
    plain = unescape_name(field)

    def select(scope: Scope) -> Json:
        value = operand(scope)
        if isinstance(value, Optional):
            return Optional(True, value.value[plain]) if value.present and plain in value.value else NONE
        if optional:
            if not isinstance(value, dict):
                raise no_overload()
            return Optional(True, value[plain]) if plain in value else NONE
        if not isinstance(value, dict):
            raise no_overload()
        if plain in value:
            return value[plain]
        if field in value:
            return value[field]
        raise CelError(f"no such key: {plain}")

    return select


def _has(operand: Step, field: str) -> Step:
    plain = unescape_name(field)

    def has(scope: Scope) -> bool:
        value = operand(scope)
        if isinstance(value, Optional):
            value = value.value if value.present else {}
        if not isinstance(value, dict):
            raise no_overload()
        return bool(plain in value or field in value)

    return has


def _index(operand: Step, index: Step, optional: bool) -> Step:
    def at(scope: Scope) -> Json:
        value, key = operand(scope), index(scope)
        if isinstance(value, Optional):
            return _item(value.value, key) if value.present else NONE
        found = _item(value, key)
        if optional:
            return found
        if found.present:
            return found.value
        raise CelError(f"index out of bounds: {key}" if isinstance(value, list) else f"no such key: {key}")

    return at


def _item(value: Json, key: Json) -> Optional:
    if isinstance(value, list):
        if isinstance(key, bool) or not isinstance(key, int | float) or key != int(key):
            raise no_overload()
        return Optional(True, value[int(key)]) if 0 <= key < len(value) else NONE
    if isinstance(value, dict):
        if isinstance(key, list | dict):
            raise no_overload()
        return Optional(True, value[key]) if key in value else NONE
    raise no_overload()


def _make_list(items: list[tuple[Step, bool]]) -> Step:
    def make(scope: Scope) -> list[Json]:
        out = []
        for step, optional in items:
            value = step(scope)
            if not optional:
                out.append(value)
            elif value.present:
                out.append(value.value)
        return out

    return make


def _make_map(entries: list[tuple[Step, Step, bool]]) -> Step:
    def make(scope: Scope) -> dict[Json, Json]:
        out = {}
        for key, step, optional in entries:
            value = step(scope)
            if not optional:
                out[key(scope)] = value
            elif value.present:
                out[key(scope)] = value.value
        return out

    return make


def _apply(overloads: list[Overload], steps: list[Step]) -> Step:
    return lambda scope: call(overloads, [s(scope) for s in steps])


def _logic(left: Step, right: Step, until: bool) -> Step:
    """|| (`until` True) and &&: an operand that decides wins over the other's error."""

    def decide(scope: Scope) -> Json:
        try:
            first = left(scope)
        except CelError:
            if right(scope) is until:
                return until
            raise
        if first is until:
            return until
        second = right(scope)
        if second is until:
            return until
        if isinstance(first, bool) and isinstance(second, bool):
            return not until
        raise no_overload()

    return decide


def _choice(condition: Step, then: Step, otherwise: Step) -> Step:
    def choose(scope: Scope) -> Json:
        value = condition(scope)
        if not isinstance(value, bool):
            raise no_overload()
        return then(scope) if value else otherwise(scope)

    return choose


for _lazy in ("&&", "||", "?:"):
    FUNCTIONS.setdefault(_lazy, [])
