"""CEL's macros: loops over lists and maps, and over optionals. program.py gives them compiled parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from kruise_rollouts.kube.effects import Json

from .values import NONE, CelError, Optional, no_overload

Scope: TypeAlias = dict[str, Json]
Step: TypeAlias = Callable[[Scope], Any]

Build: TypeAlias = Callable[[Step, list[str], list[Step]], Step]  # receiver, variables, other arguments


def _each(value: Json, names: list[str], scope: Scope) -> Iterator[Scope]:
    """One scope for each element: (element) or (index, element) of a list, (key) or (key, value) of a map."""
    pairs: Iterable[tuple[Json, Json]]
    if isinstance(value, list):
        pairs = enumerate(value)
    elif isinstance(value, dict):
        pairs = value.items()
    else:
        raise no_overload()
    inner = dict(scope)
    for key, item in pairs:
        if len(names) == 2:
            inner[names[0]], inner[names[1]] = key, item
        else:
            inner[names[0]] = item if isinstance(value, list) else key
        yield inner


def _quantifier(until: bool) -> Build:
    """exists (`until` True) and all: one element decides, errors of others notwithstanding."""

    def build(over: Step, names: list[str], steps: list[Step]) -> Step:
        test = steps[0]

        def decide(scope: Scope) -> Json:
            failed: CelError | None = None
            for inner in _each(over(scope), names, scope):
                try:
                    if test(inner) is until:
                        return until
                except CelError as error:
                    failed = failed or error
            if failed is not None:
                raise failed
            return not until

        return decide

    return build


def _exists_one(over: Step, names: list[str], steps: list[Step]) -> Step:
    return lambda scope: sum(steps[0](inner) is True for inner in _each(over(scope), names, scope)) == 1


def _filter(over: Step, names: list[str], steps: list[Step]) -> Step:
    return lambda scope: [
        inner[names[0]] for inner in _each(over(scope), names, scope) if steps[0](inner) is True
    ]


def _map(over: Step, names: list[str], steps: list[Step]) -> Step:
    """map and transformList; with two steps the first one filters."""
    *tests, transform = steps
    return lambda scope: [
        transform(inner) for inner in _each(over(scope), names, scope) if all(t(inner) is True for t in tests)
    ]


def _transform_map(over: Step, names: list[str], steps: list[Step]) -> Step:
    *tests, transform = steps
    return lambda scope: {
        inner[names[0]]: transform(inner)
        for inner in _each(over(scope), names, scope)
        if all(t(inner) is True for t in tests)
    }


def _transform_entries(over: Step, names: list[str], steps: list[Step]) -> Step:
    *tests, transform = steps

    def build(scope: Scope) -> dict[Json, Json]:
        out: dict[Json, Json] = {}
        for inner in _each(over(scope), names, scope):
            if all(t(inner) is True for t in tests):
                out.update(transform(inner))
        return out

    return build


def _opt_map(flat: bool) -> Build:
    def build(over: Step, names: list[str], steps: list[Step]) -> Step:
        def apply(scope: Scope) -> Json:
            value = over(scope)
            if not isinstance(value, Optional):
                raise no_overload()
            if not value.present:
                return NONE
            out = steps[0]({**scope, names[0]: value.value})
            return out if flat else Optional(True, out)

        return apply

    return build


Macro: TypeAlias = tuple[Build, int]  # builder, number of variables

MACROS: dict[tuple[str, int], Macro] = {
    ("all", 2): (_quantifier(False), 1),
    ("all", 3): (_quantifier(False), 2),
    ("exists", 2): (_quantifier(True), 1),
    ("exists", 3): (_quantifier(True), 2),
    ("exists_one", 2): (_exists_one, 1),
    ("existsOne", 2): (_exists_one, 1),
    ("existsOne", 3): (_exists_one, 2),
    ("exists_one", 3): (_exists_one, 2),
    ("filter", 2): (_filter, 1),
    ("map", 2): (_map, 1),
    ("map", 3): (_map, 1),
    ("transformList", 3): (_map, 2),
    ("transformList", 4): (_map, 2),
    ("transformMap", 3): (_transform_map, 2),
    ("transformMap", 4): (_transform_map, 2),
    ("transformMapEntry", 3): (_transform_entries, 2),
    ("transformMapEntry", 4): (_transform_entries, 2),
    ("optMap", 2): (_opt_map(flat=False), 1),
    ("optFlatMap", 2): (_opt_map(flat=True), 1),
}
